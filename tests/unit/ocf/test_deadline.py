"""Deadlines, on a clock that the test moves."""

from __future__ import annotations

import os
import subprocess
import sys

import ocfpy
import pytest
from ocfpy.ocf.deadline import Deadline
from ocfpy.ocf.errors import DeadlineError

LIB = os.path.dirname(os.path.dirname(ocfpy.__file__))


class Clock:
    """Time passes by sleeping only."""

    def __init__(self) -> None:
        self.now = 100.0
        self.naps: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_remaining_never_goes_below_nothing(clock: Clock) -> None:
    deadline = Deadline(2, clock, clock.sleep)
    assert deadline.remaining() == 2
    clock.now += 3
    assert deadline.remaining() == 0


def test_check_names_what_was_waited_for(clock: Clock) -> None:
    deadline = Deadline(2, clock, clock.sleep)
    deadline.check("the moon")
    clock.now += 2
    with pytest.raises(DeadlineError) as caught:
        deadline.check("the moon")
    assert caught.value.reason == "timed out after 2.0 s waiting for the moon"
    assert caught.value.code == 1


def test_poll_returns_the_first_true_value(clock: Clock) -> None:
    values = iter([0, "", None, 7, 8])
    assert Deadline(2, clock, clock.sleep).poll(lambda: next(values), "a number", every=0.5) == 7
    assert clock.naps == [0.5, 0.5, 0.5]


def test_poll_looks_once_more_at_the_very_end(clock: Clock) -> None:
    deadline = Deadline(1, clock, clock.sleep)
    assert deadline.poll(lambda: clock.now >= 101, "the end", every=0.4)
    assert clock.naps == pytest.approx([0.4, 0.4, 0.2])


def test_poll_looks_at_least_once(clock: Clock) -> None:
    assert Deadline(0, clock, clock.sleep).poll(lambda: True, "what is there already")


def test_poll_gives_up(clock: Clock) -> None:
    with pytest.raises(DeadlineError, match="waiting for godot"):
        Deadline(1, clock, clock.sleep).poll(lambda: False, "godot", every=0.3)
    assert clock.now == pytest.approx(101)


def test_sleep_stops_at_the_deadline(clock: Clock) -> None:
    Deadline(1, clock, clock.sleep).sleep(5)
    assert clock.naps == [1]


def test_age_includes_what_the_process_was_before() -> None:
    program = f"import sys; sys.path.insert(0, {LIB!r}); from ocfpy.ocf.deadline import process_age; print(process_age())"
    argv = ["sh", "-c", 'sleep 0.5; exec "$0" -c "$1"', sys.executable, program]
    assert 0.5 <= float(subprocess.run(argv, capture_output=True, text=True, check=True).stdout) < 60
