"""The time that one attempt of a check has: everything in it that takes time waits here, and ends at its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Callable, TypeVar

if TYPE_CHECKING:
    import socket

T = TypeVar("T")


class TimedOut(Exception):
    """The time is over."""


class Timer:
    """One timer of the event loop, instead of the task that asyncio.wait_for has for every wait.

    It never cancels: in an attempt, CancelledError always means that somebody wants the check to end.
    """

    __slots__ = ("_handle", "_loop", "_over", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._over = False
        self._waiter: asyncio.Future[None] | None = None
        self._handle = loop.call_later(seconds, self._ring)

    def stop(self) -> None:
        """The attempt is over."""
        self._handle.cancel()

    def _ring(self) -> None:
        self._over = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(TimedOut())

    async def readable(self, file: socket.socket | int) -> None:
        """Returns when something can be read, or an error is to be had. Raises TimedOut."""
        await self._ready(file, self._loop.add_reader, self._loop.remove_reader)

    async def writable(self, file: socket.socket | int) -> None:
        """Returns when something can be written, or an error is to be had. Raises TimedOut."""
        await self._ready(file, self._loop.add_writer, self._loop.remove_writer)

    async def pause(self) -> None:
        """Lets others have their turn. Raises TimedOut."""
        await asyncio.sleep(0)
        if self._over:
            raise TimedOut

    async def _ready(
        self,
        file: socket.socket | int,
        add: Callable[..., object],
        remove: Callable[[int], object],
    ) -> None:
        if self._over:
            raise TimedOut
        fd = file if isinstance(file, int) else file.fileno()
        self._waiter = waiter = self._loop.create_future()
        add(fd, _wake, waiter)
        try:
            await waiter
        finally:
            remove(fd)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
