"""What the gate makes of a pool's words, and of those that a daemon before it has written down."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.unit.healthd.gate_stage import DEAD, POOL, Stage, play, until

OTHER = "healthy-other"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_each_word_of_a_pool_has_its_answer(stage: Stage) -> None:
    async def scene() -> None:
        await stage.register()
        assert await stage.gate.answer("state bgp4") == f"unknown no pool of this node publishes {POOL}"
        stage.gate.expect(POOL)
        assert await stage.gate.answer("state bgp4") == f"waiting the pool of {POOL} has not checked its backends yet"
        stage.now = 2000.0
        stage.gate.pool(POOL, 3)
        assert await stage.gate.answer("state bgp4") == "open 2000.000"
        stage.now = 3000.0
        stage.gate.expect(POOL)
        assert await stage.gate.answer("state bgp4") == "open 2000.000", "it has looked at them already"

    play(scene(), stage)


def test_pool_that_comes_back_is_waited_for_behind_a_shut_gate(stage: Stage) -> None:
    async def scene() -> None:
        stage.gate.pool(POOL, 1)
        await stage.register()
        stage.now = 2000.0
        stage.gate.forget(POOL)
        assert await stage.gate.answer("state bgp4") == f"gone 2000.000 no pool of this node publishes {POOL} any more"
        stage.now = 3000.0
        stage.gate.expect(POOL)
        assert await stage.gate.answer("state bgp4") == f"shut 2000.000 no live backend of {POOL}"
        stage.gate.pool(POOL, 1)
        assert await stage.gate.answer("state bgp4") == "open 3000.000"

    play(scene(), stage)


def test_pool_that_was_dead_when_it_was_removed_is_withdrawn_since_its_death(stage: Stage) -> None:
    async def scene() -> None:
        stage.gate.pool(POOL, 0, DEAD)
        await stage.register()
        stage.now = 2000.0
        stage.gate.forget(POOL)
        assert (await stage.gate.answer("state bgp4")).startswith("gone 1000.000 ")

    play(scene(), stage)


def test_next_daemon_goes_by_the_pools_that_have_spoken(stage: Stage) -> None:
    """And keeps what is known of the others, for the daemon after it."""

    async def scene() -> None:
        for number, attribute in enumerate((POOL, OTHER)):
            stage.gate.pool(attribute, 0, DEAD)
            await stage.register(f"bgp{number}", f"192.0.2.{number}/32", attribute=attribute)
        await until(lambda: set(stage.files.shut_gates()) == {POOL, OTHER})
        stage.gate.close()
        gate = stage.new_gate()
        stage.now = 2000.0
        await until(lambda: len(gate.snapshot()) == 2)
        gate.pool(POOL, 1)
        assert await gate.answer("state bgp0") == "open 2000.000"
        assert await gate.answer("state bgp1") == f"shut 1000.000 no live backend of {OTHER}"
        await until(lambda: set(stage.files.shut_gates()) == {OTHER})

    play(scene(), stage)


def test_announcement_that_goes_to_another_bgpd_is_the_others_alone(stage: Stage) -> None:
    async def scene() -> None:
        stage.gate.pool(POOL, 1)
        await stage.register()
        assert (await stage.register(vty_dir="/run/frr/other")).startswith("open ")
        assert stage.other.statements == {"192.0.2.53/32": ""}
        assert await stage.gate.finish(20)
        sessions = len(stage.bgpd.sessions)
        stage.gate.pool(POOL, 0, DEAD)
        await until(lambda: not stage.other.statements)
        assert await stage.gate.finish(20)
        assert len(stage.bgpd.sessions) == sessions, "the bgpd of before is left as it is"
        withdrawals = [line for session in stage.other.sessions for line in session if line.startswith("no ")]
        assert len(withdrawals) == 1, "and it is withdrawn by one worker only"

    play(scene(), stage)


def test_a_daemon_that_ends_waits_for_every_bgpd(stage: Stage) -> None:
    async def scene() -> None:
        stage.gate.pool(POOL, 1)
        await stage.register("bgp0", "192.0.2.0/32")
        await stage.register("bgp1", "192.0.2.1/32", vty_dir="/run/frr/other")
        assert await stage.gate.finish(20)
        stage.other.hang = threading.Event()
        stage.gate.forget(POOL)
        await until(lambda: not stage.bgpd.statements)
        assert not await stage.gate.finish(0.5)
        stage.other.hang.set()
        assert await stage.gate.finish(20)
        assert stage.other.statements == {}

    play(scene(), stage)


def test_no_thread_outlives_a_gate(stage: Stage) -> None:
    async def scene() -> None:
        stage.gate.pool(POOL, 1)
        await stage.register()
        mine.extend(thread for thread in threading.enumerate() if thread.name.startswith("gate") and thread not in before)

    before, mine = threading.enumerate(), list[threading.Thread]()
    play(scene(), stage)
    assert len(mine) == 2, "of the one bgpd, and of the memory"
    for thread in mine:
        thread.join(20)
    assert not any(thread.is_alive() for thread in mine)


def test_shut_gates_are_written_down_from_the_first_announcement_to_the_last(stage: Stage) -> None:
    async def scene() -> None:
        stage.gate.pool(POOL, 0, DEAD)
        assert stage.files.shut_gates() == {}, "nothing is to be announced"
        for number in range(2):
            await stage.register(f"bgp{number}", f"192.0.2.{number}/32")
        await until(lambda: set(stage.files.shut_gates()) == {POOL})
        for number, left in enumerate(({POOL}, set[str]())):
            stage.files.delete(f"bgp{number}")
            assert await stage.gate.answer(f"apply bgp{number}") == "absent"
            assert set(stage.files.shut_gates()) == left

    play(scene(), stage)


def test_a_full_disk_is_said_once_for_as_long_as_it_lasts(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    is_full = [True]

    def remember(*_: object) -> None:
        written.append(1)
        if is_full[0]:
            raise OSError(28, "No space left on device")

    def warnings() -> list[str]:
        return [line for line in stage.log.lines if "No space left on device" in line]

    async def scene() -> None:
        monkeypatch.setattr("ocfpy.healthd.gate_files.GateFiles.remember", remember)
        await stage.register()
        for alive in (0, 1, 0):
            before = len(written)
            stage.gate.pool(POOL, alive)
            await until(lambda before=before: len(written) > before)  # type: ignore[misc]
        is_full[0] = False
        stage.gate.pool(POOL, 1)
        await until(lambda: len(written) == 5)
        is_full[0] = True
        stage.gate.pool(POOL, 0)
        await until(lambda: len(warnings()) == 2)
        assert warnings()[0] == "cannot write down which gates are shut: [Errno 28] No space left on device"

    play(scene(), stage)


def test_registrations_that_cannot_be_read_are_said(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(*_: object) -> None:
        raise OSError(13, "Permission denied")

    async def scene() -> None:
        monkeypatch.setattr("ocfpy.healthd.gate_files.GateFiles.read_all", unreadable)
        stage.gate.close()
        stage.new_gate()
        assert any("cannot read the gated announcements" in line for line in stage.log.lines)

    play(scene(), stage)
