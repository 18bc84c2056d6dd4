"""Checks that are begun again and again, and mere connections, which do without a task."""

from __future__ import annotations

import asyncio
import resource
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, cast

import pytest
from ocfpy.checks import make_check
from ocfpy.checks.base import Check, Result
from ocfpy.checks.result import not_made
from ocfpy.checks.settings import CheckSettings
from ocfpy.checks.timer import Poller
from ocfpy.healthd.check_loop import BATCH, CheckLoop, max_in_flight
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
    """A port whose queue is full: new connections get no answer."""
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
    assert asyncio.run(begun(check)).reason == "the source address (check_bind) is not on this node"


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

    def __init__(self, **more: Any) -> None:
        self.begun: list[tuple[float, str]] = []
        self.noted: list[str] = []
        self.faults: list[BaseException] = []
        self.fault: Exception | None = None
        self.rounds = CheckLoop(clock.wall, self.faults.append, **more)

    def note(self, state: CheckState, before: Verdict, percent: int) -> None:
        self.noted.append(state.name)

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
        return self.rounds.begin(watch, Played(), self.note)


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


@pytest.mark.parametrize(
    ("descriptors", "checks"), [(resource.RLIM_INFINITY, 4096), (1 << 20, 4096), (1024, 320), (70, 2), (66, 1), (10, 1)]
)
def test_checks_in_flight_leave_descriptors_for_everything_else(
    monkeypatch: pytest.MonkeyPatch, descriptors: int, checks: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (descriptors, 1 << 30))
    assert max_in_flight() == checks


class Shortcut(Check):
    """A check that does without a task, and says what it is told, or raises it."""

    def __init__(self, says: list[Result | Exception]) -> None:
        self.says = says
        self.begun = 0

    def shortcut(self) -> Any:
        def begin(loop: asyncio.AbstractEventLoop, done: Any) -> None:
            self.begun += 1
            result = self.says[min(self.begun, len(self.says)) - 1]
            if isinstance(result, Exception):
                raise result
            loop.call_later(0.5, done, result)

        return begin


def test_what_does_without_a_task_is_begun_again_and_gives_its_place_to_another() -> None:
    async def story() -> None:
        world = World(limit=1)
        one, two = Shortcut([Result(True, "", 0.5)]), Shortcut([Result(True, "", 0.5)])
        states = [CheckState(name, CheckSettings(interval=2.0), Verdict(), clock.wall()) for name in ("one", "two")]
        for state, check in zip(states, (one, two)):
            world.rounds.begin(state, check, world.note)
        await asyncio.sleep(0.6)
        assert (one.begun, two.begun, world.rounds.in_flight) == (1, 1, 1), "the second had to wait for the first"
        await asyncio.sleep(10)
        assert one.begun >= 4
        assert two.begun >= 4
        assert [state.verdict.up for state in states] == [True, True]

    clock.run(story())


def test_a_fault_of_what_does_without_a_task_is_reported_and_its_check_goes_on() -> None:
    async def story() -> None:
        world = World()
        check = Shortcut([ZeroDivisionError("a bug"), Result(True, "", 0.5)])
        state = CheckState("one", CheckSettings(interval=2.0, rise=1), Verdict(), clock.wall())
        world.rounds.begin(state, check, world.note)
        await asyncio.sleep(0.1)
        assert [type(fault) for fault in world.faults] == [ZeroDivisionError]
        assert world.rounds.in_flight == 0
        await asyncio.sleep(6)
        assert check.begun >= 2
        assert state.verdict.up

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


def test_an_unexpected_exception_is_reported_and_its_check_goes_on() -> None:
    async def story() -> None:
        world = World()
        one = world.begin("one")
        await asyncio.sleep(3)
        assert not world.faults
        world.fault = ZeroDivisionError("a bug")
        await asyncio.sleep(2)
        assert [type(fault) for fault in world.faults] == [ZeroDivisionError]
        assert one.state.verdict == Verdict(True)
        assert one.state.reason == "this node could not make the check: ZeroDivisionError: a bug"
        world.fault = None
        await asyncio.sleep(2)
        assert one.state.reason == ""
        world.noted = cast(Any, None)
        await asyncio.sleep(2)
        assert [type(fault) for fault in world.faults] == [ZeroDivisionError, AttributeError]

    clock.run(story())


def test_checks_in_flight_are_bounded_and_those_that_wait_are_late_and_not_timed_out() -> None:
    async def story() -> None:
        world = World(limit=5)
        for number in range(20):
            world.begin(str(number), seconds=1.0)
        most = 0
        for _ in range(45):
            await asyncio.sleep(0.1)
            most = max(most, world.rounds.in_flight)
        assert most == 5
        first: dict[str, float] = {}
        for at, name in world.begun:
            first.setdefault(name, at)
        assert sorted(round(at) for at in first.values()) == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5

    clock.run(story())


def test_a_first_round_is_begun_in_batches_and_what_is_under_way_is_served_between_them() -> None:
    async def story() -> None:
        world = World()
        order: list[str] = []
        asyncio.get_running_loop().call_soon(lambda: asyncio.get_running_loop().call_soon(order.append, "other work"))
        for number in range(3 * BATCH):
            world.begin(str(number))
        while len(world.begun) < 3 * BATCH:
            if order and not order[0].isdigit():
                order.insert(0, str(len(world.begun)))
            await asyncio.sleep(0)
        await asyncio.sleep(1)
        assert int(order[0]) <= 2 * BATCH

    clock.run(story())


def test_what_ends_while_it_waits_or_is_under_way_gives_its_place_to_another() -> None:
    async def story() -> None:
        world = World(limit=1)
        first, second, _ = (world.begin(name, seconds=100.0) for name in ("first", "second", "third"))
        await asyncio.sleep(0.1)
        second.end()
        first.end()
        await asyncio.sleep(0.1)
        assert [name for _, name in world.begun] == ["first", "third"]
        assert world.rounds.in_flight == 1

    clock.run(story())


def test_a_check_that_cannot_be_made_is_tried_at_the_next_instant_and_changes_no_verdict() -> None:
    async def story() -> None:
        world = World()
        state = CheckState("new", CheckSettings(interval=2.0, fall=1), Verdict(), clock.wall())
        tried = 0

        class Lacking(Check):
            def __init__(self) -> None:
                pass

            async def run(self) -> Result:
                nonlocal tried
                tried += 1
                return not_made("too many open files", 0.0)

        world.rounds.begin(state, Lacking(), world.note)
        await asyncio.sleep(10)
        assert state.verdict == Verdict()
        assert state.reason == "this node could not make the check: too many open files"
        assert tried == pytest.approx(6, abs=1)

    clock.run(story())
