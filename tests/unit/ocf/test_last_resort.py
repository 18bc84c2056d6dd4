"""Any failure of an agent, bugs and hangs too, ends in one exit reason and an exit code."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest
from ocfpy.ocf import dispatch
from ocfpy.ocf.agent import Status
from ocfpy.ocf.errors import OcfError

from tests.unit.ocf.test_dispatch import BAD, RECURRING, raising, saying

if TYPE_CHECKING:
    from tests.unit.ocf.conftest import Runner, Toy

SLEEP_S = 20.0
"""How long a hang lasts: the alarm ends it on any machine."""


def test_a_bug(runner: Runner, toy: type[Toy]) -> None:
    toy.plan["start"] = raising(KeyError("not\nexpected"))
    assert runner("start") == 1
    assert runner.reason == r"start failed unexpectedly: KeyError: 'not\nexpected'"
    assert "Traceback" in runner.log


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(0), GeneratorExit(), MemoryError()])
def test_not_even_these(runner: Runner, toy: type[Toy], error: BaseException) -> None:
    toy.plan["start"] = raising(error)
    assert runner("start") == 1
    assert type(error).__name__ in runner.reason


def test_a_reason_is_one_line(runner: Runner, toy: type[Toy]) -> None:
    toy.plan["observe"] = saying(Status.failed("one\ntwo\r\x1b[31m three\u2028four"))
    assert runner("monitor", **RECURRING) == 1
    assert runner.reason == "one two [31m three four"


def test_prefix_of_the_reason(runner: Runner) -> None:
    runner.environ["OCF_EXIT_REASON_PREFIX"] = "why: "
    assert runner("start", **BAD) == 6
    assert runner.err.startswith("why: parameter ip: ")


def test_stuck_action_says_where(runner: Runner, toy: type[Toy]) -> None:
    def hang(agent: Toy, claim: dict[str, str]) -> None:
        agent.context.deadline.step = "godot"
        time.sleep(SLEEP_S)

    toy.plan["start"] = hang
    began = time.monotonic()
    assert runner("start", meta_timeout="400") == 1
    assert time.monotonic() - began < SLEEP_S
    assert runner.reason == "start is stuck, waiting for godot"


def test_stuck_action_that_takes_failure_for_an_answer(runner: Runner, toy: type[Toy]) -> None:
    def hang_twice(agent: Toy, claim: dict[str, str]) -> None:
        try:
            time.sleep(SLEEP_S)
        except OcfError:
            time.sleep(SLEEP_S)

    toy.plan["start"] = hang_twice
    began = time.monotonic()
    assert runner("start", meta_timeout="400") == 1
    assert time.monotonic() - began < SLEEP_S


def test_stuck_action_that_the_cluster_has_long_been_waiting_for(
    toy: type[Toy], runner: Runner, capsys: pytest.CaptureFixture[str]
) -> None:
    toy.plan["start"] = lambda agent, claim: time.sleep(SLEEP_S)
    environ = {**runner.environ, "OCF_RESKEY_CRM_meta_timeout": "60000"}
    began = time.monotonic()
    assert dispatch.main(toy, ["toy", "start"], environ, age_s=59.8) == 1
    assert time.monotonic() - began < SLEEP_S
    assert "start is stuck" in capsys.readouterr().err


def test_no_alarm_is_left(runner: Runner) -> None:
    runner("start")
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_closed_stderr_does_not_change_the_verdict(toy: type[Toy], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)
    assert dispatch.main(toy, ["toy", "start"], {"HA_LOGFACILITY": "none"}) == 6
