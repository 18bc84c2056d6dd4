"""What the daemon confirms in files, so that a monitor of a pool that is plainly running needs neither interpreter nor socket.

`KEY.running` is there for as long as a monitor of the pool would be told "running" and nothing else. `healthd.alive` is
written once a second, after all of these files are right; it says who wrote it and until when it counts. A launcher goes by
the two together (is_daemon_well in agents/launcher.sh).
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Protocol

from ocfpy import __version__
from ocfpy.healthd.client import POOL_PREFIX, RUNNING, RUNNING_SUFFIX
from ocfpy.ocf.state import names_in, replace_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocfpy.healthd.client import Node, Paths

EVERY_S = 1.0
VALID_S = 2.0
"""How long a monitor may go by what a daemon confirmed that hangs since. One that was killed or stopped shows in /proc."""
START_TIME = 19
"""Where the start time is among the fields of /proc/PID/stat, from the third one on (proc_pid_stat(5))."""


class RunningMark:
    """The file that says a pool is plainly running."""

    def __init__(self, paths: Paths) -> None:
        self._path = paths.running
        self._is_there: bool | None = None

    def set(self, verdict: str) -> None:
        """Make the file agree with what a monitor is told. Raises OSError when one that is wrong stays."""
        if verdict == RUNNING:
            if not self._is_there:
                try:
                    os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
                except OSError:
                    return  # without it monitors ask over the socket
                self._is_there = True
        elif self._is_there is not False:
            try:
                os.unlink(self._path)
            except FileNotFoundError:
                pass
            self._is_there = False


class Pool(Protocol):
    """What is needed of ocfpy.healthd.pool_task.PoolTask."""

    mark: RunningMark

    def verdict(self) -> str:
        """What a monitor is told."""


async def confirm(node: Node, pools: Mapping[str, Pool]) -> None:
    """Keep the files as they should be, for as long as the event loop of the daemon turns and it has pools."""
    started = _start_time()
    while True:
        try:
            for pool in list(pools.values()):
                pool.mark.set(_verdict(pool))
            _remove_strays(node, pools)
            if pools:
                since = uptime()
                line = f"{os.getpid()} {started} {__version__} {since} {since + round(VALID_S * 100)}\n"
                replace_file(node.alive, line.encode())
        except OSError:
            pass  # what was confirmed last soon counts no more
        await asyncio.sleep(EVERY_S)


def _verdict(pool: Pool) -> str:
    """What a monitor is told; nothing where that is an exception, which must not end what the other pools live by."""
    try:
        return pool.verdict()
    except Exception:
        return ""


def uptime() -> int:
    """Hundredths of a second since the node was started, as a shell reads them: in a container they may be the container's."""
    with open("/proc/uptime", encoding="ascii") as file:
        return int(file.read().partition(" ")[0].replace(".", ""))


def _start_time() -> str:
    with open("/proc/self/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(") ")[2].split()[START_TIME]


def _remove_strays(node: Node, pools: Mapping[str, Pool]) -> None:
    """Remove the files of pools that this daemon does not run: of a daemon before it."""
    for name in names_in(node.directory):
        is_mark = name.startswith(POOL_PREFIX) and name.endswith(RUNNING_SUFFIX)
        if is_mark and name[len(POOL_PREFIX) : -len(RUNNING_SUFFIX)] not in pools:
            os.unlink(f"{node.directory}/{name}")
