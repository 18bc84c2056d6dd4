"""Schedule the checks of this process: begin each at its instants, and limit how many run at a time."""

from __future__ import annotations

import asyncio
import resource
import traceback
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Callable

from ocfpy.checks.result import Result, not_made
from ocfpy.healthd.schedule import delay_until_due, delay_until_retry, phase

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from ocfpy.checks.base import Check
    from ocfpy.healthd.check_request import OnChange
    from ocfpy.healthd.check_state import CheckState

    Wrap = Callable[["ScheduledCheck", Coroutine[object, object, None]], Coroutine[object, object, None]]

BATCH = 32
"""Checks begun in one pass of the event loop. Running checks are served before the next batch, so that an attempt takes as
long as its server does, however many are due."""
DESCRIPTORS_PER_CHECK = 3
"""Descriptors of one check: a command has two pipe ends and a pidfd; udp has its socket and one for the ping."""
SPARE_DESCRIPTORS = 64
"""Descriptors kept free for everything that is not a check."""
MAX_IN_FLIGHT = 4096
"""Most checks under way at the same time, even if the limits allow more."""


def max_in_flight() -> int:
    """Return how many checks may be under way at the same time, from this process's limit of descriptors."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return MAX_IN_FLIGHT
    return max(1, min(MAX_IN_FLIGHT, (soft - SPARE_DESCRIPTORS) // DESCRIPTORS_PER_CHECK))


class ScheduledCheck:
    """One check that is repeated, and the state that its results go to."""

    __slots__ = ("begin", "check", "done", "ended", "in_flight", "offset", "on_change", "started", "state", "task")

    def __init__(
        self, state: CheckState, check: Check, on_change: OnChange, done: Callable[[ScheduledCheck, Result], None]
    ) -> None:
        settings = state.settings
        self.state = state
        self.check = check
        self.on_change = on_change
        self.offset = phase(f"{state.name}|{settings.identity()}", settings.interval)
        self.started = 0.0
        self.ended = False
        self.in_flight = False
        self.done = partial(done, self)
        self.task: asyncio.Task[None] | None = None
        # A thousand plain connections a second should cost next to nothing: they do without a task.
        self.begin = check.shortcut()

    def end(self) -> None:
        """Stop repeating the check; an attempt under way is cancelled or its result is dropped."""
        self.ended = True
        if self.task is not None:
            self.task.cancel()


class CheckLoop:
    """Runs checks. `on_fault` gets any unexpected exception; its check goes on at the next instant.

    Checks that are due at the same instant share a timer, and usually the system calls that wait for them. A check that finds
    `limit` others under way waits for its turn: it starts late, and its timeout starts with it. `wrap` may put another coroutine
    around an attempt.
    """

    def __init__(
        self,
        wall: Callable[[], float],
        on_fault: Callable[[BaseException], None],
        limit: int | None = None,
        wrap: Wrap | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._wall = wall
        self._on_fault = on_fault
        self._limit = limit or max_in_flight()
        self._wrap = wrap
        self._due: dict[int, list[ScheduledCheck]] = {}
        self._waiting: deque[ScheduledCheck] = deque()
        self._woken = False
        self.in_flight = 0

    def begin(self, state: CheckState, check: Check, on_change: OnChange) -> ScheduledCheck:
        """Begin a check: the first attempt follows in a moment, the next ones at once until there is a verdict."""
        scheduled = ScheduledCheck(state, check, on_change, self._done)
        self._enqueue(scheduled)
        return scheduled

    def _enqueue(self, scheduled: ScheduledCheck) -> None:
        self._waiting.append(scheduled)
        self._wake()

    def _wake(self) -> None:
        if not self._woken and self._waiting and self.in_flight < self._limit:
            self._woken = True
            self._loop.call_soon(self._start_batch)

    def _start_batch(self) -> None:
        self._woken = False
        waiting = self._waiting
        for _ in range(BATCH):
            if not waiting or self.in_flight >= self._limit:
                break
            self._start(waiting.popleft())
        self._wake()

    def _start(self, scheduled: ScheduledCheck) -> None:
        if scheduled.ended:
            return
        scheduled.started = self._wall()
        scheduled.in_flight = True
        self.in_flight += 1
        if scheduled.begin is not None:
            try:
                scheduled.begin(self._loop, scheduled.done)
            except Exception as error:
                self._fault(scheduled, error)
            return
        attempt = self._attempt(scheduled)
        scheduled.task = self._loop.create_task(attempt if self._wrap is None else self._wrap(scheduled, attempt))
        scheduled.task.add_done_callback(partial(self._task_done, scheduled))

    async def _attempt(self, scheduled: ScheduledCheck) -> None:
        try:
            result = await scheduled.check.run()
        except Exception as error:
            self._fault(scheduled, error)
        else:
            scheduled.done(result)

    def _task_done(self, scheduled: ScheduledCheck, task: asyncio.Task[None]) -> None:
        if scheduled.task is task:
            scheduled.task = None
            self._release(scheduled)  # it was cancelled, or has reported already

    def _release(self, scheduled: ScheduledCheck) -> None:
        if scheduled.in_flight:
            scheduled.in_flight = False
            self.in_flight -= 1
            self._wake()

    def _fault(self, scheduled: ScheduledCheck, error: Exception) -> None:
        self._on_fault(error)
        what = traceback.format_exception_only(type(error), error)[-1].strip()
        scheduled.done(not_made(what, 0.0))

    def _done(self, scheduled: ScheduledCheck, result: Result) -> None:
        self._release(scheduled)
        if scheduled.ended:
            return
        state = scheduled.state
        before, percent = state.verdict, state.percent
        state.take(result)
        try:
            self._schedule(scheduled, result)
            scheduled.on_change(state, before, percent)
        except Exception as error:
            self._on_fault(error)

    def _schedule(self, scheduled: ScheduledCheck, result: Result) -> None:
        state = scheduled.state
        settings, now = state.settings, self._wall()
        if state.verdict.up is None and result.ok is not None:  # no verdict yet: check again at once
            self._enqueue(scheduled)
            return
        if state.verdict.against and settings.retry_interval:
            delay = delay_until_retry(scheduled.started, now, settings.retry_interval)
        else:
            delay = delay_until_due(scheduled.started, now, settings.interval, scheduled.offset)
        state.next_at = now + delay
        instant = round(1000 * state.next_at)
        due = self._due.get(instant)
        if due is None:
            due = self._due[instant] = []
            self._loop.call_later(delay, self._round, instant)
        due.append(scheduled)

    def _round(self, instant: int) -> None:
        self._waiting.extend(self._due.pop(instant))
        if not self._woken:
            self._start_batch()
