"""The engine and the kernel's table: adoption, drains, servers left out, and changes by other programs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from ocfpy.checks.settings import CheckSettings
from ocfpy.healthd.status import take_snapshot, verdict_line
from ocfpy.ipvs.model import parse_virtual
from ocfpy.ocf.errors import HostError, ServiceError
from ocfpy.pool.spec import PoolSpec

from tests.unit.healthd import clock
from tests.unit.healthd.played import ONE, TWO, World
from tests.unit.healthd.samples import DNS, WEB, pool


def test_what_a_daemon_of_before_has_left_is_removed() -> None:
    async def story() -> None:
        first = World(pool(f"{DNS} {WEB}"))
        await first.engine.start()
        second = World(pool(DNS).replace(former=(parse_virtual(WEB),)))
        second.kernel.table = first.kernel.table
        await second.engine.start()
        assert second.kernel.weights() == {DNS: {ONE: 1, TWO: 1}}

    clock.run(story())


def test_drift_is_put_right_within_an_interval() -> None:
    async def story() -> None:
        world = World(pool())
        await world.engine.start()
        await asyncio.sleep(9)
        wanted, world.kernel.table = world.kernel.weights(), {}
        await asyncio.sleep(2.01)
        assert world.kernel.weights() == wanted
        assert "IPVS table was changed externally" in world.log.lines[-1]

    clock.run(story())


def test_a_program_that_keeps_changing_the_table_is_reported_once() -> None:
    async def story() -> None:
        world = World(pool())
        await world.engine.start()
        for _ in range(8):
            world.kernel.table = {}
            await asyncio.sleep(2)
        assert world.kernel.weights() == {DNS: {ONE: 1, TWO: 1}}
        assert verdict_line(world.engine) == (
            f"degraded another program keeps changing {DNS}: stop the other daemon that manages it"
        )
        assert len([line for line in world.log.lines if "changed externally" in line or "keeps changing" in line]) == 3
        await asyncio.sleep(4)
        assert verdict_line(world.engine) == "running"

    clock.run(story())


def test_a_service_of_another_program_is_adopted_and_logged() -> None:
    async def story() -> None:
        first, second, third = World(pool()), World(pool()), World(pool().replace(former=(parse_virtual(DNS),)))
        await first.engine.start()
        second.kernel.table = third.kernel.table = first.kernel.table
        await second.engine.start()
        await third.engine.start()
        said = f"adopted existing virtual service {DNS} (wlc, 2 real servers) that this pool did not create"
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
        (service,) = take_snapshot(world.engine).document()["virtual"]
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
        (service,) = take_snapshot(world.engine).document()["virtual"]
        assert (service["alive"], service["down_but_pooled"]) == (0, 1)
        assert f"min_up keeps servers of {DNS} in service that are down: {TWO}:53" in world.log.lines
        assert verdict_line(world.engine).startswith(f"degraded no backend of {DNS} is alive: {ONE}:53 connection refused, {TWO}")

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
        world.look = look
        (tmp_path / ONE).touch()
        world.dead = {TWO}
        await asyncio.sleep(30)
        assert world.kernel.weights() == {DNS: {ONE: 1, TWO: 0}}
        assert world.log.lines.count(f"reading {tmp_path} timed out: the last known list of drained servers stays in force") == 1
        late[-1]()
        await asyncio.sleep(5)
        assert world.kernel.weights() == {DNS: {TWO: 0}}

    clock.run(story())
