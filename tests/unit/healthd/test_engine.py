"""The pool at work: what becomes of checks, what the cluster and the operator are told, and how it starts, reloads and ends."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from ocfpy.checks.base import Check
from ocfpy.checks.settings import CheckSettings
from ocfpy.healthd.fwmarks import FwmarkAllocator
from ocfpy.healthd.snapshot import PoolSnapshot
from ocfpy.healthd.status import take_snapshot, verdict_line
from ocfpy.healthd.vip_probe import VipPath, VipPaths
from ocfpy.ipvs.model import ServiceSettings, VirtualService, parse_virtual
from ocfpy.ocf.addresses import Address

from tests.unit.healthd import clock
from tests.unit.healthd.played import ONE, TWO, World
from tests.unit.healthd.samples import DNS, WEB, pool
from tests.unit.ipvs.fake_kernel import FakeKernel


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


def test_a_server_that_hangs_delays_start_by_one_timeout_and_no_other_server() -> None:
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


def test_a_restart_moves_no_client_and_one_lost_packet_takes_no_server_out() -> None:
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


def test_a_pool_without_live_backends_is_reported_with_reasons_and_recovers() -> None:
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


def test_monitors_know_of_a_dead_pool_before_the_kernel_does() -> None:
    async def story() -> None:
        world = World(pool())
        await world.engine.start()
        verdicts: list[tuple[str, dict[str, int]]] = []
        world.engine.on_decision = lambda: verdicts.append(
            (verdict_line(world.engine).partition(" ")[0], world.kernel.weights()[DNS])
        )
        world.dead = {ONE, TWO}
        await asyncio.sleep(60)
        assert verdicts[-1][0] == "degraded"
        assert any(verdicts[-1][1].values())
        assert not any(world.kernel.weights()[DNS].values())

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


def test_without_quorum_the_cluster_is_told_0_and_why() -> None:
    async def story() -> None:
        world = World(pool(quorum=2, quorum_up=2))
        world.dead = {TWO}
        await world.engine.start()
        assert world.kernel.weights() == {DNS: {ONE: 1, TWO: 0}}
        assert world.cluster.value == 0
        assert verdict_line(world.engine) == (
            f"degraded only 1 backends of {DNS} are alive, its quorum is 2: {TWO}:53 connection refused"
        )

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
        spec, watches, weights = world.engine.spec, dict(world.engine.checks.states), world.kernel.weights()
        make_check = world.local.make_check

        def refuse(
            address: Address, port: int, settings: CheckSettings, virtual: VirtualService, way: VipPath | None
        ) -> Check:
            if str(address) == TWO:
                raise RuntimeError("a label is empty")
            return make_check(address, port, settings, virtual, way)

        world.local.make_check = refuse
        with pytest.raises(RuntimeError, match="a label is empty"):
            await world.engine.reload(pool(DNS, f"10.0.0.13 {ONE} {TWO}", CheckSettings("dns")))
        assert (world.engine.spec, world.engine.checks.states) == (spec, watches)
        tried = len(world.checks)
        await asyncio.sleep(20)
        assert len(world.checks) - tried == pytest.approx(40, abs=4), "the checks of before go on, and no others"
        assert world.kernel.weights() == weights
        assert verdict_line(world.engine) == "running"
        assert world.faults == []
        world.local.make_check = make_check
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
        assert verdict_line(world.engine).startswith("failed the IPVS table has not been compared for ")

    clock.run(story())


@pytest.mark.parametrize(("interval", "patience"), [(1.0, 10.0), (3.0, 10.0), (20.0, 60.0)])
def test_an_engine_is_stuck_after_ten_seconds_or_three_intervals(interval: float, patience: float) -> None:
    async def story() -> None:
        world = World(pool(check=CheckSettings("on", interval=interval, timeout=0.5)))
        await world.engine.start()

        async def never(*_: object) -> list[Any]:
            await asyncio.Event().wait()
            return []

        world.kernel.keep = world.kernel.make = never  # type: ignore[assignment, method-assign]
        await asyncio.sleep(patience - 0.5)
        assert world.engine.stuck_for() == 0.0
        await asyncio.sleep(interval + 2)
        assert patience < world.engine.stuck_for() <= patience + interval + 2

    clock.run(story())


def test_a_fault_in_the_engine_is_not_swallowed() -> None:
    async def story() -> None:
        world = World(pool())
        await world.engine.start()
        world.kernel.keep = world.kernel.make = None  # type: ignore[assignment, method-assign]
        await asyncio.sleep(5)
        assert isinstance(world.faults[0], TypeError)

    clock.run(story())


def test_a_snapshot_as_json() -> None:
    async def story() -> None:
        world = World(pool())
        world.dead = {TWO}
        await world.engine.start()
        snapshot = take_snapshot(world.engine)
        document = json.loads(json.dumps(snapshot.document()))
        assert PoolSnapshot.read(document) == snapshot
        assert document["attribute"] == {"name": "healthy-dns", "value": 1, "in_cluster": True}
        (service,) = document["virtual"]
        assert (service["service"], service["alive"]) == (DNS, 1)
        up, down = service["real_servers"]
        assert (up["server"], up["state"], up["reason"]) == (f"{ONE}:53", "up", "")
        assert (down["server"], down["state"], down["reason"]) == (f"{TWO}:53", "down", "connection refused")
        assert down["since"] == pytest.approx(clock.wall(), abs=1)

    clock.run(story())


def test_checks_through_the_service_are_one_for_each_service_and_end_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = FakeKernel()
    monkeypatch.setattr("ocfpy.net.genetlink.socket", lambda *_: kernel)
    vip_checked = CheckSettings(rise=1, fall=1, via="vip")

    async def story() -> None:
        world = World(pool(f"{DNS} {WEB}", check=vip_checked))
        world.engine.checks.paths = VipPaths(FwmarkAllocator(str(tmp_path / "ipvs-pool-dns")))
        await world.engine.start()
        assert len({way.mark for way in world.ways if way is not None}) == 4
        assert len(kernel.table) == 4
        assert {name for _, name in world.checks} == {"192.0.2.53"}
        assert f"{ONE}:53 through {DNS} is up" in world.log.lines
        assert world.cluster.value == 2, "the private services do not count"
        await world.engine.reload(pool(DNS, check=vip_checked))
        assert len(kernel.table) == 2
        await world.engine.reload(pool(DNS))
        assert kernel.table == {}
        assert world.ways[-1] is None
        await world.engine.reload(pool(DNS, check=vip_checked))
        await world.engine.stop()
        assert kernel.table == {}

    clock.run(story())
