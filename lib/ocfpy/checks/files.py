"""Read files in threads, so that a hung NFS server stalls only the checks that need it."""

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
"""Most files that may hang at the same time before other files have to wait."""

_threads = ThreadPoolExecutor(MAX_HANGING, "file")
_under_way: dict[tuple[asyncio.AbstractEventLoop, Hashable], asyncio.Future[Any]] = {}


async def read(name: Hashable, work: Callable[[], T], timer: Timer) -> T:
    """Return the result of `work`, which reads the file `name`; simultaneous callers share one read.

    Nothing can end a thread that waits for a file server. So there is at most one for a file, and later callers
    wait for the same. Raises TimedOut, NotMade.
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
    """Run `work` like `read`, and wait up to this time; return whether it finished.

    A read that still hangs since an earlier call is neither waited for nor started again.
    """
    loop = asyncio.get_running_loop()
    if (loop, name) in _under_way:
        return False
    timer = Timer(loop, seconds)
    try:
        await read(name, work, timer)
        return True
    except (TimedOut, NotMade):  # the latter: no thread is available
        return False
    finally:
        timer.stop()


def _end(loop: asyncio.AbstractEventLoop, name: Hashable, done: asyncio.Future[Any]) -> None:
    del _under_way[loop, name]
    if not done.cancelled():
        done.exception()  # mark it as retrieved, even if no caller waits any more
