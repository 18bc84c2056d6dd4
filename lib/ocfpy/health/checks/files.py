"""Files that may be a file server's, read in threads: one that is gone holds up those who need its files, and nobody else."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from ocfpy.health.checks.timer import TimedOut, Timer

if TYPE_CHECKING:
    from collections.abc import Hashable

T = TypeVar("T")

_under_way: dict[tuple[asyncio.AbstractEventLoop, Hashable], asyncio.Future[Any]] = {}


async def read(name: Hashable, work: Callable[[], T], timer: Timer) -> T:
    """What `work` returns or raises, which reads the file `name`; those who want it at the same time read it once.

    Nothing can end a thread that waits for a file server. So there is never more than one for a file, and whoever comes
    meanwhile waits for the same. Raises TimedOut.
    """
    loop = asyncio.get_running_loop()
    future = _under_way.get((loop, name))
    if future is None:
        future = _under_way[loop, name] = loop.create_future()
        threading.Thread(target=_run, args=(loop, name, work), name="file", daemon=True).start()
    value, error = await timer.result(future)
    if error is not None:
        raise error
    result: T = value
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
    except TimedOut:
        return False
    finally:
        timer.stop()


def _run(loop: asyncio.AbstractEventLoop, name: Hashable, work: Callable[[], object]) -> None:
    value, failure = None, None
    try:
        value = work()
    except Exception as error:
        failure = error
    try:
        loop.call_soon_threadsafe(_finish, loop, name, (value, failure))
    except RuntimeError:
        pass  # the loop has ended meanwhile


def _finish(loop: asyncio.AbstractEventLoop, name: Hashable, outcome: object) -> None:
    _under_way.pop((loop, name)).set_result(outcome)
