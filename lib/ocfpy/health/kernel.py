"""The kernel's IPVS table as the daemon uses it: kept as it is wanted, without holding up the checks."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Callable, Protocol, TypeVar

from ocfpy.health.desired import Busy
from ocfpy.health.hints import come_back
from ocfpy.ipvs.plan import Change, plan
from ocfpy.ipvs.proc import read_proc
from ocfpy.ipvs.table import IpvsTable
from ocfpy.ocf.errors import OcfError, PermissionDeniedError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Set

    from ocfpy.ipvs.model import RealKey, Table, VirtualService
    from ocfpy.ipvs.proc import ProcService

    ProcTable = dict[VirtualService, ProcService]
    Connections = dict[tuple[VirtualService, RealKey], Busy]

T = TypeVar("T")

FULL_COMPARE_EVERY = 10
"""/proc shows neither thresholds nor persistence: every so many comparisons the whole table is read."""


class TableLike(Protocol):
    """What is needed of ocfpy.ipvs.table.IpvsTable."""

    def read(self) -> Table:
        """What the kernel holds."""

    def connections(self, virtual: VirtualService) -> dict[RealKey, tuple[int, int]]:
        """How many connections and persistent clients each real server of a service has."""

    def apply(self, changes: list[Change]) -> None:
        """Makes the changes; raises OcfError."""


class Kernel:
    """The table behind a thread of its own: a change may wait while the kernel loads a scheduler's module."""

    def __init__(
        self,
        open_table: Callable[[], TableLike] = IpvsTable,
        read_proc: Callable[[], ProcTable] = read_proc,
        come_back: Callable[[], bool] = come_back,
    ) -> None:
        self._open_table = open_table
        self._read_proc = read_proc
        self._come_back = come_back
        self._thread = ThreadPoolExecutor(1, "ipvs")
        self._table: TableLike | None = None
        self._known: Table | None = None
        self._comparisons = 0

    async def read(self) -> Table:
        """What the kernel holds, of everybody. Raises OcfError."""
        return await self._in_thread(self._read)

    async def connections(self, virtual: Iterable[VirtualService]) -> Connections:
        """What keeps each real server of some services busy. Raises OcfError.

        Persistent clients do only where they come back to a server at weight 0: otherwise they are remembered for nothing.
        """
        return await self._in_thread(lambda: self._connections(virtual))

    async def make(self, wanted: Table, owned: Set[VirtualService]) -> list[Change]:
        """Makes the table what is wanted, from what it is known to hold; returns the changes.

        Raises OcfError.
        """
        return await self._in_thread(lambda: self._make(wanted, owned))

    async def keep(self, wanted: Table, owned: Set[VirtualService]) -> list[Change]:
        """Puts right what somebody else changed; returns the changes, which are none as a rule.

        Raises OcfError.
        """
        return await self._in_thread(lambda: self._keep(wanted, owned))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, call)
        except PermissionError as error:
            raise PermissionDeniedError(f"not allowed to see the IPVS table: {error}") from None
        except OSError as error:
            raise ServiceError(f"cannot read the IPVS table: {error}") from None

    def _make(self, wanted: Table, owned: Set[VirtualService]) -> list[Change]:
        if self._known is not None:
            try:
                return self._apply(plan(self._known, wanted, owned), wanted)
            except OcfError:
                pass  # it is not as we knew it: look, and do it again
        return self._reconcile(wanted, owned)

    def _keep(self, wanted: Table, owned: Set[VirtualService]) -> list[Change]:
        self._comparisons += 1
        if self._comparisons % FULL_COMPARE_EVERY and not self._differs(wanted, owned):
            return []
        return self._reconcile(wanted, owned)

    def _reconcile(self, wanted: Table, owned: Set[VirtualService]) -> list[Change]:
        return self._apply(plan(self._read(), wanted, owned), wanted)

    def _apply(self, changes: list[Change], wanted: Table) -> list[Change]:
        self._known = None
        if changes:
            self._opened().apply(changes)
        self._known = wanted
        return changes

    def _read(self) -> Table:
        self._known = self._opened().read()
        return self._known

    def _connections(self, virtual: Iterable[VirtualService]) -> Connections:
        table, come_back = self._opened(), self._come_back()
        return {
            (one, key): Busy(connections, clients if come_back else 0)
            for one in virtual
            for key, (connections, clients) in table.connections(one).items()
        }

    def _opened(self) -> TableLike:
        if self._table is None:
            self._table = self._open_table()
        return self._table

    def _differs(self, wanted: Table, owned: Set[VirtualService]) -> bool:
        try:
            table = self._read_proc()
        except FileNotFoundError:  # no IPVS yet: netlink loads it
            return bool(wanted)
        if any(virtual in table for virtual in owned if virtual not in wanted):
            return True
        return any(
            virtual not in table
            or table[virtual].scheduler != settings.scheduler
            or {key: real.weight for key, real in table[virtual].reals.items()}
            != {key: real.weight for key, real in reals.items()}
            for virtual, (settings, reals) in wanted.items()
        )
