"""Limits what one attempt of a check may cost this node: processor time, searches, and bytes.

A server decides what its answer costs to parse: a DNS message of 64 KiB can take a library half a minute. The timeout of a
check does not help, because no code checks the clock while the processor is busy. So every step of an attempt runs under
an interval timer of processor time, whose signal ends the step where it is, also inside a library. A long call into C does
not handle signals; calls that a server can make long have limits of their own: see tls.py, pattern.py and
protocols/scram.py.
"""

from __future__ import annotations

import signal
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Callable, Generic, TypeVar

from ocfpy.checks.errors import CheckFailed

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

T = TypeVar("T")

WORK_S = 0.5
"""Processor time of one attempt in seconds. A MiB of HTTP over TLS takes 0.02, the costliest password exchange 0.1."""
SEARCH_S = 0.1
"""Processor time in seconds for the regular expression in one attempt; a mebibyte takes a good one 0.005 to 0.03."""
MAX_RECEIVED = 8 << 20
"""Bytes that one attempt may receive on its connections."""
_AGAIN_S = 0.05
"""Seconds until the signal comes again: a library or a finalizer may have swallowed the first exception."""


class OutOfTime(BaseException):
    """Raised in the middle of the work by the signal's handler; not an Exception, so that no library catches it."""


class Budget:
    """What is left for one attempt: seconds of processor time, of those for searches, and bytes to receive."""

    __slots__ = ("bytes", "search_s", "work_s")

    def __init__(self) -> None:
        self.work_s = WORK_S
        self.search_s = SEARCH_S
        self.bytes = MAX_RECEIVED

    def step(self, work: Callable[[], T]) -> T:
        """Return the result of `work`. Raises OutOfTime."""
        global _current
        begun = time.thread_time()
        _current = self
        try:
            return _by(begun + self.work_s, work)
        finally:
            _current = None
            self.work_s -= time.thread_time() - begun

    def search(self, work: Callable[[], T]) -> T:
        """Return the result of `work`, which is a search. Raises OutOfTime, with `search_s` at 0 or less if that is why."""
        begun = time.thread_time()
        try:
            return _by(begun + self.search_s, work)
        finally:
            self.search_s -= time.thread_time() - begun


class within_budget(Generic[T]):
    """Await an attempt; raise CheckFailed when it exceeds its Budget."""

    def __init__(self, attempt: Coroutine[Any, Any, T]) -> None:
        self._attempt = attempt

    def __await__(self) -> Generator[Any, Any, T]:
        budget = Budget()
        step: Callable[[], Any] = partial(self._attempt.send, None)
        try:
            while True:
                try:
                    waits_for = budget.step(step)
                except StopIteration as done:
                    result: T = done.value
                    return result
                try:
                    step = partial(self._attempt.send, (yield waits_for))
                except BaseException as error:  # also a cancellation: it goes to where the attempt waits
                    step = partial(self._attempt.throw, error)
        except OutOfTime:
            _disarm()
            raise CheckFailed(f"the answer takes more than {1000 * WORK_S:g} ms of processor time to parse") from None
        finally:
            self._attempt.close()


def current() -> Budget:
    """The budget of the running attempt; a new one outside of all attempts."""
    return _current or Budget()


def count_received(size: int) -> None:
    """Subtract received bytes from the budget. Raises CheckFailed when the server has sent too many."""
    budget = current()
    budget.bytes -= size
    if budget.bytes < 0:
        raise CheckFailed(f"the server sends more than {MAX_RECEIVED >> 20} MiB")


_current: Budget | None = None
_installed = False
_deadline: float | None = None
"""Processor time of the main thread at which the handler raises."""


def _by(deadline: float, work: Callable[[], T]) -> T:
    """Return the result of `work` before that processor time, or the earlier one of a caller. Raises OutOfTime."""
    global _deadline
    if threading.get_ident() != threading.main_thread().ident:
        return work()  # handlers run in the main thread, where the daemon's checks are
    outer = _deadline
    try:
        _arm(deadline if outer is None else min(deadline, outer))
        return work()
    finally:
        if outer is None:
            _disarm()
        else:
            _arm(outer)


def _arm(deadline: float) -> None:
    global _deadline, _installed
    left = deadline - time.thread_time()
    if left <= 0:
        raise OutOfTime
    if not _installed:
        signal.signal(signal.SIGVTALRM, _ring)
        _installed = True
    _deadline = deadline
    signal.setitimer(signal.ITIMER_VIRTUAL, max(left, 0.001), _AGAIN_S)


def _disarm() -> None:
    global _deadline
    _deadline = None
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _ring(number: int, frame: object) -> None:
    global _deadline
    if _deadline is None:
        return  # it comes too late
    now = time.thread_time()
    if now >= _deadline:
        _deadline = now + _AGAIN_S  # by then the exception has arrived, or has been swallowed
        raise OutOfTime
    # The timer counts the processor time of all threads, and by the tick.
    signal.setitimer(signal.ITIMER_VIRTUAL, max(_deadline - now, 0.001), _AGAIN_S)
