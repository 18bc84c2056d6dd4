"""How much a checker may say: as much as its checks give cause for, so that one that floods the keeper is found out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Callable

from ocfpy.healthd.checker_protocol import HEARTBEAT_S, Malformed

if TYPE_CHECKING:
    from ocfpy.checks.settings import CheckSettings

SPARE = 16.0
"""Messages that are always allowed at once: the checker, or the keeper, may have been held up and catches up."""
SAVED_S = 10.0
"""Seconds for which what was not used is still allowed."""
MARGIN = 4.0
"""An attempt has one message as a rule; timers fire early, clocks are set, and a fault is told besides."""
LEAST_INTERVAL_S = 0.01
"""Attempts closer to each other than this are not told apart."""


class Allowance:
    """A token bucket: `rate` messages per second, and `spare` at once. `clock` gives seconds."""

    __slots__ = ("_at", "_cap", "_clock", "_left", "_rate")

    def __init__(self, rate: float, spare: float = SPARE, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._cap = self._left = spare + rate * SAVED_S
        self._at = clock()

    def grant(self, messages: int) -> None:
        """Allow more messages: the checker was asked for something that it answers with them."""
        self._left += messages

    def take(self) -> bool:
        """Count a message; return whether it is allowed."""
        now = self._clock()
        if self._left < self._cap:
            self._left = min(self._cap, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def spend(self, what: str) -> None:
        """Count a message. Raises Malformed when it is not allowed."""
        if not self.take():
            raise Malformed(f"{what} more often than its checks give cause for")


def allowance_of(settings: CheckSettings) -> Allowance:
    """What may be said of one check: something new for each attempt. Half an interval is the least between two (schedule.py)."""
    pause = min(settings.interval / 2, settings.retry_interval or settings.interval)
    return Allowance(MARGIN / max(pause, LEAST_INTERVAL_S))


def attempts_in_a_hurry(settings: CheckSettings) -> int:
    """How many attempts follow each other without a pause until there is a verdict, and what is told of them besides."""
    return int(MARGIN) * (settings.rise + settings.fall)


def allowance_of_process() -> Allowance:
    """What a checker may say besides: heartbeats."""
    return Allowance(MARGIN / HEARTBEAT_S)


def allowance_of_faults() -> Allowance:
    """Faults that a checker tells and that are logged: 10 at once and one a minute, so that the log has room for others."""
    return Allowance(1 / 60, 10)
