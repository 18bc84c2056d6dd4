"""Keeps the kernel's IPVS table as the daemon wants it, in a thread, so that checks never wait for it."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable, Protocol, TypeVar

from ocfpy.healthd.sysctl_advice import persistence_pins_clients
from ocfpy.ipvs.plan import Change, plan
from ocfpy.ipvs.proc import read_proc
from ocfpy.ipvs.table import IpvsTable
from ocfpy.ocf.errors import OcfError, PermissionDeniedError, ServiceError
from ocfpy.pool.desired import Busy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Set

    from ocfpy.ipvs.model import RealKey, Table, VirtualService
    from ocfpy.ipvs.proc import ProcService

    ProcTable = dict[VirtualService, ProcService]
    Connections = dict[tuple[VirtualService, RealKey], Busy]
    Only = Callable[[VirtualService], bool]

T = TypeVar("T")

FULL_COMPARE_EVERY = 10
"""/proc lacks thresholds, tunnels and persistence timeouts: after this many comparisons the whole table is read."""
SHARED_S = 0.1
"""Age up to which pools share one read of /proc: they compare their services at the same instants."""
QUICK_S = 0.002
"""A comparison that takes no longer runs in the event loop: a thread costs more than that, and reading /proc never
blocks."""


class TableLike(Protocol):
    """What is needed of ocfpy.ipvs.table.IpvsTable."""

    def read_services(self, virtuals: Iterable[VirtualService]) -> Table:
        """Return these services as the kernel has them, each looked up by its key."""

    def connections(self, virtual: VirtualService) -> dict[RealKey, tuple[int, int]]:
        """Return the connections and persistent clients of each real server of a service."""

    def apply(self, changes: list[Change]) -> None:
        """Make the changes. Raises OcfError."""


class SharedTable:
    """What the workers of all pools share: one thread, one netlink connection, one read of /proc at a time."""

    def __init__(self, read_proc: Callable[[], ProcTable] = read_proc, clock: Callable[[], float] = time.monotonic) -> None:
        self.thread = ThreadPoolExecutor(1, "ipvs")
        self._read = read_proc
        self._clock = clock
        self._table: IpvsTable | None = None
        self._shown: ProcTable | None = None
        self._read_at = 0.0

    def open(self) -> TableLike:
        """The connection; only the thread uses it. Raises OcfError."""
        if self._table is None:
            self._table = IpvsTable()
        return self._table

    def read_proc(self, only: Only) -> ProcTable:
        """Return the services in /proc for which `only` is true, at most SHARED_S old."""
        now = self._clock()
        if self._shown is None or now - self._read_at > SHARED_S:
            self._shown, self._read_at = self._read(), now
        return {virtual: service for virtual, service in self._shown.items() if only(virtual)}

    def forget(self) -> None:
        """Note a change: the next request reads /proc again."""
        self._shown = None


class IpvsWorker:
    """The table of one pool behind a thread: a change may wait while the kernel loads a scheduler's module.

    `thread` is shared by several workers; `changed` is called after every change of the kernel's table.
    """

    def __init__(
        self,
        open_table: Callable[[], TableLike] = IpvsTable,
        read_proc: Callable[[Only], ProcTable] = lambda only: read_proc(only=only),
        persistence_pins_clients: Callable[[], bool] = persistence_pins_clients,
        thread: ThreadPoolExecutor | None = None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._open_table = open_table
        self._read_proc = read_proc
        self._persistence_pins_clients = persistence_pins_clients
        self._thread = thread or ThreadPoolExecutor(1, "ipvs")
        self._changed = changed
        self._job: Future[Any] | None = None
        self._is_quick = False
        self._table: TableLike | None = None
        self._known: Table | None = None
        self._comparisons = 0

    async def read(self, virtuals: Iterable[VirtualService]) -> Table:
        """What the kernel holds of these services, each looked up by its key. Raises OcfError.

        A list of all services may miss one while others come and go, and a node that starts all its pools would read it once for
        each of them.
        """
        return await self._in_thread(lambda: self._read(virtuals))

    async def connections(self, virtual: Iterable[VirtualService]) -> Connections:
        """Return what keeps each real server of some services busy. Raises OcfError.

        Persistent clients count only where they return to a server at weight 0, because they keep it busy.
        """
        return await self._in_thread(lambda: self._connections(virtual))

    async def make(self, wanted: Table, owned: Set[VirtualService]) -> list[Change]:
        """Change the table from its known content to what is wanted; return the changes.

        Raises OcfError.
        """
        return await self._in_thread(lambda: self._make(wanted, owned))

    async def keep(self, wanted: Table, owned: Set[VirtualService]) -> list[Change]:
        """Revert changes by other programs; return the changes made, usually none.

        Raises OcfError.
        """
        self._comparisons += 1
        if self._comparisons % FULL_COMPARE_EVERY and not await self._differs(wanted, owned):
            return []
        return await self._in_thread(lambda: self._reconcile(wanted, owned))

    async def remove(self, owned: Set[VirtualService]) -> list[Change]:
        """Remove these services. Raises OcfError."""
        return await self._in_thread(lambda: self._reconcile({}, owned))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        self._job = job = self._thread.submit(call)
        with _in_words():
            return await asyncio.wrap_future(job)

    async def _differs(self, wanted: Table, owned: Set[VirtualService]) -> bool:
        # The caller of a job may have been cancelled while the job is about to change the table.
        is_idle = self._job is None or self._job.done()
        if not (is_idle and self._is_quick):
            return await self._in_thread(lambda: self._compare(wanted, owned))
        with _in_words():
            return self._compare(wanted, owned)

    def _make(self, wanted: Table, owned: Set[VirtualService]) -> list[Change]:
        if self._known is not None:
            try:
                return self._apply(plan(self._known, wanted, owned), wanted)
            except OcfError:
                pass  # the table is not as expected: read it, and try again
        return self._reconcile(wanted, owned)

    def _reconcile(self, wanted: Table, owned: Set[VirtualService]) -> list[Change]:
        return self._apply(plan(self._read({*wanted, *owned}), wanted, owned), wanted)

    def _apply(self, changes: list[Change], wanted: Table) -> list[Change]:
        self._known = None
        if changes:
            try:
                self._opened().apply(changes)
            finally:
                self._changed()
        self._known = wanted
        return changes

    def _read(self, virtuals: Iterable[VirtualService]) -> Table:
        self._known = self._opened().read_services(virtuals)
        return self._known

    def _connections(self, virtual: Iterable[VirtualService]) -> Connections:
        table, persistence_pins_clients = self._opened(), self._persistence_pins_clients()
        return {
            (one, key): Busy(connections, clients if persistence_pins_clients else 0)
            for one in virtual
            for key, (connections, clients) in table.connections(one).items()
        }

    def _opened(self) -> TableLike:
        if self._table is None:
            self._table = self._open_table()
        return self._table

    def _compare(self, wanted: Table, owned: Set[VirtualService]) -> bool:
        """Return whether /proc differs from what is wanted."""
        begun = time.perf_counter()
        ours, marks = _of(wanted, owned), {virtual.fwmark for virtual in (*wanted, *owned) if virtual.proto is None}
        try:
            shown = self._read_proc(lambda virtual: ours(virtual) or virtual.fwmark in marks)
        except FileNotFoundError:  # no IPVS yet: netlink loads it
            return bool(wanted)
        if any(virtual.proto is None and not service.reals for virtual, service in shown.items()):
            return True  # netlink has to say which family it has, and so whether it is ours
        table = {virtual: service for virtual, service in shown.items() if ours(virtual)}
        differs = table.keys() != wanted.keys() or any(
            _shown(table[virtual]) != (settings.scheduler, settings.one_packet, bool(settings.persistence_timeout))
            or {key: (real.weight, real.forward) for key, real in table[virtual].reals.items()}
            != {key: (real.weight, real.forward) for key, real in reals.items()}
            for virtual, (settings, reals) in wanted.items()
        )
        self._is_quick = time.perf_counter() - begun <= QUICK_S
        return differs


def _shown(service: ProcService) -> tuple[str, bool, bool]:
    return service.scheduler, service.one_packet, service.persistent


def _of(wanted: Table, owned: Set[VirtualService]) -> Only:
    """Tells the services that matter from those of others, of which a node may have a thousand."""
    return lambda virtual: virtual in wanted or virtual in owned


@contextmanager
def _in_words() -> Iterator[None]:
    """Turn the system's errors into messages."""
    try:
        yield
    except PermissionError as error:
        raise PermissionDeniedError(f"not allowed to read the IPVS table: {error}") from None
    except OSError as error:
        raise ServiceError(f"cannot read the IPVS table: {error}") from None
