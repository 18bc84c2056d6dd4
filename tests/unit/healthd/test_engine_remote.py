"""An engine whose checks are made by a checker: what becomes of the table when that is lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any, cast

import pytest
from ocfpy.checks.settings import CheckSettings
from ocfpy.healthd.engine import Engine
from ocfpy.healthd.ipvs_worker import IpvsWorker
from ocfpy.healthd.pool_checks import PoolChecks
from ocfpy.healthd.publisher import Publisher
from ocfpy.ocf.errors import OcfError

from tests.unit.healthd.checker_world import World, free_port, run, until
from tests.unit.healthd.played import PlayedCluster, PlayedKernel
from tests.unit.healthd.samples import WEB, pool


def engine_of(world: World, port: int, check: CheckSettings) -> tuple[Engine, PlayedKernel, PlayedCluster]:
    kernel, cluster = PlayedKernel(), PlayedCluster()
    spec = pool(WEB, "127.0.0.1 127.0.0.2", check.replace(port=port))
    engine = Engine(
        spec,
        cast(IpvsWorker, kernel),
        cast(Publisher, cluster),
        PoolChecks(spec.resource, world.checks, cast(Any, world.log)),
        cast(Any, world.log),
    )
    return engine, kernel, cluster


def test_the_table_stays_as_it_is_while_a_checker_is_replaced(tmp_path: Path) -> None:
    check = CheckSettings("tcp", interval=0.5, timeout=0.5, rise=1, fall=50)

    async def story(world: World) -> None:
        port = await world.serve()
        engine, kernel, cluster = engine_of(world, port, check)
        await engine.start()
        assert kernel.weights() == {WEB: {"127.0.0.1": 1, "127.0.0.2": 0}}
        assert cluster.value == 1
        begun = len(kernel.history)
        os.kill(world.pid, signal.SIGKILL)
        await until(lambda: world.replaced == 1 and world.pids() != [None])
        seen = engine.checks.states
        with pytest.raises(OcfError, match="EmptyLabel"):
            await engine.reload(pool(WEB, "127.0.0.1", CheckSettings("dns", name="a..b", port=port)))
        assert engine.checks.states is seen
        assert all(table == {WEB: {"127.0.0.1": 1, "127.0.0.2": 0}} for _, table in kernel.history[begun:])
        await engine.reload(pool(WEB, "127.0.0.1", check.replace(port=port)))
        assert kernel.weights() == {WEB: {"127.0.0.1": 1}}
        await engine.stop()
        assert cluster.value is None
        await until(lambda: world.checks.status["checkers"] == [])

    run(tmp_path / "base", story)


def test_a_pool_none_of_whose_servers_answers_starts_and_says_why(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        engine, _, cluster = engine_of(world, free_port(), CheckSettings("tcp", interval=0.5, timeout=0.5))
        await engine.start()
        assert cluster.value == 0
        assert {watch.reason for watch in engine.checks.states.values()} == {"connection refused"}

    run(tmp_path / "base", story)
