"""The gate's thread in trouble: how often it tries, for how long, and what it says of a pool that lost its quorum."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, cast

import pytest
from ocfpy.healthd.gate import Gate
from ocfpy.healthd.gate_files import Registration
from ocfpy.healthd.gate_worker import RETRY_MAX_S, RETRY_S, WITHDRAWN, Announcement, BgpdWorker, _retry_s
from ocfpy.healthd.pool_report import PoolReport
from ocfpy.healthd.publisher import Publisher
from ocfpy.healthd.status import is_short, no_backend_reason
from ocfpy.ocf.deadline import Deadline

from tests.unit.healthd import clock
from tests.unit.healthd.gate_stage import POOL, Heard, Stage, play, until
from tests.unit.healthd.played import ONE, TWO, World
from tests.unit.healthd.samples import DNS, pool

SHORT = f"too few live backends of {POOL} for its quorum"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_the_pause_between_attempts_has_a_limit_after_any_number_of_them() -> None:
    """A bgpd may hang for a night; 2 to the power of 1024 is more than a float holds."""
    assert [_retry_s(tries) for tries in range(4)] == [RETRY_S, 2 * RETRY_S, 4 * RETRY_S, 8 * RETRY_S]
    assert _retry_s(100_000) == RETRY_MAX_S


def test_a_fault_while_bgpd_is_looked_at_is_tried_again_with_pauses(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while nothing is wanted of it, because its pool has not said anything since."""
    calls: list[float] = []

    def fail(registration: Registration, deadline: Deadline) -> Any:
        calls.append(time.monotonic())
        raise ZeroDivisionError("a bug")

    async def scene() -> None:
        stage.gate.pool(POOL, 1)
        stage.bgpd.denied.add("192.0.2.53/32")  # it never shows the path, which is looked for
        registering = asyncio.ensure_future(stage.register())
        await until(lambda: stage.bgpd.statements)
        stage.gate.pool(POOL, None)
        for worker in stage.gate._workers.values():
            worker._connect = fail
        await until(lambda: calls)
        await asyncio.sleep(1.0)
        assert len(calls) <= 5, "with pauses of 0.2, 0.4 and 0.8 s"
        assert "a bug" in await registering

    play(scene(), stage)


def test_an_announcement_whose_pool_is_not_here_has_words_too() -> None:
    log = Heard()
    worker = BgpdWorker(cast(Any, None), {}, cast(Any, log), cast(Any, None), lambda: 1000.0)
    announcement = Announcement(Registration("bgp4", "192.0.2.53/32", POOL), 1000.0)
    answers: list[str] = []
    announcement.answers.append(answers.append)
    worker._settle(announcement, WITHDRAWN)
    assert log.lines[0].startswith(f"withdrew 192.0.2.53/32: no pool of this node publishes {POOL} any more, done after")
    assert answers == [f"unknown no pool of this node publishes {POOL}"]


def test_a_lost_quorum_is_not_called_a_pool_without_backends(stage: Stage) -> None:
    async def scene() -> None:
        stage.gate.pool(POOL, 2)
        await stage.register()
        stage.now = 2000.0
        stage.gate.pool(POOL, 0, "only 1 of 2", short=True)
        assert await stage.gate.answer("apply bgp4") == f"shut 2000.000 {SHORT}"
        assert stage.log.lines[-1].startswith(f"withdrew 192.0.2.53/32: {SHORT} (only 1 of 2), done after")
        assert stage.gate.snapshot()[0]["why"] == SHORT
        await until(lambda: stage.files.shut_gates() == {POOL: (2000.0, SHORT)})
        gate = stage.new_gate()
        await until(gate.snapshot)  # the thread has taken the registration
        assert await gate.answer("state bgp4") == f"shut 2000.000 {SHORT}"
        gate.expect(POOL)
        assert await gate.answer("state bgp4") == f"shut 2000.000 {SHORT}", "its pool has not said anything yet"
        stage.now = 3000.0
        gate.pool(POOL, 0, "all dead")
        assert await gate.answer("state bgp4") == f"shut 2000.000 no live backend of {POOL}"
        await until(lambda: stage.files.shut_gates() == {POOL: (2000.0, f"no live backend of {POOL}")})
        gate.pool(POOL, 0, "only 1 of 2", short=True)
        assert await gate.answer("state bgp4") == f"shut 2000.000 {SHORT}"
        gate.pool(POOL, 2)
        assert await gate.answer("apply bgp4") == "open 3000.000"

    play(scene(), stage)


def test_a_pool_reports_whether_it_lacks_backends_or_its_quorum() -> None:
    class Told:
        def __init__(self) -> None:
            self.reports: list[tuple[int | None, str, bool]] = []

        def expect(self, attribute: str) -> None:
            pass

        def pool(self, attribute: str, alive: int | None, why: str = "", short: bool = False) -> None:
            self.reports.append((alive, why.partition(":")[0], short))

    async def story() -> None:
        world, gate = World(pool(quorum=2, quorum_up=2)), Told()
        world.cluster.name = POOL  # type: ignore[attr-defined]
        engine = world.engine
        engine.publisher = PoolReport(
            cast(Publisher, world.cluster), cast(Gate, gate), lambda: no_backend_reason(engine), lambda: is_short(engine)
        )
        await engine.start()
        world.dead.add(ONE)
        await asyncio.sleep(20)
        world.dead.add(TWO)
        await asyncio.sleep(20)
        world.dead.clear()
        await asyncio.sleep(20)
        assert gate.reports == [
            (2, "", False),
            (0, f"only 1 backends of {DNS.partition(':')[0]}", True),
            (0, f"no backend of {DNS.partition(':')[0]}", False),
            (0, f"only 1 backends of {DNS.partition(':')[0]}", True),
            (2, "", False),
        ]

    clock.run(story())
