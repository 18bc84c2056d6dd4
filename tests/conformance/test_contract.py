"""The rules for every agent: OCF 1.1, Pacemaker's executor, and our own rules."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from lxml import etree
from ocfpy.testkit import Executor, Result

from tests.conformance.subjects import AGENTS, SUBJECTS, Subject

if TYPE_CHECKING:
    from ocfpy.testkit import Sandbox

# What no parameter may let through; an environment cannot hold a NUL.
CONTROL = ["192.0.2.1\nrm -rf /", "a\tb", "\x01", "x\x7f", "\x1b[31m", "a\r", "\u2028", "\xad\n"]


def clean(result: Result, code: int) -> Result:
    """A success says nothing, a failure gives one reason; neither leaves processes or open pipes."""
    assert result.code == code, result
    assert len(result.reasons) == (0 if code in (0, 7) else 1), result
    assert all(reason.strip() and reason.isprintable() for reason in result.reasons), result
    assert not result.pipes_held, "a process that was started holds stdout or stderr"
    assert not result.left_in_group, "a process was left in the agent's process group"
    return result


def quiet(result: Result, code: int) -> None:
    assert (clean(result, code).out, result.err) == ("", ""), result


def parameters(agent: Executor) -> list[etree._Element]:
    return list(etree.fromstring(clean(agent.run("meta-data"), 0).out.encode()).iter("parameter"))


def names(agent: Executor, required: bool = False) -> list[str]:
    return [p.get("name", "") for p in parameters(agent) if not required or p.get("required") == "1"]


class TestCall:
    def test_unknown_action(self, agent: Executor) -> None:
        for action in (
            "promote",
            "demote",
            "notify",
            "reload",
            "status",
            "Start",
            "start;id",
            "monitor\n",
            "--help",
        ):
            assert agent.run(action).code == 3, action

    def test_no_action(self, agent: Executor) -> None:
        assert agent.run("").code not in (0, None)

    def test_usage(self, agent: Executor, subject: Subject) -> None:
        assert clean(agent.run("usage"), 0).out.startswith(f"usage: {subject.agent} {{start|stop|monitor|")

    def test_more_arguments_are_ignored(self, agent: Executor) -> None:
        assert agent.run("meta-data", "stop", "--help").out == agent.run("meta-data").out
        quiet(agent.run("monitor", "start"), 7)

    def test_nonsense_from_pacemaker(self, agent: Executor) -> None:
        for meta in ("", "0", "-1", "soon", "1e9", "9" * 40):
            env = {f"OCF_RESKEY_CRM_meta_{name}": meta for name in ("timeout", "interval")}
            quiet(agent.run("monitor", env={**env, "OCF_CHECK_LEVEL": meta}), 7)

    def test_any_check_level(self, agent: Executor) -> None:
        for level in ("0", "5", "10", "20", "99"):
            quiet(agent.probe(env={"OCF_CHECK_LEVEL": level}), 7)


class TestValidateAll:
    def test_silent(self, agent: Executor) -> None:
        quiet(agent.run("validate-all"), 0)
        assert agent.place.files() == []

    def test_needs_no_cluster_and_no_root(self, agent: Executor) -> None:
        params = {f"OCF_RESKEY_{name}": value for name, value in agent.params.items()}
        quiet(
            agent.run(
                "validate-all", env={**params, "OCF_ROOT": "/usr/lib/ocf"}, replace_env=True, as_nobody=True
            ),
            0,
        )

    def test_the_defaults_are_valid(self, agent: Executor) -> None:
        contents = {p.get("name", ""): p.find("content").get("default") for p in parameters(agent)}
        defaults = {name: default for name, default in contents.items() if default is not None}
        quiet(agent.run("validate-all", params={**defaults, **agent.params}), 0)

    def test_level_10_looks_at_the_host(self, agent: Executor, subject: Subject) -> None:
        result = clean(agent.run("validate-all", env={"OCF_CHECK_LEVEL": "10"}), subject.start_code)
        assert subject.start_reason in "".join(result.reasons)


class TestBadConfiguration:
    """Reported whole where it matters; where it does not, in stop and probe, it is no obstacle."""

    @pytest.mark.parametrize("action", ["start", "validate-all"])
    def test_everything_missing(self, agent: Executor, action: str) -> None:
        # An agent that can be configured in two ways has no parameter that is always required.
        required = names(agent, required=True) or list(agent.params)
        for empty in ({}, dict.fromkeys(required, "")):
            (reason,) = clean(agent.run(action, params=empty), 6).reasons
            assert all(f"parameter {name}: required" in reason for name in required)

    def test_stop_and_probe_with_everything_missing(self, agent: Executor) -> None:
        for params in ({}, dict.fromkeys(names(agent), "")):
            quiet(agent.run("stop", params=params), 0)
            quiet(agent.probe(params=params), 7)

    @pytest.mark.parametrize("bad", CONTROL, ids=ascii)
    def test_everything_malformed(self, agent: Executor, bad: str) -> None:
        params = dict.fromkeys(names(agent), bad)
        quiet(agent.run("stop", params=params), 0)
        quiet(agent.probe(params=params), 7)
        for action in ("start", "validate-all", "monitor"):
            result = agent.run(action, params=params, interval_s=10)
            (reason,) = clean(result, 6).reasons
            assert all(f"parameter {name}: " in reason for name in params), "some faults are not reported"

    def test_each_malformed(self, agent: Executor) -> None:
        for name in names(agent):
            params = {**agent.params, name: "x\ny"}
            quiet(agent.run("stop", params=params), 0)
            quiet(agent.probe(params=params), 7)
            (reason,) = clean(agent.run("start", params=params), 6).reasons
            assert reason.startswith(f"parameter {name}: ")
            assert "; parameter" not in reason, "a consequence is reported as if it were another fault"

    def test_endless_values(self, agent: Executor) -> None:
        for name in names(agent):
            params = {**agent.params, name: "1" * 100_000}
            quiet(agent.run("stop", params=params), 0)
            (reason,) = clean(agent.run("start", params=params), 6).reasons
            assert len(reason) < 1000

    def test_parameters_of_pacemaker(self, agent: Executor) -> None:
        quiet(agent.run("validate-all", params={**agent.params, "crm_feature_set": "3", "trace_ra": "0"}), 0)

    def test_unknown_parameters(self, agent: Executor) -> None:
        """A warning that names them, and nothing else: a resource that has run for years goes on running."""
        result = clean(agent.run("validate-all", params={**agent.params, "nonsense": "\n"}), 0)
        (line,) = result.err.splitlines()
        assert (line.startswith("WARNING: "), "nonsense" in line, result.out) == (True, True, ""), result


class TestMissingTools:
    def test_stop_and_probe(self, agent: Executor) -> None:
        for env in ({"OCF_TESTER_FAIL_HAVE_BINARY": "1"}, {"PATH": "/nonexistent"}, {"PATH": ""}):
            quiet(agent.run("stop", env=env), 0)
            quiet(agent.probe(env=env), 7)

    def test_empty_environment(self, agent: Executor) -> None:
        quiet(agent.run("stop", replace_env=True), 0)
        quiet(agent.probe(replace_env=True), 7)
        clean(agent.run("start", replace_env=True), 6)

    def test_start_says_what_is_missing(self, agent: Executor, subject: Subject) -> None:
        result = clean(agent.run("start"), subject.start_code)
        assert subject.start_reason in "".join(result.reasons)
        quiet(agent.run("stop"), 0)
        quiet(agent.probe(), 7)
        assert agent.place.files() == []

    def test_stop_of_what_was_started_before_the_tools_went(self, agent: Executor, subject: Subject) -> None:
        """A record is there, as after a start, and nothing that it speaks of."""
        clean(agent.run("start"), subject.start_code)
        quiet(agent.run("stop", params={}), 0)
        quiet(agent.probe(params={}), 7)


class TestNotRoot:
    def test_monitor_and_start(self, agent: Executor) -> None:
        assert agent.probe(as_nobody=True).code in (7, 4, 1)
        result = agent.run("start", as_nobody=True)
        assert result.code not in (0, None, 6, 7), result
        assert len(result.reasons) == 1


@pytest.mark.parametrize(
    "subject", [subject for subject in SUBJECTS if subject.starts], indirect=True, ids=str
)
class TestLife:
    """Start to stop and back, for those that can without IPVS or FRR; lab and frr have the rest."""

    def test_twice_over(self, agent: Executor) -> None:
        before = agent.place.run("ip", "address").stdout
        for _ in range(2):
            quiet(agent.probe(), 7)
            clean(agent.run("start"), 0)
            clean(agent.run("start"), 0)
            quiet(agent.probe(), 0)
            quiet(agent.monitor(), 0)
            clean(agent.run("stop"), 0)
            clean(agent.run("stop"), 0)
            quiet(agent.probe(), 7)
        assert agent.place.run("ip", "address").stdout == before
        assert agent.place.files() == []

    def test_stop_when_the_configuration_is_gone(self, agent: Executor) -> None:
        for bad in ({}, {**agent.params, "ip": "x\ny"}):
            clean(agent.run("start"), 0)
            # It is there; whether it is as it should be depends on parameters that may be gone.
            assert agent.probe(params=bad).code in (0, 1)
            clean(agent.run("stop", params=bad), 0)
            quiet(agent.probe(), 7)

    def test_stop_when_the_state_is_gone(self, agent: Executor) -> None:
        clean(agent.run("start"), 0)
        agent.place.run("find", "/run/resource-agents", "-name", "*.state", "-delete")
        quiet(agent.monitor(), 0)
        clean(agent.run("stop"), 0)
        quiet(agent.probe(), 7)

    def test_migration(self, agent: Executor) -> None:
        assert agent.run("migrate_to").code == 1
        clean(agent.run("migrate_from"), 0)
        clean(agent.run("migrate_to"), 0)
        quiet(agent.monitor(), 0)
        clean(agent.run("stop"), 0)

    def test_many_at_once(self, sandbox: Sandbox, subject: Subject) -> None:
        resources = [
            Executor(
                sandbox, subject.path, {**subject.params, "ip": f"192.0.2.{n}"}
                | ({"path": f"/run/sample.{n}"} if subject.agent == "sample" else {}), f"many-{n}",
            )
            for n in range(1, 9)
        ]  # fmt: skip
        with ThreadPoolExecutor(len(resources)) as pool:
            for action, code in (("start", 0), ("monitor", 0), ("stop", 0), ("monitor", 7)):
                for result in pool.map(lambda resource, action=action: resource.run(action), resources):
                    clean(result, code)
        assert sandbox.files() == []


class TestHang:
    """Pacemaker's SIGKILL at the timeout explains nothing; the agent answers before it."""

    @pytest.mark.parametrize(
        ("method", "action"),
        [
            ("start", "start"),
            ("observe", "start"),
            ("check_host", "start"),
            ("observe", "monitor"),
            ("stop", "stop"),
        ],
    )
    def test_hanging_method(self, sandbox: Sandbox, method: str, action: str) -> None:
        agent = Executor(sandbox, f"{AGENTS}/sample", {"ip": "192.0.2.1"})
        if action != "start":
            clean(agent.run("start"), 0)
        result = agent.run_in_time(action, 2.5, params={**agent.params, "hang": method})
        (reason,) = clean(result, 1).reasons
        assert reason.startswith(f"{action} is stuck")
        clean(agent.run("stop"), 0)
        quiet(agent.probe(), 7)

    def test_a_bgpd_that_does_not_answer(self, sandbox: Sandbox) -> None:
        agent = Executor(
            sandbox, f"{AGENTS}/bgp-announce", {"prefix": "192.0.2.53", "allowed_prefixes": "192.0.2.0/24"}
        )
        program = (
            "import socket,time; s = socket.socket(socket.AF_UNIX); s.bind('/run/frr/bgpd.vty'); s.listen(8)"
        )
        script = f'mkdir /run/frr; /usr/bin/python3 -c "{program}; time.sleep(60)" >/dev/null 2>&1 & '
        sandbox.run("sh", "-c", script + "until [ -S /run/frr/bgpd.vty ]; do sleep 0.02; done")
        clean(agent.run_in_time("monitor", 6.0, interval_s=10), 1)
