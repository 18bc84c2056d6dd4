"""Records which check's code runs, in a page of memory that outlives the process, to know which check killed it."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Generator

SIZE = mmap.PAGESIZE
_ID = struct.Struct("=Q")
_NONE = _ID.pack(0)


def new_page() -> tuple[int, mmap.mmap]:
    """Create a page to share; return it and the descriptor by which another process maps it. Raises OSError."""
    fd = os.memfd_create("running-check")
    try:
        os.ftruncate(fd, SIZE)
        return fd, mmap.mmap(fd, SIZE)
    except BaseException:
        os.close(fd)
        raise


def running(page: mmap.mmap) -> int:
    """The check that runs, 0 when none does."""
    number: int = _ID.unpack_from(page)[0]
    return number


class Mark:
    """Marks a check as running for as long as the `with` lasts."""

    __slots__ = ("_id", "_page")

    def __init__(self, page: mmap.mmap, number: int) -> None:
        self._page = page
        self._id = _ID.pack(number)

    def __enter__(self) -> None:
        self._page[: _ID.size] = self._id

    def __exit__(self, *_: object) -> None:
        self._page[: _ID.size] = _NONE


class Marked(Coroutine[Any, Any, None]):
    """A coroutine that is marked whenever it runs, and not while it waits; asyncio.Task takes it like any other."""

    __slots__ = ("_mark", "_work")

    def __init__(self, mark: Mark, work: Coroutine[Any, Any, None]) -> None:
        self._mark = mark
        self._work = work

    def send(self, value: Any) -> Any:
        """Like a coroutine's."""
        with self._mark:
            return self._work.send(value)

    def throw(self, *error: Any) -> Any:
        """Like a coroutine's."""
        with self._mark:
            return self._work.throw(*error)

    def close(self) -> None:
        """Like a coroutine's."""
        with self._mark:
            self._work.close()

    def __await__(self) -> Generator[Any, Any, None]:
        raise TypeError("only a task runs it")
