"""A reload that replaces all servers: the old ones serve until a new one is up."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from ocfpy.checks.settings import CheckSettings
from ocfpy.cli.metrics import as_metrics
from ocfpy.healthd.restore import MEMORY, memory_document, restore_desired
from ocfpy.healthd.status import take_snapshot, verdict_line
from ocfpy.ipvs.model import by_key, parse_real_server
from ocfpy.pool.spec import PoolSpec

from tests.unit.healthd import clock
from tests.unit.healthd.played import ONE, TWO, World
from tests.unit.healthd.samples import DNS, pool

THREE, FOUR, SORRY = "10.0.0.13", "10.0.0.14", "10.0.0.99"


def spec(reals: str, **more: Any) -> PoolSpec:
    return pool(reals=reals, **{"drain_timeout": 60.0, "sorry": by_key([parse_real_server(f"{SORRY}:53")]), **more})


def servers(world: World) -> dict[str, dict[str, Any]]:
    (service,) = take_snapshot(world.engine).document()["virtual"]
    return {real["server"].partition(":")[0]: real for real in service["real_servers"]}


def test_the_old_servers_serve_until_a_new_one_is_up() -> None:
    async def story() -> None:
        world = World(spec(f"{ONE} {TWO}"))
        await world.engine.start()
        world.kernel.connections_of = {ONE: 1, TWO: 1}
        world.hanging = {THREE}
        begun = len(world.kernel.history)
        reload = asyncio.ensure_future(world.engine.reload(spec(f"{THREE} {FOUR}")))
        await asyncio.sleep(0.0005)
        assert servers(world)[ONE]["state"] == "leaving, still serving"
        await reload
        assert world.kernel.weights() == {DNS: {ONE: 0, TWO: 0, THREE: 0, FOUR: 1}}
        assert [table for _, table in world.kernel.history[begun:] if not any(table[DNS].values())] == []
        assert [table for _, table in world.kernel.history[begun:] if SORRY in table[DNS]] == []
        tried = len(world.times_of(ONE))
        await asyncio.sleep(10)
        assert len(world.times_of(ONE)) == tried, "a server that drains is not checked"
        assert [value for _, value in world.cluster.history] == [2, 1]

    clock.run(story())


def test_when_no_new_server_comes_up_the_old_ones_stay_and_it_is_said() -> None:
    async def story() -> None:
        world = World(spec(ONE))
        await world.engine.start()
        world.dead = {TWO}
        await world.engine.reload(spec(TWO))
        await asyncio.sleep(300)
        assert world.kernel.weights() == {DNS: {ONE: 1, TWO: 0}}
        assert world.cluster.value == 1
        said = f"{ONE}:53 of {DNS} leaving, still serving: no new server is up"
        assert verdict_line(world.engine) == f"degraded {said}: {TWO}:53 connection refused"
        assert len([line for line in world.log.lines if line == said]) == 1
        shown = servers(world)[ONE]
        assert (shown["state"], shown["reason"]) == ("leaving, still serving", "no new server is up")
        assert (shown["weight"], shown["configured"], shown["check"]["up"]) == (None, 0, True)
        found = {"pools": [take_snapshot(world.engine).document()], "addresses": [], "announcements": [], "sync": []}
        assert f'anycast_service_backends_leaving{{pool="dns",service="{DNS}"}} 1\n' in as_metrics(found)

    clock.run(story())


def test_an_old_server_that_dies_meanwhile_is_noticed() -> None:
    async def story() -> None:
        world = World(spec(ONE))
        await world.engine.start()
        world.dead = {TWO}
        await world.engine.reload(spec(TWO))
        world.dead = {ONE, TWO}
        await asyncio.sleep(10)
        assert world.kernel.weights() == {DNS: {ONE: 0, TWO: 0, SORRY: 1}}
        assert world.cluster.value == 0
        assert verdict_line(world.engine).startswith(f"degraded no backend of {DNS} is alive")
        assert servers(world)[ONE]["reason"] == "connection refused"
        world.dead = {TWO}
        await asyncio.sleep(10)
        assert (world.kernel.weights()[DNS][ONE], world.cluster.value) == (1, 1)

    clock.run(story())


def test_it_survives_the_daemon(tmp_path: Path) -> None:
    async def story() -> None:
        check = CheckSettings("http", interval=2.0, timeout=1.0, rise=2, fall=3, path="/of-the-old-ones")
        world = World(spec(ONE, check=check))
        await world.engine.start()
        world.dead = {TWO}
        after = spec(TWO)
        await world.engine.reload(after)
        path = tmp_path / "status"
        path.write_text(json.dumps({**take_snapshot(world.engine).document(), MEMORY: memory_document(world.engine.desired)}))
        again = World(after, restore_desired(str(path)))
        again.kernel.table, again.dead = world.kernel.table, {TWO}
        await again.engine.start()
        await asyncio.sleep(10)
        assert again.kernel.weights() == {DNS: {ONE: 1, TWO: 0}}
        assert {state.settings["path"] for state in again.engine.checks.states.values()} == {"/", "/of-the-old-ones"}
        again.kernel.connections_of, again.dead = {ONE: 1}, set()
        await asyncio.sleep(10)
        assert again.kernel.weights() == {DNS: {ONE: 0, TWO: 1}}

    clock.run(story())


def test_a_daemon_killed_in_the_reload_knows_what_it_went_by() -> None:
    async def story() -> None:
        before, after = spec(ONE), spec(TWO)
        world = World(before)
        await world.engine.start()
        again = World(after)
        again.kernel.table, again.dead = world.kernel.table, {TWO}
        await again.engine.start(before)
        assert again.kernel.weights() == {DNS: {ONE: 1, TWO: 0}}
        assert len(again.times_of(ONE)) > 0

    clock.run(story())
