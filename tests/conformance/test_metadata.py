"""Metadata that all its readers understand: ocf-tester, Pacemaker, crmsh, pcs and the OCF 1.1 schema."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from lxml import etree
from ocfpy.testkit import Executor

from tests.conformance.subjects import PROVIDER

if TYPE_CHECKING:
    from ocfpy.testkit import Sandbox

    from tests.conformance.subjects import Subject

# pcs checks what it loads against its own schema; Pacemaker ships the official one from 2.1.8 on.
PCS_RNG = Path("/usr/share/pcs/data/ocf-1.1.rng")
PACEMAKER_RNG = Path("/usr/share/pacemaker/api/ocf-ra-1.1.rng")
SCHEMAS = [PCS_RNG, *([PACEMAKER_RNG] if PACEMAKER_RNG.exists() else [])]


@pytest.fixture
def document(agent: Executor) -> etree._Element:
    return etree.fromstring(agent.run("meta-data").out.encode("ascii"))


def test_as_nobody_with_no_environment(agent: Executor) -> None:
    result = agent.run("meta-data", as_nobody=True, replace_env=True)
    assert (result.code, result.err) == (0, ""), result
    assert result.out == agent.run("meta-data").out


def test_touches_nothing_and_heeds_nothing(agent: Executor) -> None:
    env = {"OCF_TESTER_FAIL_HAVE_BINARY": "1", "HA_LOGFILE": "/nonexistent/log", "HA_debug": "1", "PATH": ""}
    result = agent.run("meta-data", env=env, params=dict.fromkeys(agent.params, "\n"))
    assert (result.code, result.err) == (0, ""), result
    assert agent.place.files() == []


def test_what_is_installed_is_what_the_agent_says(agent: Executor, sandbox: Sandbox) -> None:
    """A launcher prints a file, which the installation rendered from the declaration."""
    declared = re.search(r"ocfpy\.agents\.\S+", sandbox.run("cat", agent.path).stdout)
    if declared is None:
        assert agent.agent == "sample"
        return
    own = sandbox.run("/usr/bin/python3", "-IS", "/usr/lib/ocf/lib/anycast/agent", declared[0], "meta-data")
    assert agent.run("meta-data").out == own.stdout


def test_valid_by_its_own_dtd(agent: Executor, tmp_path: Path) -> None:
    file = tmp_path / "metadata.xml"
    file.write_text(agent.run("meta-data").out)
    done = agent.place.run("xmllint", "--noout", "--valid", "--nonet", str(file))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda path: f"{path.parts[-3]}-{path.name}")
def test_valid_by_schema(agent: Executor, tmp_path: Path, schema: Path) -> None:
    file = tmp_path / "metadata.xml"
    file.write_text(agent.run("meta-data").out)
    done = agent.place.run("xmllint", "--noout", "--nonet", "--relaxng", str(schema), str(file))
    assert done.returncode == 0, done.stderr


def test_parameters(document: etree._Element, subject: Subject) -> None:
    assert document.get("name") == subject.agent
    assert document.findtext("version") == "1.1"
    for parameter in document.iter("parameter"):
        name = parameter.get("name", "")
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name), "crmsh takes a dash for an underscore"
        assert (parameter.findtext("longdesc") or "").strip(), name
        shortdesc = parameter.findtext("shortdesc") or ""
        assert "\n" not in shortdesc
        assert 0 < len(shortdesc) <= 80, name
        content = parameter.find("content")
        if content.get("type") == "select":
            assert content.get("default") in [None, *(option.get("value") for option in content)], name
        assert parameter.get("required") == "0" or content.get("default") is None, name
    assert set(subject.params) <= {p.get("name") for p in document.iter("parameter")}
    assert any(p.get("unique-group") or subject.agent == "ipvs-pool" for p in document.iter("parameter"))


def test_actions(document: etree._Element) -> None:
    actions = list(document.iter("action"))
    assert {"start", "stop", "monitor", "meta-data", "validate-all"} <= {
        action.get("name") for action in actions
    }
    assert all(re.fullmatch(r"\d+s", action.get("timeout", "")) for action in actions)
    intervals = [action.get("interval") for action in actions if action.get("name") == "monitor"]
    assert None not in intervals, "crmsh refuses a monitor without an interval"
    assert len(set(intervals)) == len(intervals), "Pacemaker tells monitors apart by their interval"
    assert all(action.get("interval") is None for action in actions if action.get("name") != "monitor")


def test_unique_as_crmsh_reads_it(document: etree._Element) -> None:
    groups = [parameter.get("unique-group") for parameter in document.iter("parameter")]
    for parameter in document.iter("parameter"):
        alone = groups.count(parameter.get("unique-group")) == 1
        assert (parameter.get("unique") == "1") == (parameter.get("unique-group") is not None and alone)


class TestTools:
    """Tools that run agents, none of them needing a cluster."""

    def test_crm_resource_shows_it(self, agent: Executor, sandbox: Sandbox) -> None:
        done = sandbox.run("crm_resource", "--show-metadata", f"ocf:{PROVIDER}:{agent.agent}")
        assert done.returncode == 0, done.stderr
        # Pacemaker prints the document as it came.
        assert etree.fromstring(done.stdout.strip().encode()).get("name") == agent.agent

    def test_crm_resource_lists_it_and_nothing_else(self, sandbox: Sandbox) -> None:
        listed = sandbox.run("crm_resource", "--list-agents", f"ocf:{PROVIDER}").stdout.split()
        assert sorted(listed) == ["anycast-vip", "bgp-announce", "ipvs-pool", "ipvs-sync", "sample"]

    def test_crm_resource_validates(self, agent: Executor, sandbox: Sandbox) -> None:
        command = [
            "crm_resource",
            "--validate",
            "--class",
            "ocf",
            "--provider",
            PROVIDER,
            "--agent",
            agent.agent,
        ]
        options = [f"--option={name}={value}" for name, value in agent.params.items()]
        good = sandbox.run(*command, *options)
        assert good.returncode == 0, good.stdout + good.stderr
        bad = sandbox.run(*command)
        assert bad.returncode != 0
        assert "required, but not set" in bad.stdout + bad.stderr

    def test_crmsh_shows_it(self, agent: Executor, sandbox: Sandbox, document: etree._Element) -> None:
        sandbox.run("mkdir", "-p", "/run/crmsh")
        done = sandbox.run(
            "env", "HOME=/run/crmsh", "XDG_CACHE_HOME=/run/crmsh", "XDG_CONFIG_HOME=/run/crmsh", "TERM=dumb",
            "crm", "ra", "info", f"ocf:{PROVIDER}:{agent.agent}",
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        for parameter in document.iter("parameter"):
            star = "*" if parameter.get("required") == "1" else ""
            assert re.search(rf"^{parameter.get('name')}{re.escape(star)} ", done.stdout, re.M), done.stdout

    def test_pcs_shows_it(self, agent: Executor, sandbox: Sandbox, document: etree._Element) -> None:
        done = sandbox.run("pcs", "resource", "describe", f"ocf:{PROVIDER}:{agent.agent}")
        assert done.returncode == 0, done.stdout + done.stderr
        for parameter in document.iter("parameter"):
            required = " (required)" if parameter.get("required") == "1" else ""
            assert re.search(rf"^ +{parameter.get('name')}{re.escape(required)}[: (]", done.stdout, re.M), done.stdout

    def test_ocf_tester(self, agent: Executor, subject: Subject, sandbox: Sandbox) -> None:
        """ocf-tester starts the resource; where that cannot work it must fail at that point, not before."""
        options = [word for name, value in subject.params.items() for word in ("-o", f"{name}={value}")]
        done = sandbox.run("ocf-tester", "-n", "tested", *options, agent.path)
        output = done.stdout + done.stderr
        if subject.starts:
            assert done.returncode == 0, output
            assert "passed all tests" in output
        else:
            failures = [line for line in output.splitlines() if line.startswith("* rc=")]
            assert failures == [
                f"* rc={subject.start_code}: Start failed.  Did you supply enough options with -o ?"
            ], output
