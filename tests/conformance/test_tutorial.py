"""The agent of docs/agent-tutorial.md, taken out of the page and run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ocfpy.testkit import RULES, Executor, Rule, Sandbox, Subject

from tests.conformance.conftest import ROOT

PAGE = ROOT / "docs/agent-tutorial.md"
AGENT = "/usr/lib/ocf/resource.d/example/webdir"
PARAMS = {"port": "8123"}


@pytest.fixture(scope="session")
def with_webdir(binds: dict[str, str], tree: Path) -> dict[str, str]:
    match = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert match is not None
    agent = tree / "resource.d/example/webdir"
    agent.parent.mkdir(exist_ok=True)
    agent.write_text(match[1])
    agent.chmod(0o755)
    return binds


def test_length(with_webdir: dict[str, str], tree: Path) -> None:
    """Sixty lines of code, as the title says, with what is empty left out."""
    lines = (tree / "resource.d/example/webdir").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 60


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rules(with_webdir: dict[str, str], rule: Rule) -> None:
    assert rule.findings(Subject(AGENT, PARAMS, binds=with_webdir)) == []


def test_ocf_tester(with_webdir: dict[str, str]) -> None:
    with Sandbox(with_webdir) as sandbox:
        done = sandbox.run("ocf-tester", "-n", "tested", "-o", "port=8123", AGENT)
        assert "passed all tests" in done.stdout, done.stdout + done.stderr


def test_serves(with_webdir: dict[str, str]) -> None:
    with Sandbox(with_webdir) as sandbox:
        webdir = Executor(sandbox, AGENT, PARAMS)
        assert webdir.run("start").code == 0
        fetch = "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:8123/', timeout=20).status)"
        until = f"until /usr/bin/python3 -c \"{fetch}\" 2>/dev/null; do sleep 0.1; done"
        assert sandbox.run("timeout", "30", "sh", "-c", until).stdout == "200\n"
        old = webdir.run("start", params={"port": "x", "root": "relative"})
        assert old.code == 6
        assert old.reasons == ["parameter port: 'x' is not a whole number; parameter root: 'relative' is not an absolute path"]
        assert webdir.run("stop", params={}).code == 0
        assert webdir.probe().code == 7
