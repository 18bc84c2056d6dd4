"""The rules that hold for every agent."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import time
from typing import TYPE_CHECKING

import pytest
from ocfpy.ocf import codes
from ocfpy.ocf.agent import Status
from ocfpy.ocf.errors import (
    ClaimedError,
    ConfigError,
    HostError,
    NotInstalledError,
    OcfError,
    PermissionDeniedError,
    ServiceError,
)
from ocfpy.ocf.state import StateFile

if TYPE_CHECKING:
    from typing import Callable

    from tests.unit.ocf.conftest import Runner, Toy

BAD = {"ip": "not-an-address"}
RECURRING = {"meta_interval": "2000"}
IMPOSSIBLE = [ConfigError, HostError, NotInstalledError]


def raising(error: BaseException) -> Callable[..., object]:
    def act(*_: object) -> object:
        raise error

    return act


def saying(status: Status) -> Callable[..., object]:
    return lambda *_: status


def test_a_life(runner: Runner, toy: type[Toy]) -> None:
    assert runner("monitor") == 7
    assert runner("start") == 0
    assert StateFile(runner.state).read() == {"ip": "192.0.2.1"}
    assert runner("start") == 0
    assert runner("monitor") == 0
    assert runner("monitor", **RECURRING) == 0
    assert runner("migrate_to") == 0
    assert runner("stop") == 0
    assert runner("stop") == 0
    assert not runner.recorded
    assert runner("monitor") == 7
    assert (runner.out, runner.err) == ("", "")
    assert toy.served == {}


@pytest.mark.parametrize(
    "action", ["promote", "Start", "start ", "meta_data", "monitor;id", "reload-agent", "reload"]
)
def test_unknown_action(runner: Runner, action: str) -> None:
    assert runner(action) == 3
    assert runner.out == ""


def test_usage(runner: Runner) -> None:
    assert runner("usage") == 0
    assert runner.out.startswith("usage: toy {start|stop|monitor|")
    assert runner("") == 2
    assert runner.err.startswith("usage: toy {")


class TestConfiguration:
    """Judged whole, and before anything is touched."""

    @pytest.mark.parametrize("action", ["start", "validate-all", "migrate_to", "migrate_from"])
    def test_all_faults_on_one_line(self, runner: Runner, toy: type[Toy], action: str) -> None:
        assert runner(action, ip="", mode="x", words="1 a", low="5", high="2") == 6
        assert runner.reason == (
            "parameter ip: required, but not set; parameter mode: 'x' is not one of fast, safe; "
            "parameter words: invalid literal for int() with base 10: 'a'; parameter low: more than high"
        )
        assert toy.calls == []
        assert not runner.recorded

    def test_recurring_monitor(self, runner: Runner) -> None:
        assert runner("monitor", **RECURRING, **BAD) == 6
        assert "parameter ip" in runner.reason

    def test_validate_all_is_silent(self, runner: Runner, toy: type[Toy]) -> None:
        assert runner("validate-all") == 0
        assert (runner.out, runner.err) == ("", "")
        assert toy.calls == []

    def test_validate_all_looks_at_the_host_at_level_10(self, runner: Runner, toy: type[Toy]) -> None:
        toy.plan["check_host"] = raising(HostError("no such interface"))
        assert runner("validate-all") == 0
        runner.environ["OCF_CHECK_LEVEL"] = "10"
        assert runner("validate-all") == 2
        assert runner.reason == "no such interface"

    def test_a_check_that_stumbles_over_a_reported_fault(self, runner: Runner) -> None:
        assert runner("validate-all", low="x") == 6
        assert runner.reason == "parameter low: 'x' is not a whole number"

    def test_a_check_that_stumbles_by_itself_is_a_bug(
        self, runner: Runner, toy: type[Toy], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(toy, "check_config", raising(TypeError("bug")))
        assert runner("validate-all") == 1
        assert "TypeError: bug" in runner.reason

    @pytest.mark.parametrize("bug", [TypeError("bug"), RecursionError("bug"), OverflowError("bug")])
    def test_no_bug_in_a_check_keeps_a_stop_from_its_work(
        self, runner: Runner, toy: type[Toy], monkeypatch: pytest.MonkeyPatch, bug: Exception
    ) -> None:
        runner("start")
        monkeypatch.setattr(toy, "check_config", raising(bug))
        assert runner("monitor") == 0
        assert runner("stop") == 0
        assert runner("monitor") == 7


class TestWarnings:
    """What can be used and is probably not meant: said by start and validate-all, and nothing else changes."""

    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("IP", "did you mean ip?"),
            ("mod", "did you mean mode?"),
            ("check_intervall", "there are ip, mode, words, low, high"),
        ],
    )
    def test_unknown_parameter(self, runner: Runner, name: str, hint: str) -> None:
        warning = f"toy has no parameter {name}, which is ignored: {hint}"
        assert runner("validate-all", **{name: "1"}) == codes.OCF_SUCCESS
        assert runner.err == f"WARNING: {warning}\n"
        assert runner("start", **{name: "1"}) == codes.OCF_SUCCESS
        assert f"WARNING: start: {warning}" in runner.log
        assert runner.err == ""

    def test_what_pacemaker_and_tracing_add_is_not_unknown(self, runner: Runner) -> None:
        added = {"crm_feature_set": "3.19.0", "OCF_CHECK_LEVEL": "0", "trace_dir": "/nowhere", "CRM_something": "1"}
        assert runner("validate-all", **added, meta_timeout="20000") == codes.OCF_SUCCESS
        assert runner("start", **added) == codes.OCF_SUCCESS
        assert runner.err == ""
        assert "WARNING" not in runner.log

    def test_no_other_action_says_it_again(self, runner: Runner) -> None:
        runner("start", typo="1")
        said = runner.log.count("typo")
        for action in ("monitor", "stop"):
            assert runner(action, typo="1", meta_interval="10000") == codes.OCF_SUCCESS
        assert runner.log.count("typo") == said == 1

    def test_faults_come_without_warnings(self, runner: Runner) -> None:
        assert runner("validate-all", typo="1", mode="slow") == codes.OCF_ERR_CONFIGURED
        assert "is not one of fast, safe" in runner.reason


class TestProbe:
    """Nothing makes a probe fail but a service that is there and broken."""

    def test_bad_configuration(self, runner: Runner, toy: type[Toy]) -> None:
        assert runner("monitor", **BAD) == 7
        assert runner("monitor", ip="") == 7
        assert (toy.calls, runner.err) == ([], "")

    def test_bad_configuration_over_a_running_service(self, runner: Runner) -> None:
        runner("start")
        assert runner("monitor", **BAD) == 0

    @pytest.mark.parametrize("error", IMPOSSIBLE)
    def test_impossible_here(self, runner: Runner, toy: type[Toy], error: type[OcfError]) -> None:
        toy.plan["observe"] = raising(error("no such thing"))
        assert runner("monitor") == 7
        assert runner.err == ""

    @pytest.mark.parametrize("error", [ServiceError("in doubt"), OSError("in doubt")])
    def test_doubt_is_not_stopped(self, runner: Runner, toy: type[Toy], error: Exception) -> None:
        toy.plan["observe"] = raising(error)
        assert runner("monitor") == 1
        assert "in doubt" in runner.reason

    def test_zero_interval(self, runner: Runner) -> None:
        assert runner("monitor", meta_interval="0", **BAD) == 7


class TestMonitor:
    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (Status.running(), 0),
            (Status.failed("half of it"), 1),
            (Status.stopped("gone"), 7),
            (Status.degraded("slow"), 190),
        ],
    )
    def test_codes_and_reasons(self, runner: Runner, toy: type[Toy], status: Status, code: int) -> None:
        toy.plan["observe"] = saying(status)
        assert runner("monitor", **RECURRING) == code
        assert (runner.reason if status.reason else "") == status.reason

    @pytest.mark.parametrize(
        ("feature_set", "code"),
        [("3.15.0", 0), ("3.16.2", 0), ("3.17.4", 190), ("3.20.0", 190), ("4.0", 190), ("", 190), ("new", 190)],
    )
    def test_degraded_where_pacemaker_never_forgets_it(
        self, runner: Runner, toy: type[Toy], feature_set: str, code: int
    ) -> None:
        """Pacemaker 2.1.5 (3.16) lists it until an operator cleans up, 2.1.6 (3.17) until failure-timeout."""
        toy.plan["observe"] = saying(Status.degraded("slow"))
        assert runner("monitor", crm_feature_set=feature_set, **RECURRING) == code
        assert runner("monitor", crm_feature_set=feature_set) == code

    @pytest.mark.parametrize(
        ("error", "code"),
        [(NotInstalledError, 5), (HostError, 2), (ServiceError, 1), (PermissionDeniedError, 4)],
    )
    def test_severity(self, runner: Runner, toy: type[Toy], error: type[OcfError], code: int) -> None:
        toy.plan["observe"] = raising(error("why"))
        assert runner("monitor", **RECURRING) == code
        assert runner.reason == "why"

    @pytest.mark.parametrize("timeout", ["9" * 10, "9" * 12, "9" * 15])
    def test_any_timeout(self, runner: Runner, timeout: str) -> None:
        assert runner("monitor", meta_timeout=timeout, **RECURRING) == 7

    def test_a_timeout_that_is_over_before_it_begins(self, runner: Runner) -> None:
        """A millisecond: one machine manages a look in it, another one says that it could not."""
        if runner("monitor", meta_timeout="1", **RECURRING) != 7:
            assert "monitor is stuck" in runner.reason

    def test_what_start_recorded_is_what_is_observed(self, runner: Runner, toy: type[Toy]) -> None:
        runner("start")
        toy.served["192.0.2.2"] = "web"
        toy.served.pop("192.0.2.1")
        assert runner("monitor", ip="192.0.2.2", **RECURRING) == 7


class TestStart:
    def test_claim_is_on_disk_first(self, runner: Runner, toy: type[Toy]) -> None:
        seen: list[bool] = []
        toy.plan["start"] = lambda agent, claim: seen.append(os.path.exists(runner.state))
        assert runner("start") == 0
        assert seen == [True]

    def test_a_running_service_is_adopted(self, runner: Runner, toy: type[Toy]) -> None:
        toy.served["192.0.2.1"] = "other"
        assert runner("start") == 0
        assert "start" not in toy.calls
        assert runner.recorded

    def test_only_observe_counts(self, runner: Runner, toy: type[Toy]) -> None:
        toy.plan["start"] = lambda agent, claim: "did nothing"
        assert runner("start", meta_timeout="1500") == 1
        assert runner.reason.startswith("it is not here (timed out after "), runner.reason
        assert runner.reason.endswith(" s waiting for toy to run)")

    def test_degraded_is_started(self, runner: Runner, toy: type[Toy]) -> None:
        toy.plan["observe"] = saying(Status.degraded("slow"))
        assert runner("start") == 0
        assert runner.err == ""

    def test_host_is_checked_before_anything_is_written(self, runner: Runner, toy: type[Toy]) -> None:
        toy.plan["check_host"] = raising(NotInstalledError("no kernel support"))
        assert runner("start") == 5
        assert not runner.recorded
        assert toy.calls == ["check_host"]

    def test_claim_is_checked_and_written_under_one_lock(self, runner: Runner, toy: type[Toy]) -> None:
        seen: list[tuple[bool, bool]] = []

        def look(agent: Toy, claim: dict[str, str]) -> None:
            seen.append((_is_locked(runner), runner.recorded))

        toy.plan.update(check_claim=look, check_host=look, observe=look, start=look)
        assert runner("start") == 0
        assert seen[:4] == [(False, False), (False, False), (True, False), (False, True)]
        assert not any(locked for locked, _ in seen[3:])

    @pytest.mark.parametrize("action", ["start", "migrate_from"])
    def test_what_another_resource_holds_and_keeps(self, runner: Runner, toy: type[Toy], action: str) -> None:
        """Half of the time is spent waiting for it; the start itself would need the other half."""
        toy.plan["check_claim"] = raising(ClaimedError("resource b has it"))
        begun = time.monotonic()
        assert runner(action) == 1
        assert time.monotonic() - begun >= 0.7
        assert re.fullmatch(r"resource b has it \(waited 0\.[67] s for it to stop\)", runner.reason)
        assert not runner.recorded
        assert toy.calls == []
        with open(runner.environ["HA_LOGFILE"]) as log:
            assert log.read().count(f"{action}: resource b has it: waiting for it to stop") == 1
        assert runner("validate-all") == 0
        runner.environ["OCF_CHECK_LEVEL"] = "10"
        assert runner("validate-all") == 1
        assert runner.reason == "resource b has it", "validate-all does not wait"

    def test_what_another_resource_gives_up_is_waited_for(self, runner: Runner, toy: type[Toy]) -> None:
        """As when a resource is renamed: the one stops while the other one starts."""
        looks = iter([True, True, False, True, False])
        held_under_lock: list[bool] = []

        def look(agent: Toy, claim: dict[str, str]) -> None:
            is_held = next(looks)
            held_under_lock.append(_is_locked(runner))
            if is_held:
                raise ClaimedError("resource b has it")

        toy.plan["check_claim"] = look
        assert runner("start") == 0
        assert held_under_lock == [False, False, False, True, True], "another one was first with the lock, and is waited for"
        assert toy.calls[:3] == ["check_host", "observe", "start"]
        assert toy.served == {"192.0.2.1": "web"}

    def test_what_a_broken_stop_left_is_undone(self, runner: Runner, toy: type[Toy]) -> None:
        runner("start")
        assert runner("start", ip="192.0.2.2") == 0
        assert toy.served == {"192.0.2.2": "web"}
        assert StateFile(runner.state).read() == {"ip": "192.0.2.2"}

    def test_what_the_agent_noted_besides_survives(self, runner: Runner, toy: type[Toy]) -> None:
        runner("start")
        StateFile(runner.state).write({"ip": "192.0.2.1", "dead_since": "5"})
        assert runner("start") == 0
        assert StateFile(runner.state).read() == {"ip": "192.0.2.1", "dead_since": "5"}

    def test_migrate_from_is_a_start(self, runner: Runner, toy: type[Toy]) -> None:
        assert runner("migrate_from") == 0
        assert toy.served == {"192.0.2.1": "web"}
        assert runner.recorded

    @pytest.mark.parametrize(("uid", "advice"), [(1000, "run the agent as root"), (0, "the log of SELinux or AppArmor")])
    def test_not_allowed(
        self, runner: Runner, toy: type[Toy], monkeypatch: pytest.MonkeyPatch, uid: int, advice: str
    ) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: uid)
        toy.plan["start"] = raising(PermissionError(1, "Operation not permitted"))
        assert runner("start") == 4
        assert runner.reason.endswith(advice)


class TestStop:
    """Undoes what start recorded; fails only when something is left."""

    @pytest.mark.parametrize("params", [{"ip": ""}, BAD, {"ip": "1.2.3.4\nrm"}, {"mode": "x", "low": "`id`"}])
    def test_configuration_gone_or_bad(self, runner: Runner, toy: type[Toy], params: dict[str, str]) -> None:
        assert runner("stop", **params) == 0
        runner("start")
        assert runner("stop", **params) == 0
        assert (toy.served, runner.recorded, runner.err) == ({}, False, "")

    def test_the_record_wins_over_new_parameters(self, runner: Runner, toy: type[Toy]) -> None:
        runner("start")
        toy.served["192.0.2.2"] = "other"
        assert runner("stop", ip="192.0.2.2") == 0
        assert toy.served == {"192.0.2.2": "other"}

    def test_a_stray_without_a_record_is_stopped(self, runner: Runner, toy: type[Toy]) -> None:
        toy.served["192.0.2.1"] = "web"
        assert runner("stop") == 0
        assert toy.served == {}

    @pytest.mark.parametrize("error", IMPOSSIBLE)
    @pytest.mark.parametrize("recorded", [True, False])
    def test_missing_tools(
        self, runner: Runner, toy: type[Toy], error: type[OcfError], recorded: bool
    ) -> None:
        if recorded:
            runner("start")
        toy.plan.update(observe=raising(error("no tool")), stop=raising(error("no tool")))
        assert runner("stop") == 0
        assert not runner.recorded

    def test_a_missing_tool_does_not_hide_what_is_left(self, runner: Runner, toy: type[Toy]) -> None:
        runner("start")
        toy.plan["stop"] = raising(NotInstalledError("no tool"))
        assert runner("stop", meta_timeout="1500") == 1
        assert runner.reason.startswith("toy is running (timed out after "), runner.reason
        assert runner.recorded

    def test_failed_stop_says_what_is_left_and_keeps_the_record(self, runner: Runner, toy: type[Toy]) -> None:
        runner("start")
        toy.plan["stop"] = lambda agent, claim: "nothing"
        toy.plan["observe"] = saying(Status.failed("the route is still there"))
        assert runner("stop", meta_timeout="1500") == 1
        assert runner.reason.startswith("the route is still there (timed out after "), runner.reason
        assert runner.reason.endswith(" s waiting for toy to be gone)")
        assert runner.recorded


class TestRunDirectory:
    """It may be full, read-only or forbidden (SELinux): what can be undone is undone, and complaints come after that."""

    def unreadable(self, runner: Runner) -> None:
        """A directory in the place of the record: read and unlink fail for root, too."""
        os.unlink(runner.state)
        os.mkdir(runner.state)

    def test_stop_without_its_record_goes_by_the_parameters(self, runner: Runner, toy: type[Toy]) -> None:
        runner("start")
        self.unreadable(runner)
        seen = []
        toy.plan["observe"] = lambda agent, claim: seen.append(agent.context.state.read())
        assert runner("stop") == 0
        assert toy.served == {}
        assert seen == [{"ip": "192.0.2.1"}], "an agent that looks for the record finds that there was a start"
        assert f"stop: what was started cannot be read: {runner.state}: Is a directory" in runner.log
        assert f"all is stopped, but the record of it stays: {runner.state}: Is a directory" in runner.log

    def test_what_is_left_without_a_record_is_a_failure(self, runner: Runner, toy: type[Toy]) -> None:
        runner("start")
        self.unreadable(runner)
        toy.plan["stop"] = lambda agent, claim: "nothing"
        assert runner("stop", meta_timeout="1500") == 1
        assert runner.reason.startswith("toy is running")

    def test_neither_record_nor_parameters(self, runner: Runner, toy: type[Toy]) -> None:
        runner("start")
        self.unreadable(runner)
        assert runner("stop", ip="rubbish") == 1
        assert f"cannot be read: {runner.state}: Is a directory, and the parameters do not tell either:" in runner.reason
        assert "parameter ip" in runner.reason

    def test_a_record_that_cannot_be_removed(
        self, runner: Runner, toy: type[Toy], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        runner("start")

        def read_only(state: StateFile) -> None:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), state.path)

        monkeypatch.setattr(StateFile, "delete", read_only)
        assert runner("stop") == 0
        assert (toy.served, runner.err) == ({}, "")
        assert f"{runner.state}: Read-only file system" in runner.log

    @pytest.mark.parametrize("undone", [True, False])
    def test_a_stop_that_stumbles_over_a_file(self, runner: Runner, toy: type[Toy], undone: bool) -> None:
        """What counts is whether anything is left."""

        def stop(agent: Toy, claim: dict[str, str]) -> None:
            if undone:
                agent.served.clear()
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), "/run/x")

        runner("start")
        toy.plan["stop"] = stop
        assert runner("stop") == (0 if undone else 1)
        assert runner.recorded is not undone
        said = runner.log if undone else runner.reason
        assert "/run/x: Read-only file system" in said

    @pytest.mark.parametrize("action", ["start", "migrate_from"])
    def test_a_full_disk_is_named(
        self, runner: Runner, toy: type[Toy], monkeypatch: pytest.MonkeyPatch, action: str
    ) -> None:
        def full(fd: int, data: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patch:
            patch.setattr("ocfpy.ocf.state.os.write", full)
            assert runner(action) == 1
        assert runner.reason == f"{action} failed: {runner.state}: No space left on device"
        assert toy.served == {}
        assert os.listdir(os.path.dirname(runner.state)) == ["toy.lock"]

    def test_records_of_others_that_cannot_be_read(self, runner: Runner, toy: type[Toy]) -> None:
        """They stop a start, and no stop."""
        toy.plan["check_claim"] = lambda agent, claim: agent.context.other_claims("toy")
        runner("start")
        os.mkdir(os.path.join(os.path.dirname(runner.state), "toy-other.state"))
        assert runner("start") == 1
        assert "toy-other.state: Is a directory" in runner.reason
        toy.plan["observe"] = lambda agent, claim: agent.context.other_claims("toy") or None
        assert runner("stop") == 0
        assert toy.served == {}


class TestIncompleteRecord:
    """An upgrade adds a key, or the file is empty."""

    @pytest.fixture(params=["", "older=yes\n"])
    def incomplete(self, runner: Runner, request: pytest.FixtureRequest) -> None:
        runner("start")
        with open(runner.state, "w") as file:
            file.write(request.param)

    @pytest.mark.usefixtures("incomplete")
    def test_the_configuration_completes_it(self, runner: Runner, toy: type[Toy]) -> None:
        assert runner("monitor") == 0
        assert runner("monitor", **RECURRING) == 0
        assert runner("migrate_to") == 0
        assert runner("start") == 0
        assert "stop" not in toy.calls
        assert runner("stop") == 0
        assert (toy.served, runner.recorded, runner.err) == ({}, False, "")

    @pytest.mark.usefixtures("incomplete")
    def test_bad_configuration(self, runner: Runner) -> None:
        assert runner("monitor", **BAD) == 7
        assert runner("stop", **BAD) == 0
        assert (runner.recorded, runner.err) == (False, "")
        assert "has no ip" in runner.log

    def test_a_bug_is_not_a_configuration_error(self, runner: Runner, toy: type[Toy]) -> None:
        runner("start")
        toy.plan["stop"] = raising(KeyError("bug"))
        assert runner("stop", **BAD) == 1
        assert runner.recorded


def _is_locked(runner: Runner) -> bool:
    try:
        with open(f"{os.path.dirname(runner.state)}/toy.lock") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


class TestMigrateTo:
    def test_nothing_to_hand_over(self, runner: Runner) -> None:
        assert runner("migrate_to") == 1
        assert runner.reason == "toy is not running here: it is not here"


class TestReload:
    @pytest.fixture(autouse=True)
    def reloadable(self, toy: type[Toy], monkeypatch: pytest.MonkeyPatch) -> None:
        from ocfpy.ocf.agent import Action

        monkeypatch.setattr(toy, "actions", (*toy.actions, Action("reload-agent", "20s")))
        monkeypatch.setattr(
            toy, "reload_agent", lambda agent, claim: agent.served.update(reloaded="yes"), raising=False
        )

    def test_reload(self, runner: Runner, toy: type[Toy]) -> None:
        runner("start")
        assert runner("reload-agent", low="2") == 0
        assert toy.served["reloaded"] == "yes"

    def test_reload_starts_nothing(self, runner: Runner, toy: type[Toy]) -> None:
        assert runner("reload-agent") == 1
        assert toy.served == {}
