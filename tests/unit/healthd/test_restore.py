"""What a daemon knows from the one before it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from ocfpy.healthd.restore import MEMORY, boot_id, memory_document, restore_desired
from ocfpy.healthd.status import take_snapshot
from ocfpy.ipvs.model import parse_real_server, parse_virtual
from ocfpy.pool.desired import Drain, Ramp
from ocfpy.pool.spec import PoolSpec

from tests.unit.healthd import clock
from tests.unit.healthd.played import ONE, TWO, World
from tests.unit.healthd.samples import DNS, WEB, pool
from tests.unit.healthd.test_engine_table import taken_out

WHERE = parse_virtual(DNS), parse_real_server(f"{ONE}:53").key
SINCE = {"drain": {"since": 1000.0, "until": 1060.0}}


def another(world: World, spec: PoolSpec, path: Path) -> World:
    """A daemon in place of one that has left its document and was killed."""
    path.write_text(json.dumps({**take_snapshot(world.engine).document(), MEMORY: memory_document(world.engine.desired)}))
    next_one = World(spec, restore_desired(str(path)))
    next_one.kernel.table, next_one.kernel.connections_of = world.kernel.table, world.kernel.connections_of
    return next_one


def left(path: Path, **real: object) -> str:
    """The status of a daemon of 0.1.0, or of 0.2.0 before its release: the memory is a part of it."""
    service = {"service": DNS, "quorum": False, "real_servers": [{"server": f"{ONE}:53", **real}]}
    document = {"boot": {"id": boot_id(), "time": 900.0}, "virtual": [service]}
    path.write_text(json.dumps(document))
    return str(path)


def test_a_drain_ends_when_it_would_have_ended(tmp_path: Path) -> None:
    async def story() -> None:
        before, after = pool(drain_timeout=60.0), pool(reals=TWO, drain_timeout=60.0)
        world = World(before)
        await world.engine.start()
        world.kernel.connections_of = {ONE: 3}
        await world.engine.reload(after)
        await asyncio.sleep(40)
        again = another(world, after, tmp_path / "status")
        await again.engine.start()
        assert not [line for line in again.log.lines if "draining" in line or "was not created by this pool" in line]
        await asyncio.sleep(19)
        assert again.kernel.weights() == {DNS: {ONE: 0, TWO: 1}}
        await asyncio.sleep(1.1)
        assert again.kernel.weights() == {DNS: {TWO: 1}}

    clock.run(story())


def test_a_drain_that_was_called_off_meanwhile_is_over(tmp_path: Path) -> None:
    async def story() -> None:
        spec, world = await taken_out(tmp_path)
        world.kernel.connections_of = {}
        (tmp_path / ONE).unlink()
        again = another(world, spec, tmp_path / "status")
        await again.engine.start()
        assert again.kernel.weights() == {DNS: {ONE: 1, TWO: 1}}
        assert not [line for line in again.log.lines if "has drained" in line]

    clock.run(story())


def test_a_slow_start_goes_on(tmp_path: Path) -> None:
    async def story() -> None:
        spec = pool(reals=f"{ONE},weight=10 {TWO},weight=10", slow_start=30.0)
        world = World(spec)
        await world.engine.start()
        world.dead = {TWO}
        await asyncio.sleep(10)
        world.dead = set()
        while world.kernel.weights()[DNS][TWO] < 3:
            await asyncio.sleep(0.5)
        again = another(world, spec, tmp_path / "status")
        await again.engine.start()
        await asyncio.sleep(30)
        weights = [table[DNS][TWO] for _, table in again.kernel.history]
        assert sorted(set(weights)) == [3, 4, 5, 6, 7, 8, 9, 10]
        assert weights == sorted(weights)

    clock.run(story())


def test_an_infinite_weight_is_ignored(tmp_path: Path) -> None:
    path = left(tmp_path / "status", slow_start=SINCE["drain"], configured=float("inf"))
    assert not restore_desired(path).ramping


def test_a_quorum_that_was_lost_and_a_drain(tmp_path: Path) -> None:
    slow = {"slow_start": SINCE["drain"], "configured": 10}
    desired = restore_desired(left(tmp_path / "status", **SINCE, **slow))
    assert desired.without_quorum == {WHERE[0]}
    assert (desired.draining, desired.ramping) == ({WHERE: Drain(100.0, 160.0)}, {WHERE: Ramp(100.0, 10, 60.0)})


def test_what_was_left_before_a_boot_says_nothing(tmp_path: Path) -> None:
    path = Path(left(tmp_path / "status", **SINCE))
    path.write_text(path.read_text().replace(boot_id(), "another"))
    desired = restore_desired(str(path))
    assert (desired.without_quorum, desired.draining) == (set(), {})


@pytest.mark.parametrize("set_by_s", [3600.0, -3600.0])
def test_a_wall_clock_that_is_set_while_no_daemon_runs_changes_nothing(tmp_path: Path, set_by_s: float) -> None:
    async def story() -> None:
        spec, world = await taken_out(tmp_path)
        await asyncio.sleep(5)
        again = another(world, spec, tmp_path / "status")
        again.engine.checks.wall = lambda: clock.wall() + set_by_s
        await again.engine.start()
        (before,), (after,) = world.engine.desired.draining.values(), again.engine.desired.draining.values()
        assert (after.begun, after.ends) == pytest.approx((before.begun, before.ends), abs=0.01)

    clock.run(story())


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", "[" * 9999),
        *('{"virtual": 3}', '{"virtual": [3, {"service": 7}, {"service": "x"}, {"service": "fwmark/7"}]}'),
        *('{"memory": 3}', '{"memory": {"schema": 99, "boot": "", "services": [3]}}'),
    ],
    ids=range(8),
)
def test_what_is_not_understood_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "status").write_text(text)
    for path in (tmp_path / "status", tmp_path / "nothing"):
        desired = restore_desired(str(path))
        assert (desired.without_quorum, desired.draining, desired.ramping) == (set(), {}, {})


def test_a_damaged_memory_of_one_service_costs_no_other(tmp_path: Path) -> None:
    services = [
        {"service": DNS, "quorum": False, "drains": {f"{ONE}:53": [100.0]}},
        {"service": WEB, "quorum": False, "slow_starts": {f"{ONE}:80": [100.0, 10, 60.0]}, "leaving": [{"address": 7}]},
    ]
    path = tmp_path / "status"
    path.write_text(json.dumps({MEMORY: {"schema": 1, "boot": boot_id(), "services": services}}))
    desired = restore_desired(str(path))
    web = parse_virtual(WEB)
    assert desired.without_quorum == {WHERE[0], web}
    assert (desired.draining, list(desired.ramping.values()), desired.leaving) == ({}, [Ramp(100.0, 10, 60.0)], {})
