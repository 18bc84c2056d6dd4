"""Checkers as processes: verdicts arrive, and nothing is lost when one is killed, hangs, or says what it never says."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ocfpy.checks.settings import CheckSettings
from ocfpy.healthd import checker_process, strays
from ocfpy.healthd.check_state import CheckState
from ocfpy.healthd.checker_process import CheckerProcess
from ocfpy.healthd.privileges import find_user
from ocfpy.ocf.errors import HostError, OcfError
from ocfpy.pool.hysteresis import Verdict

from tests.unit.healthd.checker_world import World, free_port, is_gone, launcher, run, until
from tests.unit.healthd.processes import open_files

QUICK = CheckSettings("tcp", interval=0.5, timeout=0.4, rise=1, fall=3)
PATIENT = CheckSettings("tcp", interval=0.5, timeout=0.5, fall=100)
"""Of servers that must stay up on a machine that is busy."""


def test_verdicts_reasons_and_details_arrive(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        good = await world.begin(QUICK, await world.serve())
        bad = await world.begin(QUICK, free_port())
        await until(lambda: good.up is True and bad.up is False)
        assert (bad.state.reason, good.state.reason) == ("connection refused", "")
        assert good.verdicts == [True], "nothing is told while nothing changes"
        before = good.state.next_at
        await asyncio.sleep(2 * QUICK.interval)
        assert good.state.next_at == before
        await world.checks.details()
        assert good.state.next_at > before
        status = world.checks.status
        assert (status["replaced"], status["isolated"], status["checkers"][0]["checks"]) == (0, [], 2)

    run(tmp_path / "base", story)


def test_a_server_that_dies_goes_down_after_fall_and_comes_back_after_rise(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        port = await world.serve()
        told = await world.begin(CheckSettings("tcp", interval=0.3, timeout=0.3, rise=2, fall=3), port)
        await until(lambda: told.up)
        world.servers[0].close()
        await until(lambda: told.up is False)
        await world.serve(port=port)
        await until(lambda: told.up is True)

    run(tmp_path / "base", story)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_checker_that_is_lost_is_replaced_and_no_verdict_with_it(tmp_path: Path, how: signal.Signals) -> None:
    async def story(world: World) -> None:
        port = await world.serve()
        up = await world.begin(PATIENT, port)
        down = await world.begin(CheckSettings("tcp", interval=0.5, rise=100, fall=1), free_port())
        await until(lambda: up.up and down.up is False)
        lost = world.pid
        os.kill(lost, how)
        await until(lambda: world.replaced == 1 and world.pids() != [lost] and world.pids() != [None])
        assert is_gone(lost)
        assert (up.up, down.up) == (True, False)
        world.servers[0].close()
        seen = len(up.reasons)
        await until(lambda: "connection refused" in up.reasons[seen:])
        assert up.verdicts == [True] * len(up.verdicts)
        assert world.checks.isolated == frozenset(), "no check ran when it was lost"

    run(tmp_path / "base", story)


def test_a_new_checker_goes_on_counting_where_the_old_one_was(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        told = await world.begin(CheckSettings("tcp", interval=3600.0, fall=2), free_port(), verdict=Verdict(True))
        await until(lambda: told.state.verdict.against == 1)
        os.kill(world.pid, signal.SIGKILL)
        await until(lambda: told.up is False)

    run(tmp_path / "base", story)


BURN = """
from ocfpy.checks import tcp
attempt = tcp.TcpCheck.attempt
async def burning(self):
    await attempt(self)
    if self.expect == "burn":
        sum(range(10**12))  # C code, which no budget in Python ends
tcp.TcpCheck.attempt = burning
"""


def checker_of(world: World, pool: str | None) -> int:
    """The checker's process of an isolated pool, or of all others."""
    (pid,) = (one["pid"] for one in world.checks.status["checkers"] if one["pool"] == pool)
    return int(pid)


def test_a_check_that_never_ends_has_failed_and_its_pool_is_isolated_the_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher(tmp_path / "launcher", monkeypatch, BURN)

    async def story(world: World) -> None:
        port = await world.serve(lambda _: b"burn\n")
        other = await world.begin(PATIENT, port, "web")
        await until(lambda: other.up)
        evil = await world.begin(CheckSettings("tcp", interval=0.5, request="x", expect="burn", fall=2), port, "evil")
        await until(lambda: evil.up is False)
        used = "the check used more than 1 s of processor time without a pause"
        starved = "it was silent for 10 s"  # where the machine did not give it that much
        assert evil.state.reason == used or starved in evil.state.reason, evil.state.reason
        await until(lambda: world.checks.isolated == {"evil"})
        await until(lambda: {one["pool"] for one in world.checks.status["checkers"]} == {None, "evil"})
        await until(lambda: all(world.pids()))
        shared, replaced = checker_of(world, None), world.replaced
        await until(lambda: world.replaced > replaced)
        assert other.verdicts == [True] * len(other.verdicts)
        assert checker_of(world, None) == shared
        assert any("evil gets a checker of its own" in line for line in world.log.lines)
        evil.handle.end()
        await until(lambda: [one["pool"] for one in world.checks.status["checkers"]] == [None])

    run(tmp_path / "base", story)


def test_a_pool_can_be_isolated_by_request_and_share_a_checker_again(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        port = await world.serve()
        one = await world.begin(PATIENT, port, "one")
        two = await world.begin(PATIENT, port, "two")
        await until(lambda: one.up and two.up)
        assert world.checks.status["checkers"][0]["checks"] == 1
        world.checks.isolate("two")
        assert {checker["pool"]: checker["checks"] for checker in world.checks.status["checkers"]} == {None: 1, "two": 1}
        world.checks.isolate("two", False)
        await until(lambda: len(world.checks.status["checkers"]) == 1)
        assert two.verdicts == [True] * len(two.verdicts)

    run(tmp_path / "base", story)


def test_identical_checks_of_several_pools_run_once_and_end_with_the_last(tmp_path: Path) -> None:
    asked = 0

    def count(_: bytes) -> bytes:
        nonlocal asked
        asked += 1
        return b"hello\n"

    async def story(world: World) -> None:
        port = await world.serve(count)
        slow = CheckSettings("tcp", interval=3600.0, timeout=60.0, request="x", expect="hello")
        one = await world.begin(slow, port, "one")
        await until(lambda: one.up)
        two = await world.begin(slow, port, "two")
        believer = await world.begin(slow, port, "three", Verdict(False))
        await until(lambda: two.up and believer.up)
        assert asked == 1
        assert believer.verdicts == [True]
        one.handle.end()
        believer.handle.end()
        believer.handle.end()
        assert world.checks.status["checkers"][0]["checks"] == 1
        pid = world.pid
        two.handle.end()
        await until(lambda: world.checks.status["checkers"] == [] and is_gone(pid))

    run(tmp_path / "base", story)


def test_who_has_traffic_keeps_it_when_the_check_it_shares_has_no_verdict_yet(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        settings = CheckSettings("tcp", interval=3600.0, timeout=60.0, fall=2, request="x", expect="never")
        told, request = world.request(settings, await world.serve())
        other, same = world.request(settings, 0, "web", Verdict(None, trusted=True))
        await world.checks.prepare([request])
        told.handle = world.checks.begin(told.state, request, told.on_change)
        world.checks.begin(other.state, same._replace(key=request.key), other.on_change)
        await until(lambda: other.up is False)
        assert other.verdicts == [None, False]

    run(tmp_path / "base", story)


def test_an_engine_that_fails_keeps_no_other_from_hearing(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        port = await world.serve()
        told, request = world.request(PATIENT, port)

        def fail(*_: object) -> None:
            raise ZeroDivisionError("a bug")

        world.checks.begin(CheckState("x", PATIENT, Verdict(), time.time()), request, fail)
        told.handle = world.checks.begin(told.state, request, told.on_change)
        await until(lambda: told.up)
        assert any("ZeroDivisionError: a bug" in line for line in world.log.lines)
        assert world.replaced == 0

    run(tmp_path / "base", story)


def test_a_check_that_cannot_be_made_is_refused_before_anything_begins(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        with pytest.raises(OcfError, match="EmptyLabel"):
            await world.begin(CheckSettings("dns", name="a..b"), 53)
        with pytest.raises(HostError, match="check_command_user=nemo-7: this node has no such user"):
            await world.begin(CheckSettings("external", command="/bin/true", command_user="nemo-7"), 80)
        assert (await world.begin(PATIENT, free_port())).state.verdict == Verdict()

    run(tmp_path / "base", story)


def test_a_question_that_ends_the_checker_is_answered_with_no(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher(tmp_path / "launcher", monkeypatch, "import os\nchecker.make_check = lambda *_: os._exit(7)")

    async def story(world: World) -> None:
        with pytest.raises(OcfError, match="was lost during this check: it ended with exit code 7"):
            await world.begin(PATIENT, 80)

    run(tmp_path / "base", story)


def test_a_checker_that_cannot_start_is_said_to_the_one_who_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patch = "def set_limits():\n    raise OSError(12, 'no room')\nchecker.set_limits = set_limits"
    launcher(tmp_path / "launcher", monkeypatch, patch)

    async def story(world: World) -> None:
        with pytest.raises(OcfError, match=r"cannot start: .*no room"):
            await world.begin(PATIENT, 80)

    run(tmp_path / "base", story)


BAD_LINES = [
    "{}", "nonsense", '["result"]', '["result",1,true,0,false,true,"",null,0.1,NaN]',
    '["result",1,true,0,false,true,"",null,0.1]',
    '["result",99,true,0,false,true,"",null,0.1,1]', '["result",1,1,0,false,true,"",null,0.1,1]',
    '["result",1,true,-1,false,true,"",null,0.1,1]', '["result",1,true,0,false,true,"a\\nb",null,0.1,1]',
    '["result",1,true,0,false,true,"",1e9,0.1,1]', '["eval","1"]', '["details",1,[[1,2]],true]', '["refused",1,99,"x"]',
    "[" * 9000, "x" * 20000, '["made",true]', '["fault",["x"]]', "\\u0000",
]  # fmt: skip


@pytest.mark.parametrize("line", BAD_LINES, ids=lambda line: line[:30])
def test_one_that_says_what_it_never_says_is_replaced(public_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    patch = f"""
import os
class Evil(checker.Checker):
    def _order_begin(self, *words):
        if not os.path.exists({str(public_path / 'once')!r}):
            self._send({line.encode()!r} + b"\\n")
        super()._order_begin(*words)
checker.Checker = Evil
"""
    launcher(public_path / "launcher", monkeypatch, patch)

    async def story(world: World) -> None:
        told, request = world.request(PATIENT, await world.serve())
        told.handle = world.checks.begin(told.state, request, told.on_change)
        await until(lambda: world.replaced >= 1)
        assert any("it sent " in text for text in world.log.lines)
        (public_path / "once").touch()
        await until(lambda: told.up)

    run(public_path / "base", story)


def test_one_that_does_not_read_is_replaced_before_it_costs_the_keeper_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checker_process, "MAX_QUEUED", 1 << 20)
    launcher(tmp_path / "launcher", monkeypatch, "checker.Checker._read = lambda self: __import__('time').sleep(0.05)")

    async def story(world: World) -> None:
        for port in range(1, 5000):
            told, request = world.request(PATIENT, port)
            world.checks.begin(told.state, request, told.on_change)
        await until(lambda: any("did not read 1 MiB" in line for line in world.log.lines))

    run(tmp_path / "base", story)


def test_commands_of_a_checker_that_was_killed_are_ended(public_path: Path) -> None:
    script = public_path / "check"
    script.write_text(f"#!/bin/sh\necho $$ >{public_path}/pid.$$\nexec sleep 1000\n")
    script.chmod(0o755)

    def pids() -> list[int]:
        return [int(path.name[4:]) for path in public_path.glob("pid.*")]

    async def story(world: World) -> None:
        await world.begin(CheckSettings("external", interval=3600.0, timeout=3600.0, command=str(script)), 80)
        await until(pids)
        first = pids()[0]
        os.kill(world.pid, signal.SIGKILL)
        await until(lambda: is_gone(first))
        await until(lambda: len(pids()) == 2)
        await world.checks.stop()
        await until(lambda: all(map(is_gone, pids())))

    run(public_path / "base", story)


def test_a_checker_that_was_only_asked_ends(tmp_path: Path) -> None:
    """A refused check of another user's leaves no process behind."""

    async def story(world: World) -> None:
        _, request = world.request(CheckSettings("dns", name="a..b"), 1)
        with pytest.raises(OcfError, match="EmptyLabel"):
            await world.checks.prepare([request])
        pid = world.pid
        await until(lambda: world.pids() == [] and is_gone(pid))

    run(tmp_path / "base", story)


@pytest.mark.parametrize("failing", ["os.pidfd_open", "os.posix_spawn", "fcntl.fcntl", "os.open"])
def test_a_checker_that_cannot_be_started_leaves_nothing(monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    """It is tried again every few seconds, when this node is out of descriptors as a rule."""
    duplicate, calls = fcntl.fcntl, iter(range(100))

    def fail(*args: Any, **_: object) -> Any:
        if failing == "fcntl.fcntl" and not next(calls):
            return duplicate(*args)
        raise OSError(errno.EMFILE, "too many open files")

    async def story() -> None:
        before, children = Counter(open_files(os.getpid())), set(strays._children())
        with monkeypatch.context() as patch:
            patch.setattr(failing, fail)
            with pytest.raises(OSError, match="too many"):
                CheckerProcess(find_user(), "mark", lambda _: None, lambda _: None, lambda _: None)
        assert Counter(open_files(os.getpid())) - before == Counter()
        assert set(strays._children()) <= children

    asyncio.run(story())
