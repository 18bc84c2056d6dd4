"""The time that one attempt of a check has: everything in it that takes time waits here, and ends at its end."""

from __future__ import annotations

import asyncio
import select
from typing import TYPE_CHECKING, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    import socket

T = TypeVar("T")


class TimedOut(Exception):
    """The time is over."""


class Poller:
    """Waits for many files in one event loop, cheaply.

    The loop's own readers and writers have to be taken away again, one system call for each wait, and do not say
    whether there was an error, which is another. Here a file is waited for once, and forgotten by the kernel when it is closed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._epoll = select.epoll()
        self._waiters: dict[int, asyncio.Future[int]] = {}
        loop.add_reader(self._epoll.fileno(), self._wake)

    def wait(self, fd: int, events: int, waiter: asyncio.Future[int]) -> None:
        """Has `waiter` get what of `events` has happened, with EPOLLERR and EPOLLHUP."""
        self._waiters[fd] = waiter
        try:
            self._epoll.register(fd, events | select.EPOLLONESHOT)
        except FileExistsError:
            self._epoll.modify(fd, events | select.EPOLLONESHOT)

    def forget(self, fd: int) -> None:
        """Nobody waits for the file any more."""
        self._waiters.pop(fd, None)

    def _wake(self) -> None:
        for fd, events in self._epoll.poll(0):
            waiter = self._waiters.get(fd)
            if waiter is not None and not waiter.done():
                waiter.set_result(events)


_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, Poller] = WeakKeyDictionary()


class Timer:
    """One timer of the event loop, instead of the task that asyncio.wait_for has for every wait.

    It never cancels: in an attempt, CancelledError always means that somebody wants the check to end.
    """

    __slots__ = ("_handle", "_loop", "_over", "_poller", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        poller = _pollers.get(loop)
        if poller is None:
            poller = _pollers[loop] = Poller(loop)
        self._loop = loop
        self._poller = poller
        self._over = False
        self._waiter: asyncio.Future[int] | None = None
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
        await self._ready(file, select.EPOLLIN)

    async def writable(self, file: socket.socket | int) -> bool:
        """Returns when something can be written, or an error is to be had; whether it is the former. Raises TimedOut."""
        return not await self._ready(file, select.EPOLLOUT) & (select.EPOLLERR | select.EPOLLHUP)

    async def result(self, work: asyncio.Future[T]) -> T:
        """What `work` comes to; it goes on when the time is over. Raises TimedOut."""
        if not work.done():
            if self._over:
                raise TimedOut
            waiter: asyncio.Future[int] = self._loop.create_future()
            self._waiter = waiter

            def wake(_: asyncio.Future[T]) -> None:
                if not waiter.done():
                    waiter.set_result(0)

            work.add_done_callback(wake)
            await waiter
        return work.result()

    async def pause(self) -> None:
        """Lets others have their turn. Raises TimedOut."""
        await asyncio.sleep(0)
        if self._over:
            raise TimedOut

    async def _ready(self, file: socket.socket | int, events: int) -> int:
        if self._over:
            raise TimedOut
        fd = file if isinstance(file, int) else file.fileno()
        waiter: asyncio.Future[int] = self._loop.create_future()
        self._waiter = waiter
        self._poller.wait(fd, events, waiter)
        try:
            return await waiter
        finally:
            self._poller.forget(fd)
