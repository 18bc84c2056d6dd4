"""The agents of docs/agent-tutorial.md, taken out of the page and run; tests/lab has the promotable one in a cluster."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ocfpy.testkit import RULES, Executor, Rule, Sandbox, Subject

from tests.conformance.conftest import ROOT

PAGE = ROOT / "docs/agent-tutorial.md"
AGENTS = "/usr/lib/ocf/resource.d/example"
WEBDIR, LEADER = f"{AGENTS}/webdir", f"{AGENTS}/leader"
PARAMS = {"port": "8123"}
ROLE_RULES = ("metadata-is-complete", "advertised-actions-exist", "nothing-comes-of-a-stopped-resource", "roles-change")
"""Where an agent with roles may differ; everything else holds for the library, and is looked at with the other agent."""


@pytest.fixture(scope="session")
def on_the_page(binds: dict[str, str], tree: Path) -> dict[str, str]:
    sources = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for path, source in zip((WEBDIR, LEADER), sources):
        agent = tree / "resource.d/example" / Path(path).name
        agent.parent.mkdir(exist_ok=True)
        agent.write_text(source)
        agent.chmod(0o755)
    assert len(sources) == 2
    return binds


@pytest.mark.parametrize("agent", ["webdir", "leader"])
def test_length(on_the_page: dict[str, str], tree: Path, agent: str) -> None:
    """Sixty lines of code, as the title says, with what is empty left out."""
    lines = (tree / "resource.d/example" / agent).read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 60


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rules(on_the_page: dict[str, str], rule: Rule) -> None:
    assert rule.findings(Subject(WEBDIR, PARAMS, binds=on_the_page)) == []


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.name in ROLE_RULES], ids=str)
def test_rules_with_roles(on_the_page: dict[str, str], rule: Rule) -> None:
    assert rule.findings(Subject(LEADER, {}, binds=on_the_page)) == []


@pytest.mark.parametrize("agent", [WEBDIR, LEADER])
def test_ocf_tester(on_the_page: dict[str, str], agent: str) -> None:
    with Sandbox(on_the_page) as sandbox:
        options = ("-o", "port=8123") if agent == WEBDIR else ()
        done = sandbox.run("ocf-tester", "-n", "tested", *options, agent)
        assert "passed all tests" in done.stdout, done.stdout + done.stderr


def test_serves(on_the_page: dict[str, str]) -> None:
    with Sandbox(on_the_page) as sandbox:
        webdir = Executor(sandbox, WEBDIR, PARAMS)
        assert webdir.run("start").code == 0
        fetch = "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:8123/', timeout=20).status)"
        until = f"until /usr/bin/python3 -c \"{fetch}\" 2>/dev/null; do sleep 0.1; done"
        assert sandbox.run("timeout", "30", "sh", "-c", until).stdout == "200\n"
        old = webdir.run("start", params={"port": "x", "root": "relative"})
        assert old.code == 6
        assert old.reasons == ["parameter port: 'x' is not a whole number; parameter root: 'relative' is not an absolute path"]
        assert webdir.run("stop", params={}).code == 0
        assert webdir.probe().code == 7
