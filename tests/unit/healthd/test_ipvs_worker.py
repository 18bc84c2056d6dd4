"""The table behind its thread."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable
from typing import Any, Callable

import pytest
from ocfpy.healthd.ipvs_worker import FULL_COMPARE_EVERY, QUICK_S, IpvsWorker
from ocfpy.ipvs.model import RealKey, Table, VirtualService, parse_virtual
from ocfpy.ipvs.plan import ADD, DELETE, Change
from ocfpy.ipvs.proc import ProcReal, ProcService
from ocfpy.ocf.errors import OcfError, PermissionDeniedError, ServiceError
from ocfpy.pool.desired import Desired
from ocfpy.pool.placement import Observation

from tests.unit.healthd.samples import DNS, pool

Only = Callable[[VirtualService], bool]

SPEC = pool()
OURS = frozenset(SPEC.virtual)


def wanted(up: str = "10.0.0.11 10.0.0.12") -> Table:
    """The table of the pool with these servers up."""
    return Desired().update(SPEC, lambda _, real: Observation(str(real.address) in up.split()), 0.0)


WANTED = wanted()
DNS_SERVICE = SPEC.virtual[0]


class FakeTable:
    """A table in memory that counts how often it is read."""

    def __init__(self) -> None:
        self.table: Table = {}
        self.reads = 0
        self.looked_up = 0
        self.failures: list[Exception] = []

    def read_services(self, virtuals: Iterable[VirtualService]) -> Table:
        wanted = set(virtuals)
        self.reads += 1
        self.looked_up += len(wanted)
        return {virtual: (settings, dict(reals)) for virtual, (settings, reals) in self.table.items() if virtual in wanted}

    def connections(self, virtual: VirtualService) -> dict[RealKey, tuple[int, int]]:
        return dict.fromkeys(self.table[virtual][1], (3, 2))

    def apply(self, changes: list[Change]) -> None:
        if self.failures:
            raise self.failures.pop()
        for change in changes:
            if change.real is None and change.verb == DELETE:
                self.table.pop(change.virtual)
            elif change.real is None:
                assert change.settings is not None
                self.table[change.virtual] = (change.settings, self.table.get(change.virtual, (None, {}))[1])
            elif change.verb == DELETE:
                self.table[change.virtual][1].pop(change.real.key)
            else:
                self.table[change.virtual][1][change.real.key] = change.real

    def proc(self, only: Only) -> dict[VirtualService, ProcService]:
        return {
            virtual: ProcService(
                settings.scheduler,
                {key: ProcReal(*key, real.forward, real.weight, 0, 0) for key, real in reals.items()},
                persistent=settings.persistence_timeout > 0,
                one_packet=settings.one_packet,
            )
            for virtual, (settings, reals) in self.table.items()
            if only(virtual)
        }


def no_ipvs(_: object) -> Any:
    raise FileNotFoundError


def test_make_knows_what_is_there_and_keep_looks_cheaply() -> None:
    async def story() -> None:
        table = FakeTable()
        kernel = IpvsWorker(lambda: table, table.proc)
        await kernel.make(WANTED, OURS)
        assert table.table == WANTED
        down = wanted("10.0.0.11")
        changes = await kernel.make(down, OURS)
        assert [str(change) for change in changes] == [f"edit real server 10.0.0.12:53 of {DNS} weight 0"]
        assert await kernel.keep(down, OURS) == []
        assert table.reads == 1

    asyncio.run(story())


def test_keep_repairs_and_leaves_others_alone() -> None:
    async def story() -> None:
        table = FakeTable()
        kernel = IpvsWorker(lambda: table, table.proc)
        await kernel.make(WANTED, OURS)
        foreign = parse_virtual("tcp/192.0.2.99:99")
        table.table = {foreign: (SPEC.services[0].settings, {})}
        changes = await kernel.keep(WANTED, OURS)
        assert [change.verb for change in changes] == [ADD] * 3
        assert table.table == {foreign: (SPEC.services[0].settings, {}), **WANTED}
        await kernel.keep({}, OURS)
        assert list(table.table) == [foreign]

    asyncio.run(story())


@pytest.mark.parametrize(
    "change", [{"scheduler": "rr"}, {"one_packet": True}, {"persistence_timeout": 60}, {"forward": "nat"}, {"weight": 9}]
)
def test_what_proc_shows_is_put_right_at_once(change: dict[str, Any]) -> None:
    async def story() -> None:
        table = FakeTable()
        kernel = IpvsWorker(lambda: table, table.proc)
        await kernel.make(WANTED, OURS)
        settings, reals = table.table[DNS_SERVICE]
        if change.keys() <= {"forward", "weight"}:
            key, real = next(iter(reals.items()))
            table.table[DNS_SERVICE] = settings, {**reals, key: real.replace(**change)}
        else:
            table.table[DNS_SERVICE] = settings.replace(**change), reals
        assert len(await kernel.keep(WANTED, OURS)) == 1
        assert table.table == WANTED

    asyncio.run(story())


@pytest.mark.parametrize("family", ["fwmark/7", "fwmark6/7"])
@pytest.mark.parametrize("shown_as", ["fwmark/7", "fwmark6/7"])
def test_a_mark_without_real_servers_is_removed_in_either_family(family: str, shown_as: str) -> None:
    async def story() -> None:
        table = FakeTable()
        mark = parse_virtual(family)
        table.table = {mark: (SPEC.services[0].settings, {})}
        shown = parse_virtual(shown_as)

        def proc(only: Only) -> dict[VirtualService, ProcService]:
            return {shown: ProcService("wlc", {})} if only(shown) else {}

        kernel = IpvsWorker(lambda: table, proc)
        assert [change.verb for change in await kernel.keep({}, frozenset([mark]))] == [DELETE]
        assert not table.table

    asyncio.run(story())


def test_a_quick_look_is_taken_without_a_thread() -> None:
    threads: list[threading.Thread] = []

    async def story() -> None:
        table = FakeTable()

        def look(only: Only) -> dict[VirtualService, ProcService]:
            threads.append(threading.current_thread())
            if len(threads) == 2:
                time.sleep(2 * QUICK_S)
            return table.proc(only)

        kernel = IpvsWorker(lambda: table, look)
        await kernel.make(WANTED, OURS)
        for _ in range(4):
            await kernel.keep(WANTED, OURS)

    asyncio.run(story())
    here = threading.main_thread()
    assert [thread is here for thread in threads] == [False, True, False, True], "the second took its time"


def test_no_look_is_taken_while_the_table_is_being_changed() -> None:
    """The caller of the change has been cancelled; the next job has to see the change."""

    async def story() -> None:
        table, may_go, begun = FakeTable(), threading.Event(), threading.Event()
        kernel = IpvsWorker(lambda: table, table.proc)
        await kernel.keep({}, OURS)
        await kernel.keep({}, OURS)
        apply = table.apply

        def apply_slowly(changes: list[Change]) -> None:
            begun.set()
            may_go.wait()
            apply(changes)

        table.apply = apply_slowly  # type: ignore[method-assign]
        change = asyncio.ensure_future(kernel.make(WANTED, OURS))
        await asyncio.get_running_loop().run_in_executor(None, begun.wait)
        change.cancel()
        removal = asyncio.ensure_future(kernel.keep({}, OURS))
        await asyncio.sleep(0)
        may_go.set()
        await removal
        assert table.table == {}

    asyncio.run(story())


def test_now_and_then_all_of_it_is_compared() -> None:
    async def story() -> None:
        table = FakeTable()
        kernel = IpvsWorker(lambda: table, table.proc)
        await kernel.make(WANTED, OURS)
        virtual = SPEC.virtual[0]
        table.table[virtual] = (SPEC.services[0].settings.replace(flags=("flag-1",)), table.table[virtual][1])
        changes = [change for _ in range(FULL_COMPARE_EVERY) for change in await kernel.keep(WANTED, OURS)]
        assert len(changes) == 1
        assert table.table == WANTED

    asyncio.run(story())


def test_a_change_that_fails_is_tried_again_on_what_is_really_there() -> None:
    async def story() -> None:
        table = FakeTable()
        kernel = IpvsWorker(lambda: table, table.proc)
        await kernel.make(WANTED, OURS)
        table.table.clear()
        table.failures = [ServiceError("it is not there")]
        down = wanted("")
        await kernel.make(down, OURS)
        assert table.table == down

    asyncio.run(story())


@pytest.mark.parametrize(
    ("raised", "expected"),
    [(PermissionError(1, "no"), PermissionDeniedError), (OSError(5, "broken"), ServiceError)],
)
def test_what_the_system_says_becomes_a_sentence(raised: OSError, expected: type[OcfError]) -> None:
    def refuse() -> FakeTable:
        raise raised

    async def story() -> None:
        with pytest.raises(expected):
            await IpvsWorker(refuse, no_ipvs).make(WANTED, OURS)

    asyncio.run(story())


def test_without_ipvs_there_is_nothing_to_remove() -> None:
    async def story() -> None:
        assert await IpvsWorker(FakeTable, no_ipvs).keep({}, OURS) == []

    asyncio.run(story())


def test_pools_that_start_together_look_up_their_own_services_only() -> None:
    """The work of a node that starts all its pools grows with their number, and not with its square."""

    async def story() -> None:
        table, count = FakeTable(), 50
        settings = SPEC.services[0].settings
        services = [parse_virtual(f"tcp/192.0.2.{number}:80") for number in range(count)]
        table.table = {virtual: (settings, {}) for virtual in services}
        workers = [IpvsWorker(lambda: table, table.proc) for _ in services]
        found = await asyncio.gather(*(worker.read({virtual}) for worker, virtual in zip(workers, services)))
        assert found == [{virtual: (settings, {})} for virtual in services]
        await asyncio.gather(*(worker.make(one, frozenset(one)) for worker, one in zip(workers, found)))
        assert table.looked_up == count

    asyncio.run(story())


def test_a_service_that_proc_misses_is_looked_up_before_anything_is_done() -> None:
    """/proc is read in pages: while services of others come and go, it may miss one that is there all the time."""

    async def story() -> None:
        table = FakeTable()
        kernel = IpvsWorker(lambda: table, lambda _: {})
        await kernel.make(WANTED, OURS)
        assert await kernel.keep(WANTED, OURS) == []
        assert table.table == WANTED

    asyncio.run(story())


def test_what_is_read_is_known() -> None:
    async def story() -> None:
        table = FakeTable()
        table.table = dict(WANTED)
        kernel = IpvsWorker(lambda: table, table.proc)
        assert await kernel.read(OURS) == WANTED
        await kernel.make(wanted(""), OURS)
        assert table.reads == 1

    asyncio.run(story())


@pytest.mark.parametrize(("come_back", "clients"), [(True, 2), (False, 0)])
def test_persistent_clients_keep_a_server_busy_if_they_come_back(come_back: bool, clients: int) -> None:
    async def story() -> None:
        table = FakeTable()
        table.table = dict(WANTED)
        kernel = IpvsWorker(lambda: table, table.proc, lambda: come_back)
        assert list((await kernel.connections(SPEC.virtual)).values()) == [(3, clients), (3, clients)]

    asyncio.run(story())
