"""What monitors hear of a pool that a new daemon has adopted, until there are verdicts and when there are none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Callable

from ocfpy.checks.base import Check
from ocfpy.checks.result import Result, not_made
from ocfpy.checks.settings import CheckSettings
from ocfpy.healthd.adoption import overdue_line
from ocfpy.healthd.client import Node
from ocfpy.healthd.engine import Engine
from ocfpy.healthd.pool_task import PoolTask
from ocfpy.pool.spec import PoolSpec

from tests.unit.healthd import clock
from tests.unit.healthd.played import ONE, World
from tests.unit.healthd.samples import pool

BEFORE = "degraded no backend of udp/192.0.2.53:53 is alive: gone"
SLOW = CheckSettings(interval=60.0, timeout=40.0, rise=1, fall=3)
Answers = Callable[[str], Coroutine[Any, Any, Result]]
PATIENCE_S = 30.0 + 3 * 40.0


class Stage:
    """An adopted pool whose servers are in the kernel, and whose checks say what `answers` has for their address."""

    def __init__(self, directory: Path, answers: Answers) -> None:
        paths = Node(str(directory)).pool("dns")
        self.spec = pool(reals="10.0.0.11 10.0.0.12", check=SLOW)
        self.spec.write(paths.spec)
        Path(paths.status).write_text(json.dumps({"state": BEFORE}))
        self.answers = answers
        self.world: World
        self.task = PoolTask(paths, self._engine, None, adopted=True)  # type: ignore[arg-type]

    def _engine(self, task: PoolTask, spec: PoolSpec) -> Engine:
        self.world = world = World(spec)
        task.log = world.log  # type: ignore[assignment]
        service = spec.services[0]
        world.kernel.table = {service.virtual: (service.settings, dict(service.reals))}
        world.local.make_check = lambda address, *_: _Answering(self.answers, str(address))
        return world.engine


def play(directory: Path, answers: Answers, story: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    async def work() -> None:
        made = Stage(directory, answers)
        adopting = asyncio.ensure_future(made.task.adopt())
        await story(made)
        made.task.abandon()
        adopting.cancel()

    clock.run(work())


async def never(_: str) -> Result:
    await asyncio.Event().wait()
    raise AssertionError


async def no_secret(address: str) -> Result:
    await asyncio.sleep(1)
    return Result(True, "", 0.1) if address == ONE else not_made("/etc/secret: Permission denied", 0.0)


class _Answering(Check):
    def __init__(self, answers: Answers, address: str) -> None:
        self._answers, self._address = answers, address

    async def run(self) -> Result:
        return await self._answers(self._address)


def test_a_pool_whose_checks_take_long_is_what_it_was(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await asyncio.sleep(PATIENCE_S - 1)
        assert stage.task.verdict() == BEFORE

    play(tmp_path, never, story)


def test_a_pool_whose_checks_say_nothing_fails(tmp_path: Path) -> None:
    """Nothing looks at its servers: a failure has Pacemaker start it again."""

    async def story(stage: Stage) -> None:
        await asyncio.sleep(PATIENCE_S + 1)
        said = "failed no check of 10.0.0.11:53, 10.0.0.12:53 has given a result, 151 s after the health daemon was replaced"
        assert stage.task.verdict() == said

    play(tmp_path, never, story)


def test_a_pool_whose_check_this_node_cannot_make_is_degraded_with_the_reason(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await asyncio.sleep(PATIENCE_S + 1)
        assert stage.task.verdict() == (
            "degraded no verdict on 10.0.0.12:53, 151 s after the health daemon was replaced, so the traffic stays as it was:"
            " this node could not make the check: /etc/secret: Permission denied"
        )

    play(tmp_path, no_secret, story)


def test_a_pool_that_has_not_begun_fails() -> None:
    assert overdue_line(None, 31.0) == "failed the pool does not run yet, 31 s after the health daemon was replaced"
