"""Deadline of one check attempt; every await in a check goes through it."""

from __future__ import annotations

import asyncio
import select
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Callable, TypeVar
from weakref import WeakKeyDictionary, ref

if TYPE_CHECKING:
    import socket

T = TypeVar("T")


class TimedOut(Exception):
    """The time is over."""


class Poller:
    """Waits for many files in one event loop, cheaply.

    The loop's own readers and writers cost a system call for the removal after each wait, and another to find out
    whether there was an error. Here a file is waited for once, and the kernel forgets it when it is closed.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._waiting: dict[int, Callable[[int], None]] = {}
        self._ending: dict[float, deque[tuple[float, int, Callable[[int], None]]]] = {}
        loop.add_reader(self._epoll.fileno(), self._wake)

    @classmethod
    def of(cls, loop: asyncio.AbstractEventLoop) -> Poller:
        """Return the poller of an event loop, which keeps it as one of its readers; it ends with the loop."""
        known = _pollers.get(loop)
        poller = known() if known is not None else None
        if poller is None:
            poller = cls(loop)
            _pollers[loop] = ref(poller)
        return poller

    def wait_for(self, fd: int, events: int, seconds: float, tell: Callable[[int], None]) -> None:
        """Like `wait`, with a time limit: when it is over, `tell` gets 0. All waits of the same length share one timer."""
        self.wait(fd, events, tell)
        end = self._loop.time() + seconds
        ending = self._ending.get(seconds)
        if ending is None:
            ending = self._ending[seconds] = deque()
            self._loop.call_at(end, self._end, seconds)
        ending.append((end, fd, tell))

    def _end(self, seconds: float) -> None:
        ending = self._ending[seconds]
        now = self._loop.time()
        while ending:
            end, fd, tell = ending[0]
            if self._waiting.get(fd) is not tell:
                ending.popleft()
            elif end <= now:
                ending.popleft()
                self.forget(fd)
                tell(0)
            else:
                self._loop.call_at(end, self._end, seconds)
                return
        del self._ending[seconds]

    def wait(self, fd: int, events: int, tell: Callable[[int], None]) -> None:
        """Have `tell` called once with the events that happened, including EPOLLERR and EPOLLHUP."""
        self._waiting[fd] = tell
        try:
            self._epoll.register(fd, events | select.EPOLLONESHOT)
        except FileExistsError:
            self._epoll.modify(fd, events | select.EPOLLONESHOT)

    def forget(self, fd: int) -> None:
        """Forget the wait for the file."""
        self._waiting.pop(fd, None)

    def _wake(self) -> None:
        for fd, events in self._epoll.poll(0):
            tell = self._waiting.pop(fd, None)
            if tell is not None:
                tell(events)


_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, ref[Poller]] = WeakKeyDictionary()


class Timer:
    """One timer of the event loop, instead of the task that asyncio.wait_for has for every wait.

    It never cancels: in an attempt, CancelledError always means that the caller ends the check.
    """

    __slots__ = ("_handle", "_loop", "_over", "_poller", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._loop = loop
        self._poller = Poller.of(loop)
        self._over = False
        self._waiter: asyncio.Future[int] | None = None
        self._handle = loop.call_later(seconds, self._ring)

    def stop(self) -> None:
        """End the attempt's time."""
        self._handle.cancel()

    def _ring(self) -> None:
        self._over = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(TimedOut())

    async def readable(self, file: socket.socket | int) -> None:
        """Return when the file is readable or has an error. Raises TimedOut."""
        await self._ready(file, select.EPOLLIN)

    async def writable(self, file: socket.socket | int) -> bool:
        """Return when the file is writable or has an error; return whether it is writable. Raises TimedOut."""
        return not await self._ready(file, select.EPOLLOUT) & (select.EPOLLERR | select.EPOLLHUP)

    async def result(self, work: asyncio.Future[T]) -> T:
        """Return the result of `work`, which goes on when the time is over. Raises TimedOut."""
        if not work.done():
            if self._over:
                raise TimedOut
            waiter: asyncio.Future[int] = self._loop.create_future()
            self._waiter = waiter

            work.add_done_callback(lambda _: _set(waiter, 0))
            await waiter
        return work.result()

    async def pause(self) -> None:
        """Let other tasks run. Raises TimedOut."""
        await asyncio.sleep(0)
        if self._over:
            raise TimedOut

    async def _ready(self, file: socket.socket | int, events: int) -> int:
        if self._over:
            raise TimedOut
        fd = file if isinstance(file, int) else file.fileno()
        waiter: asyncio.Future[int] = self._loop.create_future()
        self._waiter = waiter
        self._poller.wait(fd, events, partial(_set, waiter))
        try:
            return await waiter
        finally:
            self._poller.forget(fd)


def _set(waiter: asyncio.Future[int], events: int) -> None:
    if not waiter.done():
        waiter.set_result(events)
