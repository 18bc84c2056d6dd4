"""Keeps the list of servers that are drained by hand, although the directory may be on a file server that hangs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from ocfpy.healthd.drained import Drained

if TYPE_CHECKING:
    from collections.abc import Awaitable, Hashable

    from ocfpy.ipvs.model import RealServer
    from ocfpy.ocf.context import Log
    from ocfpy.pool.spec import PoolSpec

    Look = Callable[[Hashable, Callable[[], object], float], Awaitable[bool]]

LOOK_S = 0.5
"""Longest time that one read of the drain directory delays the table."""


async def look_at_once(name: Hashable, work: Callable[[], object], seconds: float) -> bool:
    """Like `look` in checks.files, but without a thread: for files that cannot hang."""
    work()
    return True


class DrainList:
    """The drained servers of a pool, as read last.

    `look(name, work, seconds)` runs `work`, which does file I/O, and returns whether it finished within the time; `work` is never
    abandoned.
    """

    def __init__(self, log: Log, look: Look) -> None:
        self._log = log
        self._look = look
        self._drained = Drained("", "")
        self._directory = ""
        self._has_changed = False
        self._hangs = False

    def __contains__(self, real: RealServer) -> bool:
        return real in self._drained

    def go_over(self, spec: PoolSpec) -> None:
        """Use the directory of another specification from now on."""
        self._drained = Drained(spec.drain_dir, spec.resource, spec.drain_hosts)
        self._directory = spec.drain_dir

    async def read(self) -> bool:
        """Read the directory; return whether the list has changed since the last call."""
        drained = self._drained

        def work() -> None:
            if drained.read():
                self._has_changed = True

        hangs = not await self._look(drained, work, LOOK_S)
        if hangs and not self._hangs:
            self._log.warning(f"reading {self._directory} timed out: the last known list of drained servers stays in force")
        self._hangs = hangs
        has_changed, self._has_changed = self._has_changed, False
        return has_changed
