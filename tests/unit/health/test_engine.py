"""The pool at work, with a kernel, a cluster and servers that are played."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from ocfpy.health.checks.base import Check, Result
from ocfpy.health.desired import Busy
from ocfpy.health.engine import Engine
from ocfpy.health.kernel import Kernel
from ocfpy.health.marks import Marks
from ocfpy.health.publisher import Publisher
from ocfpy.health.spec import CheckSettings, PoolSpec
from ocfpy.health.status import status_document, verdict_line
from ocfpy.health.ways import Way, Ways
from ocfpy.ipvs.model import ServiceSettings, Table, VirtualService, parse_virtual
from ocfpy.ipvs.plan import plan
from ocfpy.ocf.addresses import Address
from ocfpy.ocf.errors import HostError, OcfError, ServiceError

from tests.unit.health import clock
from tests.unit.health.samples import DNS, WEB, pool
from tests.unit.ipvs.fake_kernel import FakeKernel


class PlayedKernel:
    """A table in memory; `history` has every state with its time."""

    def __init__(self) -> None:
        self.table: Table = {}
        self.error: OcfError | None = None
        self.history: list[tuple[float, dict[str, dict[str, int]]]] = []

        self.connections_of: dict[str, int] = {}

    async def read(self) -> Table:
        return {virtual: (settings, dict(reals)) for virtual, (settings, reals) in self.table.items()}

    async def connections(self, virtual: set[VirtualService]) -> dict[Any, Busy]:
        return {
            (one, key): Busy(self.connections_of.get(str(real.address), 0))
            for one in virtual
            for key, real in self.table[one][1].items()
        }

    async def make(self, wanted: Table, owned: frozenset[VirtualService]) -> list[Any]:
        if self.error is not None:
            raise self.error
        changes = plan(self.table, wanted, owned)
        self.table = {virtual: entry for virtual, entry in self.table.items() if virtual not in owned}
        self.table.update({virtual: (settings, dict(reals)) for virtual, (settings, reals) in wanted.items()})
        self.history.append((asyncio.get_running_loop().time(), self.weights()))
        return changes

    keep = make

    def weights(self) -> dict[str, dict[str, int]]:
        return {
            str(virtual): {str(real.address): real.weight for real in reals.values()}
            for virtual, (_, reals) in self.table.items()
        }


class PlayedCluster:
    """Takes attribute values at once."""

    def __init__(self) -> None:
        self.value: int | None = None
        self.taken = True
        self.said = asyncio.Event()
        self.history: list[tuple[float, int | None]] = []

    def want(self, value: int | None) -> None:
        if value != self.value:
            self.value = value
            self.history.append((asyncio.get_running_loop().time(), value))
        self.said.set()

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def delete(self) -> None:
        self.want(None)


class Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)

    warning = error = debug = info


class World:
    """An engine and everything around it. `dead` servers refuse, `hanging` ones time out; both by address."""

    def __init__(self, spec: PoolSpec) -> None:
        self.kernel = PlayedKernel()
        self.cluster = PlayedCluster()
        self.log = Log()
        self.dead: set[str] = set()
        self.hanging: set[str] = set()
        self.checks: list[tuple[float, str]] = []
        self.faults: list[BaseException] = []
        self.ways: list[Way | None] = []
        self.engine = Engine(
            spec,
            cast(Kernel, self.kernel),
            cast(Publisher, self.cluster),
            cast(Any, self.log),
            on_fault=self.faults.append,
            wall=clock.wall,
            make_check=self._make_check,
        )

    def _make_check(
        self, address: Address, port: int, settings: CheckSettings, _: VirtualService, way: Way | None = None
    ) -> Check:
        self.ways.append(way)
        return _PlayedCheck(self, str(address), settings.timeout)

    def times_of(self, address: str) -> list[float]:
        return [at for at, name in self.checks if name == address]


class _PlayedCheck(Check):
    def __init__(self, world: World, address: str, timeout: float) -> None:
        self.world, self.address, self.timeout = world, address, timeout

    async def run(self) -> Result:
        loop = asyncio.get_running_loop()
        self.world.checks.append((loop.time(), self.address))
        if self.address in self.world.hanging:
            await asyncio.sleep(self.timeout)
            return Result(False, f"timed out after {self.timeout:g} s, waiting", self.timeout)
        await asyncio.sleep(0.001)
        return (
            Result(False, "connection refused", 0.001)
            if self.address in self.world.dead
            else Result(True, "", 0.001)
        )


ONE, TWO = "10.0.0.11", "10.0.0.12"


def test_start_returns_with_a_complete_table_and_the_attribute_out() -> None:
    async def story() -> None:
        world = World(pool(f"{DNS} {WEB}"))
        world.dead = {TWO}
        await world.engine.start()
        assert world.kernel.weights() == {DNS: {ONE: 1, TWO: 0}, WEB: {ONE: 1, TWO: 0}}
        assert world.cluster.value == 1
        assert asyncio.get_running_loop().time() < 0.1
        assert verdict_line(world.engine) == "running"

    clock.run(story())


def test_a_server_that_hangs_delays_start_by_one_timeout_and_nobody_else() -> None:
    async def story() -> None:
        world = World(pool())
        world.hanging = {TWO}
        await world.engine.start()
        assert asyncio.get_running_loop().time() == pytest.approx(1.0, abs=0.1)
        await asyncio.sleep(60)
        gaps = [b - a for a, b in zip(world.times_of(ONE)[1:], world.times_of(ONE)[2:])]
        assert max(gaps) == pytest.approx(2.0, abs=0.01)

    clock.run(story())


@pytest.mark.parametrize("kind", ["dead", "hanging"])
@pytest.mark.parametrize("after", [10.0, 10.6, 11.1, 11.7])
def test_detection_keeps_its_promise(kind: str, after: float) -> None:
    async def story() -> None:
        world = World(pool())
        await world.engine.start()
        await asyncio.sleep(after)
        getattr(world, kind).add(TWO)
        died = asyncio.get_running_loop().time()
        await asyncio.sleep(30)
        out = [at for at, table in world.kernel.history if table[DNS].get(TWO) == 0]
        check = world.engine.spec.services[0].check
        assert out[0] - died <= check.interval * check.fall + check.timeout
        assert world.cluster.history[-1][1] == 1
        assert world.cluster.history[-1][0] - out[0] < 0.001

    clock.run(story())


@pytest.mark.parametrize("kind", ["dead", "hanging"])
@pytest.mark.parametrize("after", [10.0, 10.6, 11.1, 11.7])
def test_in_doubt_the_next_check_comes_sooner_until_the_verdict(kind: str, after: float) -> None:
    async def story() -> None:
        check = CheckSettings(interval=2.0, timeout=1.0, rise=3, fall=3, retry_interval=0.25)
        world = World(pool(check=check))
        await world.engine.start()
        await asyncio.sleep(after)
        steady = [at for at in world.times_of(TWO) if at > 5]
        getattr(world, kind).add(TWO)
        died = asyncio.get_running_loop().time()
        await asyncio.sleep(30)
        out = next(at for at, table in world.kernel.history if table[DNS].get(TWO) == 0)
        takes = 1.0 if kind == "hanging" else 0.001
        assert out - died <= check.interval + 2 * max(check.retry_interval, takes) + takes + 0.01
        first = next(at for at in world.times_of(TWO) if at >= died)
        tries = [at - first for at in world.times_of(TWO) if first <= at < out]
        assert tries == pytest.approx([0, max(0.25, takes), 2 * max(0.25, takes)], abs=0.01)
        rest = [at for at in world.times_of(TWO) if at > out + check.interval]
        getattr(world, kind).remove(TWO)
        back = asyncio.get_running_loop().time()
        for times in (steady, rest):  # when there is no doubt, at the same instants of the wall clock as ever
            assert [at % check.interval for at in times] == pytest.approx([times[0] % check.interval] * len(times), abs=0.01)
        assert steady[0] % check.interval == pytest.approx(rest[0] % check.interval, abs=0.01)
        await asyncio.sleep(10)
        up = next(at for at, table in world.kernel.history if at > back and table[DNS][TWO])
        assert up - back <= check.interval + 2 * check.retry_interval + 0.01

    clock.run(story())


def test_a_failure_that_was_only_one_changes_nothing() -> None:
    async def story() -> None:
        world = World(pool(check=CheckSettings(interval=2.0, timeout=1.0, rise=2, fall=3, retry_interval=0.25)))
        await world.engine.start()
        await asyncio.sleep(10)
        before = len(world.times_of(TWO))
        world.dead = {TWO}
        while len(world.times_of(TWO)) == before:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.005)  # until it has failed
        world.dead.clear()
        failed = world.times_of(TWO)[-1]
        await asyncio.sleep(10)
        later = [at - failed for at in world.times_of(TWO) if at > failed]
        assert later[:3] == pytest.approx([0.25, 2.0, 4.0], abs=0.02)
        assert all(table[DNS][TWO] for at, table in world.kernel.history if at > 5)

    clock.run(story())


def test_a_restart_moves_nobody_and_one_lost_packet_takes_nobody_out() -> None:
    async def story() -> None:
        first = World(pool())
        first.dead = {TWO}
        await first.engine.start()
        second = World(pool())
        second.kernel.table = first.kernel.table
        second.dead = {ONE, TWO}
        start = asyncio.ensure_future(second.engine.start())
        await asyncio.sleep(0.0015)  # after the first check of each, before the second of ONE
        second.dead = {TWO}
        await start
        assert all(table == {DNS: {ONE: 1, TWO: 0}} for _, table in second.kernel.history)
        assert second.cluster.history[0][1] == 1

    clock.run(story())


def test_a_restart_finds_who_died_meanwhile() -> None:
    async def story() -> None:
        world = World(pool())
        await world.engine.start()
        again = World(pool())
        again.kernel.table = world.kernel.table
        again.dead = {ONE}
        await again.engine.start()
        assert again.kernel.weights() == {DNS: {ONE: 0, TWO: 1}}
        assert len(again.times_of(ONE)) == 3

    clock.run(story())


def test_nobody_alive_is_told_with_reasons_and_recovery_by_itself() -> None:
    async def story() -> None:
        world = World(pool())
        await world.engine.start()
        world.dead, world.hanging = {ONE}, {TWO}
        await asyncio.sleep(10)
        assert world.cluster.value == 0
        assert verdict_line(world.engine) == (
            f"degraded no backend of {DNS} is alive:"
            f" {ONE}:53 connection refused, {TWO}:53 timed out after 1 s, waiting"
        )
        world.dead, world.hanging = set(), set()
        await asyncio.sleep(2 * 2 + 1.1)
        assert world.cluster.value == 2
        assert verdict_line(world.engine) == "running"

    clock.run(story())


def test_the_attribute_is_the_minimum_over_the_services() -> None:
    async def story() -> None:
        world = World(pool("tcp/192.0.2.53:80 tcp/[2001:db8::53]:80", f"{ONE} {TWO} [fd00::11]"))
        await world.engine.start()
        assert world.cluster.value == 1

    clock.run(story())


def test_services_that_are_checked_alike_share_a_check() -> None:
    async def story() -> None:
        world = World(pool("tcp/192.0.2.53:53 udp/192.0.2.53:53 tcp/192.0.2.54:53", ONE))
        await world.engine.start()
        assert len(world.checks) == 1

    clock.run(story())


def test_servers_that_are_checked_in_a_way_of_their_own_have_verdicts_of_their_own() -> None:
    async def story() -> None:
        spec = pool("tcp/192.0.2.53:53 udp/192.0.2.53:53", ONE)
        tcp, udp = spec.services
        key = next(iter(udp.reals))
        udp = udp.replace(checks={key: CheckSettings("off")}, settings=ServiceSettings("mh"))
        world = World(spec.replace(services=(tcp, udp)))
        await world.engine.start()
        assert world.kernel.weights() == {"tcp/192.0.2.53:53": {ONE: 1}, "udp/192.0.2.53:53": {ONE: 0}}
        assert [settings.scheduler for settings, _ in world.kernel.table.values()] == ["wlc", "mh"]
        await world.engine.reload(spec)
        assert world.kernel.weights() == {"tcp/192.0.2.53:53": {ONE: 1}, "udp/192.0.2.53:53": {ONE: 1}}

    clock.run(story())


def test_what_a_daemon_of_before_has_left_is_removed() -> None:
    async def story() -> None:
        first = World(pool(f"{DNS} {WEB}"))
        await first.engine.start()
        second = World(pool(DNS).replace(former=(parse_virtual(WEB),)))
        second.kernel.table = first.kernel.table
        await second.engine.start()
        assert second.kernel.weights() == {DNS: {ONE: 1, TWO: 1}}

    clock.run(story())


def test_two_nodes_check_at_the_same_instants() -> None:
    async def story() -> None:
        one, other = World(pool()), World(pool())
        await one.engine.start()
        await asyncio.sleep(0.7)
        await other.engine.start()
        await asyncio.sleep(60)
        assert one.times_of(ONE)[-10:] == pytest.approx(other.times_of(ONE)[-10:], abs=0.01)
        assert one.times_of(ONE)[-1] != pytest.approx(one.times_of(TWO)[-1], abs=0.01)

    clock.run(story())


def test_drift_is_put_right_within_an_interval() -> None:
    async def story() -> None:
        world = World(pool())
        await world.engine.start()
        await asyncio.sleep(9)
        wanted, world.kernel.table = world.kernel.weights(), {}
        await asyncio.sleep(2.01)
        assert world.kernel.weights() == wanted
        assert "somebody changed the IPVS table" in world.log.lines[-1]

    clock.run(story())


def test_who_keeps_changing_the_table_is_told_of_once() -> None:
    async def story() -> None:
        world = World(pool())
        await world.engine.start()
        for _ in range(8):
            world.kernel.table = {}
            await asyncio.sleep(2)
        assert world.kernel.weights() == {DNS: {ONE: 1, TWO: 1}}
        assert verdict_line(world.engine) == (
            f"degraded somebody else keeps changing {DNS}: does another daemon manage it?"
        )
        assert len([line for line in world.log.lines if "somebody" in line]) == 3
        await asyncio.sleep(4)
        assert verdict_line(world.engine) == "running"

    clock.run(story())


def test_a_service_of_somebody_else_is_taken_over_with_a_word() -> None:
    async def story() -> None:
        first, second, third = World(pool()), World(pool()), World(pool().replace(former=(parse_virtual(DNS),)))
        await first.engine.start()
        second.kernel.table = third.kernel.table = first.kernel.table
        await second.engine.start()
        await third.engine.start()
        said = f"{DNS} was there already, put in by somebody else (wlc, 2 real servers): it is ours now"
        assert said in second.log.lines
        assert said not in third.log.lines

    clock.run(story())


async def taken_out(drain_dir: Path) -> tuple[PoolSpec, World]:
    """A pool one of whose servers a file has taken out, and that has connections yet."""
    spec = pool(drain_timeout=60.0).replace(drain_dir=str(drain_dir))
    world = World(spec)
    await world.engine.start()
    (drain_dir / ONE).touch()
    world.kernel.connections_of = {ONE: 3}
    await asyncio.sleep(2.1)
    assert world.kernel.weights() == {DNS: {ONE: 0, TWO: 1}}
    return spec, world


def test_a_file_takes_a_server_out_and_a_restart_keeps_it_out(tmp_path: Path) -> None:
    async def story() -> None:
        spec, world = await taken_out(tmp_path)
        assert world.cluster.value == 1
        (service,) = status_document(world.engine)["virtual"]
        assert [real["state"] for real in service["real_servers"]] == ["draining", "up"]
        again = World(spec)
        again.kernel.table, again.kernel.connections_of = world.kernel.table, {ONE: 1}
        await again.engine.start()
        await asyncio.sleep(5)
        assert again.kernel.weights() == {DNS: {ONE: 0, TWO: 1}}
        again.kernel.connections_of = {}
        await asyncio.sleep(1.1)
        assert again.kernel.weights() == {DNS: {TWO: 1}}
        assert f"{ONE}:53 of {DNS} has drained" in again.log.lines
        (tmp_path / ONE).unlink()
        await asyncio.sleep(2.1)
        assert again.kernel.weights() == {DNS: {ONE: 1, TWO: 1}}

    clock.run(story())


def test_a_restart_gives_a_server_that_is_up_its_weight_back() -> None:
    async def story() -> None:
        world = World(pool(drain_timeout=60.0))
        settings, reals = (service := world.engine.spec.services[0]).settings, service.reals
        world.kernel.table = {service.virtual: (settings, {key: real.replace(weight=0) for key, real in reals.items()})}
        await world.engine.start()
        assert world.kernel.weights() == {DNS: {ONE: 1, TWO: 1}}

    clock.run(story())


def test_a_drain_that_takes_too_long_ends_and_says_so() -> None:
    async def story() -> None:
        world = World(pool(drain_timeout=5.0))
        await world.engine.start()
        world.kernel.connections_of = {ONE: 3}
        await world.engine.reload(pool(reals=TWO, drain_timeout=5.0))
        assert world.kernel.weights() == {DNS: {ONE: 0, TWO: 1}}
        await asyncio.sleep(5.1)
        assert world.kernel.weights() == {DNS: {TWO: 1}}
        assert f"{ONE}:53 of {DNS} is removed with 3 connections: drain_timeout is over" in world.log.lines

    clock.run(story())


def test_a_server_that_is_back_gets_its_weight_in_steps_and_the_table_is_not_touched_more_often() -> None:
    async def story() -> None:
        world = World(pool(reals=f"{ONE},weight=10 {TWO},weight=10", slow_start=30.0))
        await world.engine.start()
        world.dead = {TWO}
        await asyncio.sleep(10)
        world.dead = set()
        await asyncio.sleep(50)
        weights = [table[DNS].get(TWO) for _, table in world.kernel.history]
        assert weights[-1] == 10
        changes = [b for a, b in zip(weights, weights[1:]) if a != b]
        assert changes[-10:] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]

    clock.run(story())


def test_down_but_pooled_is_degraded_and_not_alive() -> None:
    async def story() -> None:
        world = World(pool(min_up=1))
        await world.engine.start()
        world.dead = {ONE}
        await asyncio.sleep(10)
        assert verdict_line(world.engine) == "running"
        world.dead = {ONE, TWO}
        await asyncio.sleep(10)
        assert world.kernel.weights() == {DNS: {ONE: 0, TWO: 1}}
        assert world.cluster.value == 0
        (service,) = status_document(world.engine)["virtual"]
        assert (service["alive"], service["down_but_pooled"]) == (0, 1)
        assert f"min_up keeps servers of {DNS} in service that are down: {TWO}:53" in world.log.lines
        assert verdict_line(world.engine).startswith(f"degraded no backend of {DNS} is alive: {ONE}:53 connection refused, {TWO}")

    clock.run(story())


def test_without_quorum_the_cluster_is_told_0_and_why() -> None:
    async def story() -> None:
        world = World(pool(quorum=2, quorum_up=2))
        world.dead = {TWO}
        await world.engine.start()
        assert world.kernel.weights() == {DNS: {ONE: 1, TWO: 0}}
        assert world.cluster.value == 0
        assert verdict_line(world.engine) == (
            f"degraded only 1 backends of {DNS} are alive, and its quorum takes 2: {TWO}:53 connection refused"
        )

    clock.run(story())


def test_a_kernel_that_refuses_fails_the_start_with_its_own_code() -> None:
    async def story() -> None:
        world = World(pool())
        world.kernel.error = HostError("no such scheduler")
        with pytest.raises(HostError, match="no such scheduler"):
            await world.engine.start()

    clock.run(story())


def test_a_kernel_that_refuses_later_fails_the_monitor_until_it_takes_it() -> None:
    async def story() -> None:
        world = World(pool())
        await world.engine.start()
        world.kernel.error = ServiceError("cannot edit")
        await asyncio.sleep(5)
        assert verdict_line(world.engine) == "failed cannot edit"
        assert world.log.lines.count("cannot edit") == 1
        world.kernel.error = None
        await asyncio.sleep(5)
        assert verdict_line(world.engine) == "running"

    clock.run(story())


def test_reload_keeps_verdicts_and_removes_what_is_no_longer_wanted() -> None:
    async def story() -> None:
        world = World(pool(f"{DNS} {WEB}"))
        world.dead = {TWO}
        await world.engine.start()
        before = len(world.kernel.history)
        await world.engine.reload(pool(DNS, f"{ONE},weight=5 {TWO} 10.0.0.13", CheckSettings("http", 80)))
        assert world.kernel.weights() == {DNS: {ONE: 5, TWO: 0, "10.0.0.13": 1}}
        assert world.cluster.value == 2
        for _, table in world.kernel.history[before:]:
            assert table[DNS][ONE] >= 1
        assert world.engine._owned == {parse_virtual(DNS)}
        tried = len(world.checks)
        await asyncio.sleep(20)
        assert len(world.checks) - tried == pytest.approx(30, abs=3), "the checks of before have ended"

    clock.run(story())


def test_a_reload_whose_checks_cannot_be_made_changes_nothing() -> None:
    async def story() -> None:
        world = World(pool(f"{DNS} {WEB}"))
        world.dead = {TWO}
        await world.engine.start()
        spec, watches, weights = world.engine.spec, dict(world.engine.watches), world.kernel.weights()
        make_check = world.engine.make_check

        def refuse(
            address: Address, port: int, settings: CheckSettings, virtual: VirtualService, way: Way | None
        ) -> Check:
            if str(address) == TWO:
                raise RuntimeError("a label is empty")
            return make_check(address, port, settings, virtual, way)

        world.engine.make_check = refuse
        with pytest.raises(RuntimeError, match="a label is empty"):
            await world.engine.reload(pool(DNS, f"10.0.0.13 {ONE} {TWO}", CheckSettings("dns")))
        assert (world.engine.spec, world.engine.watches) == (spec, watches)
        tried = len(world.checks)
        await asyncio.sleep(20)
        assert len(world.checks) - tried == pytest.approx(40, abs=4), "the checks of before go on, and no others"
        assert world.kernel.weights() == weights
        assert verdict_line(world.engine) == "running"
        assert world.faults == []
        world.engine.make_check = make_check
        await world.engine.reload(pool(DNS, f"{ONE} 10.0.0.13", CheckSettings("http")))
        assert world.kernel.weights() == {DNS: {ONE: 1, "10.0.0.13": 1}}

    clock.run(story())


@pytest.mark.parametrize(("switch", "alive"), [("on", 2), ("off", 0)])
def test_switched_on_or_off_nothing_is_checked(switch: str, alive: int) -> None:
    async def story() -> None:
        world = World(pool(check=CheckSettings(switch)))
        await world.engine.start()
        await asyncio.sleep(10)
        assert world.cluster.value == alive
        assert world.checks == []

    clock.run(story())


def test_stop_takes_back_the_services_and_the_attribute() -> None:
    async def story() -> None:
        world = World(pool())
        foreign = parse_virtual("tcp/192.0.2.99:99")
        world.kernel.table = {foreign: (world.engine.spec.services[0].settings, {})}
        await world.engine.start()
        await world.engine.stop()
        assert list(world.kernel.table) == [foreign]
        assert world.cluster.value is None

    clock.run(story())


def test_an_engine_that_is_stuck_says_so() -> None:
    async def story() -> None:
        world = World(pool())
        await world.engine.start()

        async def never(*_: object) -> list[Any]:
            await asyncio.Event().wait()
            return []

        world.kernel.keep = world.kernel.make = never  # type: ignore[assignment, method-assign]
        await asyncio.sleep(60)
        assert verdict_line(world.engine).startswith("failed the IPVS table has not been looked at for ")

    clock.run(story())


def test_a_fault_in_the_engine_is_not_swallowed() -> None:
    async def story() -> None:
        world = World(pool())
        await world.engine.start()
        world.kernel.keep = world.kernel.make = None  # type: ignore[assignment, method-assign]
        await asyncio.sleep(5)
        assert isinstance(world.faults[0], TypeError)

    clock.run(story())


def test_the_status_document() -> None:
    async def story() -> None:
        world = World(pool())
        world.dead = {TWO}
        await world.engine.start()
        document = status_document(world.engine)
        assert document["attribute"] == {"name": "healthy-dns", "value": 1, "in_cluster": True}
        (service,) = document["virtual"]
        assert (service["service"], service["alive"]) == (DNS, 1)
        up, down = service["real_servers"]
        assert (up["server"], up["state"], up["reason"]) == (f"{ONE}:53", "up", "")
        assert (down["server"], down["state"], down["reason"]) == (f"{TWO}:53", "down", "connection refused")
        assert down["since"] == pytest.approx(clock.wall(), abs=1)

    clock.run(story())


def test_checks_by_way_of_the_service_are_one_for_each_service_and_end_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = FakeKernel()
    monkeypatch.setattr("ocfpy.net.genetlink.socket", lambda *_: kernel)
    by_vip = CheckSettings(rise=1, fall=1, via="vip")

    async def story() -> None:
        world = World(pool(f"{DNS} {WEB}", check=by_vip))
        world.engine.ways = Ways(Marks(str(tmp_path / "ipvs-pool-dns")))
        await world.engine.start()
        assert len({way.mark for way in world.ways if way is not None}) == 4
        assert len(kernel.table) == 4
        assert {name for _, name in world.checks} == {"192.0.2.53"}
        assert f"{ONE}:53 by way of {DNS} is up" in world.log.lines
        assert world.cluster.value == 2, "the private services count for nobody"
        await world.engine.reload(pool(DNS, check=by_vip))
        assert len(kernel.table) == 2
        await world.engine.reload(pool(DNS))
        assert kernel.table == {}
        assert world.ways[-1] is None
        await world.engine.reload(pool(DNS, check=by_vip))
        await world.engine.stop()
        assert kernel.table == {}

    clock.run(story())


def test_what_is_published_is_what_the_table_was_made_of() -> None:
    """A verdict that comes while the kernel is at work counts from the next table on."""

    async def story() -> None:
        world = World(pool(check=CheckSettings(rise=1)))
        make = world.kernel.make

        async def slowly(*table: Any) -> Any:
            await asyncio.sleep(0.01)
            return await make(*table)

        world.kernel.make = slowly  # type: ignore[assignment, method-assign]
        await world.engine.start()
        assert [value for _, value in world.cluster.history] == [2]

    clock.run(story())


def test_a_directory_of_drained_servers_that_hangs_holds_up_nothing_and_is_heard_later(tmp_path: Path) -> None:
    async def story() -> None:
        world = World(pool(drain_timeout=0.0).replace(drain_dir=str(tmp_path)))
        late: list[Any] = []

        async def look(name: object, work: Any, seconds: float) -> bool:
            late.append(work)
            return False

        await world.engine.start()
        world.engine.look = look
        (tmp_path / ONE).touch()
        world.dead = {TWO}
        await asyncio.sleep(30)
        assert world.kernel.weights() == {DNS: {ONE: 1, TWO: 0}}
        assert world.log.lines.count(f"{tmp_path} does not answer: who is taken out by hand there stays so") == 1
        late[-1]()
        await asyncio.sleep(5)
        assert world.kernel.weights() == {DNS: {TWO: 0}}

    clock.run(story())
