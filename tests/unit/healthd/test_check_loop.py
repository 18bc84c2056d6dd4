"""Checks that are begun again and again, and mere connections, which do without a task."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, cast

import pytest
from ocfpy.checks import make_check
from ocfpy.checks.base import Check, Result
from ocfpy.checks.settings import CheckSettings
from ocfpy.checks.timer import Poller
from ocfpy.healthd.check_loop import CheckLoop
from ocfpy.healthd.check_state import CheckState
from ocfpy.healthd.schedule import SLOT_S
from ocfpy.ocf.addresses import parse_address
from ocfpy.pool.hysteresis import Verdict

from tests.unit.checks.test_checks import PATIENCE_S, TIMEOUT_S, bound, settings
from tests.unit.healthd import clock


async def begun(check: Check) -> Result:
    begin = check.shortcut()
    assert begin is not None
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Result] = loop.create_future()
    begin(loop, result.set_result)
    return await asyncio.wait_for(result, PATIENCE_S)


@contextmanager
def full() -> Iterator[int]:
    """A port whose queue has no room: nobody says a word to whoever comes now."""
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("host", "kind", "reason"),
    [
        ("127.0.0.1", "taken", ""),
        ("127.0.0.1", "free", "connection refused"),
        ("127.0.0.1", "full", f"timed out after {TIMEOUT_S:g} s, connecting"),
        ("255.255.255.255", "free", None),
    ],
)
def test_a_mere_connection_says_the_same_with_a_task_and_without(host: str, kind: str, reason: str | None) -> None:
    async def story(port: int) -> None:
        timeout = TIMEOUT_S if kind == "full" else PATIENCE_S
        check = make_check(parse_address(host), port, settings("tcp", timeout=timeout))
        results = await begun(check), await check.run()
        assert results[0][:2] == results[1][:2]
        assert results[0].reason == reason or (reason is None and not results[0].ok)

    with full() if kind == "full" else bound(socket.SOCK_STREAM, listen=True) as port:
        if kind != "free":
            asyncio.run(story(port))
    if kind == "free":
        asyncio.run(story(port))


def test_an_address_that_is_not_here_cannot_be_checked_from() -> None:
    check = make_check(parse_address("127.0.0.1"), 9, settings("tcp", bind="192.0.2.99"))
    assert asyncio.run(begun(check)).reason == "the address to check from is not on this node"


@pytest.mark.parametrize("more", [{"request": "x"}, {"expect": "x"}])
def test_what_has_more_to_do_takes_a_task(more: dict[str, str]) -> None:
    check = make_check(parse_address("127.0.0.1"), 9, settings("tcp", **more))
    assert check.shortcut() is None


def test_waits_that_end_share_a_timer_and_those_that_are_answered_hear_nothing_more() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        poller = Poller.of(loop)
        heard: list[tuple[str, int]] = []

        def note(name: str, events: int) -> None:
            heard.append((name, events))

        pairs = {name: socket.socketpair() for name in ("silent", "late", "prompt")}
        for name, (ours, _) in pairs.items():
            seconds = 0.2 if name == "silent" else 0.4
            poller.wait_for(ours.fileno(), select.EPOLLIN, seconds, partial(note, name))
        pairs["prompt"][1].send(b"x")
        while len(heard) < 3:
            await asyncio.sleep(0.01)
        pairs["late"][1].send(b"x")
        await asyncio.sleep(0.01)
        assert heard == [("prompt", 1), ("silent", 0), ("late", 0)]
        for ours, theirs in pairs.values():
            ours.close()
            theirs.close()

    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


class World:
    """CheckLoop of checks that say what they are told."""

    def __init__(self) -> None:
        self.begun: list[tuple[float, str]] = []
        self.noted: list[str] = []
        self.faults: list[BaseException] = []
        self.fault: Exception | None = None
        self.rounds = CheckLoop(clock.wall, self.note, self.faults.append)

    def note(self, watch: CheckState, result: Result) -> None:
        watch.verdict = Verdict(result.ok)
        self.noted.append(watch.name)

    def begin(self, name: str, seconds: float = 0.001) -> Any:
        world = self

        class Played(Check):
            def __init__(self) -> None:
                pass

            async def run(self) -> Result:
                world.begun.append((asyncio.get_running_loop().time(), name))
                await asyncio.sleep(seconds)
                if world.fault is not None:
                    raise world.fault
                return Result(True, "", seconds)

        watch = CheckState(name, CheckSettings(interval=2.0), Verdict(), clock.wall())
        return self.rounds.begin(watch, Played())


def test_a_large_pool_is_checked_a_few_servers_at_a_time() -> None:
    async def story() -> None:
        world = World()
        for number in range(400):
            world.begin(f"10.0.0.{number}:80")
        await asyncio.sleep(5 + SLOT_S / 2)
        world.begun.clear()
        await asyncio.sleep(2.0)
        instants = {round(at, 3) for at, _ in world.begun}
        assert len(world.begun) == 400
        assert 0.75 * 2.0 / SLOT_S <= len(instants) <= 2.0 / SLOT_S + 1, "spread over the interval, several at a time"
        assert not world.faults

    clock.run(story())


def test_what_has_ended_is_not_begun_again_and_says_nothing() -> None:
    async def story() -> None:
        world = World()
        slow, other = world.begin("slow", 1.0), world.begin("other")
        await asyncio.sleep(0.5)
        slow.end()
        await asyncio.sleep(5)
        other.end()
        noted, times = world.noted.count("other"), len(world.begun)
        await asyncio.sleep(5)
        assert noted >= 3
        assert world.noted == ["other"] * noted
        assert len(world.begun) == times

    clock.run(story())


def test_a_fault_that_nobody_thought_of_is_heard_of() -> None:
    async def story() -> None:
        world = World()
        world.begin("one")
        await asyncio.sleep(3)
        assert not world.faults
        world.fault = ZeroDivisionError()
        await asyncio.sleep(3)
        assert [type(fault) for fault in world.faults] == [ZeroDivisionError]
        world.fault = None
        world.rounds._note = cast(Any, None)
        world.begin("two")
        await asyncio.sleep(3)
        assert [type(fault) for fault in world.faults] == [ZeroDivisionError, TypeError]

    clock.run(story())
