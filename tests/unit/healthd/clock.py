"""An event loop whose time passes only when nothing is left to do, so that minutes take milliseconds."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
EPOCH = 1_800_000_000.0


class _Selector(selectors.SelectSelector):
    """Skips the time that it should have slept."""

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            assert timeout is not None, "nothing will ever happen"
            self.skipped += max(timeout, 0)
        return events


class ClockLoop(asyncio.SelectorEventLoop):
    """Starts at 0.0; `wall` is the same as seconds since the epoch."""

    def __init__(self) -> None:
        self.clock = _Selector()
        super().__init__(self.clock)

    def time(self) -> float:
        return self.clock.skipped

    def wall(self) -> float:
        return EPOCH + self.clock.skipped


def wall() -> float:
    """The wall clock of the running ClockLoop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ClockLoop)
    return loop.wall()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs `work` to its end, and cancels what it leaves behind."""
    loop = ClockLoop()
    asyncio.set_event_loop(loop)
    try:
        result = loop.run_until_complete(work)
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        return result
    finally:
        asyncio.set_event_loop(None)
        loop.close()
