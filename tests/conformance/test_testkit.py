"""The shipped test kit on our own agents, on three well-known ones, and on faults made for it to find."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ocfpy.testkit import RULES, Rule, Subject

from tests.conformance.conftest import HIDE, ROOT
from tests.conformance.subjects import Subject as OurSubject

RESOURCES = "/usr/lib/ocf/resource.d"
LDIRECTORD_CF = r"checktimeout=1\ncheckinterval=1\nvirtual=192.0.2.1:80\n\treal=192.0.2.2:80 gate\n"
OTHERS = {
    "pacemaker:Dummy": Subject(f"{RESOURCES}/pacemaker/Dummy", {}, limit_s=5.0),
    "heartbeat:IPaddr2": Subject(
        f"{RESOURCES}/heartbeat/IPaddr2", {"ip": "192.0.2.1", "nic": "lo", "cidr_netmask": "32"}
    ),
    "heartbeat:ldirectord": Subject(
        f"{RESOURCES}/heartbeat/ldirectord", {"configfile": "/run/ld.cf"}, f"printf '{LDIRECTORD_CF}' >/run/ld.cf"
    ),
}
# What they are known not to keep, in every version seen; docs/testkit.md tells the details.
KNOWN = {
    "pacemaker:Dummy": {
        "nothing-comes-of-a-stopped-resource", "any-check-level", "migration-takes-over",
        "stop-when-the-configuration-has-gone",
    },
    "heartbeat:IPaddr2": {
        "stop-and-probe-without-a-configuration", "stop-and-probe-with-hostile-parameters",
        "stop-and-probe-without-tools", "stop-when-the-configuration-has-gone",
    },
    "heartbeat:ldirectord": {
        "metadata-is-complete", "stop-and-probe-with-hostile-parameters", "stop-when-the-configuration-has-gone",
    },
}  # fmt: skip

FAULTY = """#!/bin/sh
# An agent that passes ocf-tester's idea of a life, and is wrong in all else.
state=/run/faulty
case "$1" in
start) sleep 61 & touch $state /run/faulty-left ;;
stop) [ -n "$OCF_RESKEY_ip" ] || exit 6; rm -f $state; eval "echo $OCF_RESKEY_ip >/dev/null" ;;
monitor) [ -e $state ] || exit 7 ;;
meta-data) cat <<END
<resource-agent name="faulty"><version>1.0</version><longdesc lang="en">x</longdesc><shortdesc lang="en">x</shortdesc>
<parameters><parameter name="ip" required="1"><longdesc lang="en">x</longdesc><shortdesc lang="en">x</shortdesc>
<content type="string"/></parameter></parameters><actions><action name="start" timeout="20"/><action name="stop" timeout="20s"/>
<action name="monitor" timeout="20s" interval="10s"/><action name="meta-data" timeout="5s"/><action name="promote" timeout="5s"/>
</actions></resource-agent>
END
;;
validate-all) echo fine ;;
esac
"""


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_ours(subject: OurSubject, rule: Rule, binds: dict[str, str]) -> None:
    """Those that cannot start here are tried where they can: tests/frr, tests/lab."""
    if subject.starts or not rule.needs_start:
        assert rule.findings(Subject(subject.path, subject.params, binds=binds, hide=HIDE)) == []


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_others(name: str) -> None:
    """What is documented is found; the findings themselves are printed, for they differ with the version."""
    found = {rule.name: rule.findings(OTHERS[name]) for rule in RULES if rule.name in KNOWN[name]}
    print(name, found)
    assert {rule for rule in KNOWN[name] if not found[rule]} == set()
    text = (ROOT / "docs/testkit.md").read_text()
    assert {rule for rule in KNOWN[name] if f"| `{name}` | `{rule}` |" not in text} == set()


@pytest.fixture
def faulty(tmp_path: Path) -> Subject:
    agent = tmp_path / "faulty"
    agent.write_text(FAULTY)
    agent.chmod(0o755)
    tmp_path.chmod(0o755)
    return Subject("/usr/lib/ocf/resource.d/test/faulty", {"ip": "192.0.2.1"}, binds={str(tmp_path): RESOURCES + "/heartbeat"})


FOUND = {
    "metadata-is-complete": ["action start has no timeout with a unit: '20'", "not advertised: validate-all"],
    "advertised-actions-exist": ["promote is advertised without demote", "reload (not advertised): exit code 0, not 3"],
    "validation-is-silent": ["validate-all is not silent"],
    "all-that-is-missing-is-named": ["start without parameters: exit code 0, not 2 or 5 or 6"],
    "stop-and-probe-without-a-configuration": [
        "stop without parameters: exit code 6, not 0", "stop without parameters: no exit reasons with exit code 6",
    ],
    "stop-and-probe-with-hostile-parameters": ["a shell has run the value of ip"],
    "a-life-leaves-nothing": [
        "start: a process that was started holds stdout or stderr",
        "start: a process was left in the agent's process group",
        "after stop there is still file /run/faulty-left", "after stop there is still process sleep 61",
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FOUND))
def test_finds(faulty: Subject, name: str) -> None:
    faulty.path = f"{RESOURCES}/heartbeat/faulty"
    (rule,) = (rule for rule in RULES if rule.name == name)
    found = "\n".join(rule.findings(faulty))
    assert [sentence for sentence in FOUND[name] if sentence not in found] == [], found


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "no agent given"),
        (("heartbeat:IPaddr22",), "heartbeat/IPaddr22: not found"),
        (("pacemaker:Dummy", "--only", "no-such-rule"), "invalid choice: 'no-such-rule'"),
        (("pacemaker:Dummy", "--only", "metadata-is-complete", "--prepare", "echo no such thing; false"), "no such thing"),
    ],
)
def test_what_cannot_be_tried_is_no_success(arguments: tuple[str, ...], complaint: str) -> None:
    command = [sys.executable, "-m", "ocfpy.testkit", *arguments]
    environ = {"PYTHONPATH": str(ROOT / "lib"), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_command_line_and_plugin(tmp_path: Path) -> None:
    """Both say the same, on an agent that keeps the rule and on one that does not."""
    environ = {"PYTHONPATH": str(ROOT / "lib"), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    for rule, broken in (("more-arguments-are-ignored", 0), ("migration-takes-over", 1)):
        command = [sys.executable, "-m", "ocfpy.testkit", "pacemaker:Dummy", "--only", rule]
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == broken, done.stdout + done.stderr
        assert f"{'FAIL' if broken else 'ok  '} {rule}: " in done.stdout
        pytest_command = [
            sys.executable, "-m", "pytest", "-p", "ocfpy.testkit.plugin", "-p", "no:cacheprovider", "-q",
            "--ocf-agent", f"{RESOURCES}/pacemaker/Dummy", "-k", rule, "--rootdir", str(tmp_path), "-c", "/dev/null",
        ]  # fmt: skip
        done = subprocess.run(
            pytest_command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == broken, done.stdout + done.stderr
        assert f"1 {'failed' if broken else 'passed'}" in done.stdout
