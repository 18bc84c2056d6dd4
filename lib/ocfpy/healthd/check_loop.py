"""The checks of a pool, each begun again and again at its instants."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Callable

from ocfpy.healthd.schedule import delay_until_due, delay_until_retry, phase

if TYPE_CHECKING:
    from ocfpy.checks.base import Check, Result
    from ocfpy.healthd.check_state import CheckState


class Run:
    """One check that is run again and again, for one watch."""

    __slots__ = ("begin", "check", "done", "ended", "offset", "started", "task", "watch")

    def __init__(self, watch: CheckState, check: Check, done: Callable[[Run, Result], None]) -> None:
        settings = watch.settings
        self.watch = watch
        self.check = check
        self.offset = phase(f"{watch.name}|{settings.identity()}", settings.interval)
        self.started = 0.0
        self.ended = False
        self.done = partial(done, self)
        self.task: asyncio.Task[None] | None = None
        # A thousand mere connections a second should cost next to nothing: they do without a task.
        self.begin = check.shortcut()

    def end(self) -> None:
        """It is not begun again; what is under way is cancelled, or says nothing any more."""
        self.ended = True
        if self.task is not None:
            self.task.cancel()


class CheckLoop:
    """Begins checks. `note` gets each result; `on_fault` gets an exception that nothing here expects.

    Checks that are due at the same instant share a timer, and so, as a rule, the system calls that wait for them.
    """

    def __init__(
        self,
        wall: Callable[[], float],
        note: Callable[[CheckState, Result], None],
        on_fault: Callable[[BaseException], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._wall = wall
        self._note = note
        self._on_fault = on_fault
        self._due: dict[int, list[Run]] = {}

    def begin(self, watch: CheckState, check: Check) -> Run:
        """From now on; the first time in a moment, and again at once until there is a verdict."""
        run = Run(watch, check, self._done)
        self._loop.call_soon(self._start, run)
        return run

    def _start(self, run: Run) -> None:
        if run.ended:
            return
        try:
            run.started = self._wall()
            if run.begin is not None:
                run.begin(self._loop, run.done)
            else:
                run.task = self._loop.create_task(self._attempt(run))
        except Exception as error:
            self._on_fault(error)

    async def _attempt(self, run: Run) -> None:
        try:
            result = await run.check.run()
        except Exception as error:
            self._on_fault(error)
        else:
            run.done(result)

    def _done(self, run: Run, result: Result) -> None:
        if run.ended:
            return
        try:
            watch = run.watch
            self._note(watch, result)
            if watch.verdict.up is None:  # we are in a hurry
                self._loop.call_soon(self._start, run)
                return
            settings, now = watch.settings, self._wall()
            if watch.verdict.against and settings.retry_interval:
                delay = delay_until_retry(run.started, now, settings.retry_interval)
            else:
                delay = delay_until_due(run.started, now, settings.interval, run.offset)
            watch.next_at = now + delay
            self._later(run, delay)
        except Exception as error:
            self._on_fault(error)

    def _later(self, run: Run, delay: float) -> None:
        instant = round(1000 * run.watch.next_at)
        due = self._due.get(instant)
        if due is None:
            due = self._due[instant] = []
            self._loop.call_later(delay, self._round, instant)
        due.append(run)

    def _round(self, instant: int) -> None:
        for run in self._due.pop(instant):
            self._start(run)
