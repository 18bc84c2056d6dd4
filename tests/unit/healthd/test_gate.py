"""The gate with a bgpd of a few lines: announcements follow the pools, in spite of any fault."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from ocfpy.bgp.errors import BgpdDead, BgpdHung
from ocfpy.healthd import gate_worker
from ocfpy.healthd.gate_files import Registration
from ocfpy.ocf.deadline import Deadline

from tests.unit.healthd.gate_stage import DEAD, LIMIT_S, POOL, Stage, play, until


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_route_follows_the_pool(stage: Stage) -> None:
    async def scene() -> None:
        stage.gate.pool(POOL, 2)
        assert (await stage.register()).startswith("open ")
        assert stage.bgpd.statements == {"192.0.2.53/32": ""}
        stage.now = 2000.0
        stage.gate.pool(POOL, 0, DEAD)
        assert await stage.gate.answer("state bgp4") == f"shut 2000.000 no live backend of {POOL}"
        await until(lambda: not stage.bgpd.statements)
        await until(lambda: stage.log.lines[-1].startswith(f"withdrew 192.0.2.53/32: no live backend of {POOL} ({DEAD}), done"))
        (shown,) = stage.gate.snapshot()
        assert (shown["state"], shown["why"], shown["cause"]) == ("withdrawn", f"no live backend of {POOL}", DEAD)
        stage.gate.pool(POOL, 1)
        await until(lambda: stage.bgpd.statements)
        await until(lambda: stage.log.lines[-1].startswith(f"announced 192.0.2.53/32: 1 live backend of {POOL}, done"))
        assert len(stage.log.lines) == 3

    play(scene(), stage)


def test_changes_above_zero_are_no_news_for_bgpd(stage: Stage) -> None:
    async def scene() -> None:
        stage.gate.pool(POOL, 2)
        await stage.register()
        sessions = len(stage.bgpd.sessions)
        for alive in (1, 5, 3):
            stage.gate.pool(POOL, alive)
            assert (await stage.gate.answer("state bgp4")).startswith("open ")
        stage.gate.pool("healthy-other", 0)
        await stage.register("bgp5", "192.0.2.5/32", attribute="healthy-other")
        assert len(stage.bgpd.sessions) == sessions + 1

    play(scene(), stage)


def test_start_behind_a_shut_gate_announces_nothing(stage: Stage) -> None:
    async def scene() -> None:
        stage.gate.pool(POOL, 0, DEAD)
        assert await stage.register() == f"shut 1000.000 no live backend of {POOL}"
        assert stage.bgpd.sessions == [["no network 192.0.2.53/32"]]

    play(scene(), stage)


def test_pool_that_has_not_spoken_leaves_bgpd_alone(stage: Stage) -> None:
    async def scene() -> None:
        stage.bgpd.statements["192.0.2.53/32"] = ""
        assert await stage.register() == f"unknown no pool of this node publishes {POOL}"
        stage.gate.pool(POOL, None)
        assert await stage.gate.answer("apply bgp4") == f"waiting the pool of {POOL} has not checked its backends yet"
        assert stage.bgpd.sessions == []
        stage.gate.pool(POOL, 0, DEAD)
        await until(lambda: not stage.bgpd.statements)
        stage.gate.pool(POOL, None)
        stage.bgpd.statements["192.0.2.53/32"] = "left as it is"
        assert (await stage.gate.answer("apply bgp4")).startswith("shut "), "as it was, until the pool has looked"
        assert stage.bgpd.statements == {"192.0.2.53/32": "left as it is"}

    play(scene(), stage)


def test_forty_withdrawals_share_a_session(stage: Stage) -> None:
    async def scene() -> None:
        for number in range(20):
            stage.gate.pool(f"healthy-{number}", 1)
            await stage.register(f"four{number}", f"192.0.2.{number}/32", attribute=f"healthy-{number}")
            await stage.register(f"six{number}", f"2001:db8::{number + 1:x}/128", attribute=f"healthy-{number}")
        assert len(stage.bgpd.statements) == 40
        stage.bgpd.sessions.clear()
        for number in range(20):
            stage.gate.pool(f"healthy-{number}", 0)
        await until(lambda: not stage.bgpd.statements)
        assert [len(session) for session in stage.bgpd.sessions] == [40]
        for number in range(20):
            stage.gate.pool(f"healthy-{number}", 3)
        await until(lambda: len(stage.bgpd.statements) == 40)
        assert [len(session) for session in stage.bgpd.sessions] == [40, 40]

    play(scene(), stage)


def test_daemon_that_was_replaced_goes_on(stage: Stage) -> None:
    async def scene() -> None:
        stage.gate.pool(POOL, 1)
        await stage.register()
        stage.now = 2000.0
        stage.gate.pool(POOL, 0, DEAD)
        await until(lambda: stage.files.shut_gates())
        stage.gate.close()
        gate = stage.new_gate()
        stage.now = 3000.0
        await until(lambda: gate.snapshot())
        assert await gate.answer("state bgp4") == f"shut 2000.000 no live backend of {POOL}"
        gate.pool(POOL, 0, DEAD)
        assert await gate.answer("apply bgp4") == f"shut 2000.000 no live backend of {POOL}"
        gate.pool(POOL, 1)
        await until(lambda: stage.bgpd.statements)
        await until(lambda: not stage.files.shut_gates())

    play(scene(), stage)


def test_pool_dead_at_the_new_daemons_first_word(stage: Stage) -> None:
    async def scene() -> None:
        stage.gate.pool(POOL, 1)
        await stage.register()
        stage.gate.close()
        gate = stage.new_gate()
        gate.pool(POOL, None)
        gate.pool(POOL, 0, DEAD)
        await until(lambda: not stage.bgpd.statements)

    play(scene(), stage)


def test_removed_pool_takes_its_routes_along(stage: Stage) -> None:
    async def scene() -> None:
        stage.gate.pool(POOL, 1)
        await stage.register()
        stage.gate.forget(POOL)
        await until(lambda: not stage.bgpd.statements)
        gone = f"gone 1000.000 no pool of this node publishes {POOL} any more"
        assert await stage.gate.answer("state bgp4") == gone
        assert await stage.gate.answer("apply bgp4") == gone
        stage.gate.pool(POOL, 1)
        await until(lambda: stage.bgpd.statements)

    play(scene(), stage)


def test_pool_that_was_stopped_without_the_daemon_takes_its_routes_along(stage: Stage) -> None:
    async def scene() -> None:
        await stage.register(route_map="")
        stage.bgpd.statements["192.0.2.53/32"] = ""  # of the daemon that knew the pool
        assert await stage.gate.answer("state bgp4") == f"unknown no pool of this node publishes {POOL}"
        assert await stage.gate.answer(f"gate forget {POOL}") == "forgotten"
        await until(lambda: not stage.bgpd.statements)

    play(scene(), stage)


def test_daemon_that_ends_finishes_its_withdrawals_first(stage: Stage) -> None:
    async def scene() -> None:
        stage.gate.pool(POOL, 1)
        await stage.register()
        assert await stage.gate.finish(LIMIT_S)
        stage.bgpd.hang = threading.Event()
        stage.gate.forget(POOL)
        assert not await stage.gate.finish(0.05)
        stage.bgpd.hang.set()
        assert await stage.gate.finish(LIMIT_S)
        assert stage.bgpd.statements == {}

    play(scene(), stage)


def test_leaving_announcement_is_only_ever_withdrawn(stage: Stage) -> None:
    async def scene() -> None:
        stage.gate.pool(POOL, 1)
        await stage.register()
        assert await stage.register(leaving="yes") == "leaving"
        stage.gate.pool(POOL, 0)
        await until(lambda: not stage.bgpd.statements)
        stage.gate.pool(POOL, 1)
        assert await stage.gate.answer("apply bgp4") == "leaving"
        assert stage.bgpd.statements == {}
        stage.files.delete("bgp4")
        assert await stage.gate.answer("apply bgp4") == "absent"
        assert await stage.gate.answer("state bgp4") == "absent"

    play(scene(), stage)


def test_drain_that_the_pools_death_ends(stage: Stage) -> None:
    async def scene() -> None:
        stage.gate.pool(POOL, 1)
        await stage.register()
        assert await stage.register(leaving="yes", route_map="DRAIN") == "leaving"
        assert stage.bgpd.statements == {"192.0.2.53/32": "route-map DRAIN"}
        stage.gate.pool(POOL, 0)
        await until(lambda: not stage.bgpd.statements)
        stage.gate.pool(POOL, 1)
        assert await stage.gate.answer("state bgp4") == "leaving"
        await until(lambda: stage.gate.snapshot()[0]["state"] == "withdrawn")
        assert stage.bgpd.statements == {}

    play(scene(), stage)


def test_nothing_is_drained_that_is_not_announced(stage: Stage) -> None:
    async def scene() -> None:
        stage.gate.pool(POOL, 1)
        assert await stage.register(leaving="yes", route_map="DRAIN") == "leaving"
        assert stage.bgpd.statements == {}

    play(scene(), stage)


@pytest.mark.parametrize("change", ["removed", "leaving"])
def test_file_is_the_permission_to_announce(stage: Stage, change: str) -> None:
    """An agent that cannot reach the daemon changes the file, and that is enough."""

    async def scene() -> None:
        stage.gate.pool(POOL, 0)
        await stage.register()
        if change == "removed":
            stage.files.delete("bgp4")
        else:
            stage.files.write(Registration("bgp4", "192.0.2.53/32", POOL, leaving="yes"))
        await stage.register("bgp5", "192.0.2.5/32")
        stage.gate.pool(POOL, 1)
        await until(lambda: stage.bgpd.statements)
        assert (await stage.gate.answer("apply bgp5")).startswith("open ")
        assert stage.bgpd.statements == {"192.0.2.5/32": ""}

    play(scene(), stage)


@pytest.mark.parametrize("leaves", [False, True])
def test_nothing_is_announced_while_an_agent_has_the_lock(stage: Stage, leaves: bool) -> None:
    """And when the agent lets go of it, the file says whether it may be."""

    async def scene() -> None:
        stage.gate.pool(POOL, 0)
        await stage.register()
        await stage.register("bgp5", "192.0.2.5/32")
        with stage.files.write_lock(Deadline(LIMIT_S)):
            stage.gate.pool(POOL, 1)
            await asyncio.sleep(0.05)
            assert stage.bgpd.statements == {}
            if leaves:
                stage.files.write(Registration("bgp4", "192.0.2.53/32", POOL, leaving="yes"))
        await until(lambda: "192.0.2.5/32" in stage.bgpd.statements)
        assert ("192.0.2.53/32" in stage.bgpd.statements) != leaves

    play(scene(), stage)


def test_hung_bgpd_holds_up_only_itself(stage: Stage) -> None:
    async def scene() -> None:
        stage.gate.pool(POOL, 1)
        await stage.register()
        await stage.register("bgp5", "192.0.2.5/32", vty_dir="/run/frr/other")
        stage.bgpd.hang = threading.Event()
        stage.gate.pool(POOL, 0)
        await until(lambda: not stage.other.statements)
        assert "192.0.2.53/32" in stage.bgpd.statements
        assert (await stage.gate.answer("state bgp4")).startswith("shut ")
        stage.bgpd.hang.set()
        await until(lambda: not stage.bgpd.statements)

    play(scene(), stage)


def test_hung_bgpd_is_tried_until_it_agrees_and_named_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_worker, "RETRY_MAX_S", 0.001)

    async def scene() -> None:
        stage.gate.pool(POOL, 1)
        await stage.register()
        stage.bgpd.error = BgpdHung("bgpd hangs")
        stage.gate.pool(POOL, 0)
        assert await stage.gate.answer("apply bgp4") == "failed bgpd hangs"
        assert stage.gate.snapshot()[0]["error"] == "bgpd hangs"
        await asyncio.sleep(0.05)
        stage.bgpd.error = None
        await until(lambda: not stage.bgpd.statements)
        await until(lambda: stage.gate.snapshot()[0]["error"] == "")
        assert sum("bgpd hangs" in line for line in stage.log.lines) == 1

    play(scene(), stage)


def test_dead_bgpd_announces_nothing_and_is_told_when_it_is_back(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_worker, "RETRY_MAX_S", 0.001)

    async def scene() -> None:
        stage.gate.pool(POOL, 1)
        await stage.register()
        stage.bgpd.error = BgpdDead("bgpd does not run")
        stage.bgpd.statements.clear()
        stage.gate.pool(POOL, 0)
        assert (await stage.gate.answer("apply bgp4")).startswith("shut ")
        stage.gate.pool(POOL, 1)
        await until(lambda: stage.gate.snapshot()[0]["error"] == "bgpd does not run")
        stage.bgpd.error = None
        await until(lambda: stage.bgpd.statements)

    play(scene(), stage)


def test_statement_without_effect_is_an_error(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_worker, "VERIFY_S", 0.05)

    async def scene() -> None:
        stage.gate.pool(POOL, 1)
        stage.bgpd.denied.add("192.0.2.53/32")
        said = await stage.register(route_map="DENY")
        assert said.startswith("failed bgpd accepted the statement but has no path to 192.0.2.53/32: route-map DENY denies")
        stage.bgpd.denied.clear()
        await stage.register()
        stage.bgpd.deaf = True
        stage.gate.pool(POOL, 0)
        said = await stage.gate.answer("apply bgp4")
        assert said == "failed bgpd accepted the statement but still has a path to 192.0.2.53/32"
        assert stage.gate.snapshot()[0]["state"] == "announced"

    play(scene(), stage)


def test_fault_of_the_gate_does_not_end_it(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_worker, "RETRY_MAX_S", 0.001)

    async def scene() -> None:
        stage.gate.pool(POOL, 1)
        await stage.register()
        stage.bgpd.error = RuntimeError("an accident")
        stage.gate.pool(POOL, 0)
        await until(lambda: any("RuntimeError: an accident" in line for line in stage.log.lines))
        stage.bgpd.error = None
        await until(lambda: not stage.bgpd.statements)

    play(scene(), stage)


def test_what_bgpd_lost_is_restored_by_apply(stage: Stage) -> None:
    async def scene() -> None:
        stage.gate.pool(POOL, 1)
        await stage.register()
        stage.bgpd.statements.clear()
        assert (await stage.gate.answer("apply bgp4")).startswith("open ")
        assert stage.bgpd.statements
        stage.gate.pool(POOL, 0)
        await until(lambda: not stage.bgpd.statements)
        stage.bgpd.statements["192.0.2.53/32"] = "by hand"
        assert (await stage.gate.answer("apply bgp4")).startswith("shut ")
        assert stage.bgpd.statements == {}

    play(scene(), stage)


def test_registration_with_another_bgpd(stage: Stage) -> None:
    async def scene() -> None:
        stage.gate.pool(POOL, 1)
        await stage.register()
        await stage.register(vty_dir="/run/frr/other")
        assert stage.other.statements
        stage.gate.pool(POOL, 0)
        await until(lambda: not stage.other.statements)
        assert len(stage.gate.snapshot()) == 1
        assert stage.bgpd.statements, "it is the agent that takes it away there"

    play(scene(), stage)


def test_requests_it_does_not_know(stage: Stage) -> None:
    async def scene() -> None:
        assert (await stage.gate.answer("gate open bgp4")).startswith("failed the gate knows no request 'open'")
        assert await stage.gate.answer("snapshot") == "[]"

    play(scene(), stage)


@pytest.mark.parametrize(("schema", "count"), [("0", 1), ("1", 1), ("2", 0), ("x", 0), ("", 0)])
def test_formats_that_are_read(stage: Stage, schema: str, count: int) -> None:
    path = stage.directory / "bgp-announce-bgp4.gate"
    path.write_text(f"schema={schema}\nprefix=192.0.2.53/32\nattribute={POOL}\n")
    assert len(stage.files.read_all()) == count
    path.write_text("schema=1\nprefix=nonsense\n")
    assert stage.files.read_all() == []
    stage.gate.close()


def test_pool_returns_at_once(stage: Stage) -> None:
    """With a bgpd that hangs, and forty announcements."""

    async def scene() -> None:
        stage.gate.pool(POOL, 1)
        for number in range(40):
            await stage.register(f"bgp{number}", f"192.0.2.{number}/32")
        stage.bgpd.hang = threading.Event()
        done = asyncio.Event()
        stage.gate.pool(POOL, 0)
        asyncio.get_running_loop().call_later(0.05, done.set)
        await asyncio.wait_for(done.wait(), LIMIT_S)  # the loop turns while the worker hangs
        assert len(stage.bgpd.statements) == 40
        stage.bgpd.hang.set()
        await until(lambda: not stage.bgpd.statements)

    play(scene(), stage)
