"""Files that may be a file server's, read in threads: one that is gone holds up those who need its files, and nobody else."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from ocfpy.checks.errors import NotMade
from ocfpy.checks.timer import TimedOut, Timer

if TYPE_CHECKING:
    from collections.abc import Hashable

T = TypeVar("T")

MAX_HANGING = 32
"""So many files may hang at the same time, before the others have to wait for them."""

_threads = ThreadPoolExecutor(MAX_HANGING, "file")
_under_way: dict[tuple[asyncio.AbstractEventLoop, Hashable], asyncio.Future[Any]] = {}


async def read(name: Hashable, work: Callable[[], T], timer: Timer) -> T:
    """What `work` returns or raises, which reads the file `name`; those who want it at the same time read it once.

    Nothing can end a thread that waits for a file server. So there is never more than one for a file, and whoever comes
    meanwhile waits for the same. Raises TimedOut, NotMade.
    """
    loop = asyncio.get_running_loop()
    future = _under_way.get((loop, name))
    if future is None:
        try:
            future = _under_way[loop, name] = loop.run_in_executor(_threads, work)
        except RuntimeError as error:  # can't start new thread
            raise NotMade("no thread to read a file with") from error
        future.add_done_callback(lambda done: _end(loop, name, done))
    result: T = await timer.result(future)
    return result


async def look(name: Hashable, work: Callable[[], object], seconds: float) -> bool:
    """Has `work` done as `read` does it, and waits so long for it; whether it is done.

    One that hangs since an earlier call is not waited for, and not begun again.
    """
    loop = asyncio.get_running_loop()
    if (loop, name) in _under_way:
        return False
    timer = Timer(loop, seconds)
    try:
        await read(name, work, timer)
        return True
    except (TimedOut, NotMade):  # the latter: no thread is to be had now
        return False
    finally:
        timer.stop()


def _end(loop: asyncio.AbstractEventLoop, name: Hashable, done: asyncio.Future[Any]) -> None:
    del _under_way[loop, name]
    if not done.cancelled():
        done.exception()  # it has been heard of, even where nobody waits any more
