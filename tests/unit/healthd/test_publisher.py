"""Values on their way to the cluster: when they are sent, with which others, and what a command that fails or hangs costs."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional, cast

import pytest
from ocfpy.healthd import attrd as attrd_module
from ocfpy.healthd import publisher as module
from ocfpy.healthd.attrd import Attrd
from ocfpy.healthd.publisher import (
    CALM_S,
    CONFIRM_S,
    FALL_GATHER_S,
    REPUBLISH_S,
    RISE_GATHER_S,
    RISE_LIMIT_S,
    SAID_S,
    SINGLY,
    START_GATHER_S,
    START_LIMIT_S,
    TOGETHER_AGAIN_S,
    WORKERS,
    NodePublisher,
    Publisher,
)
from ocfpy.ocf.log import Log

from tests.unit.healthd import clock

if TYPE_CHECKING:
    Sent = tuple[float, str, Optional[int]]

LIMIT_S = 10


class SlowCluster:
    """Takes a value only when it is let."""

    def __init__(self) -> None:
        self.values: list[int | None] = []
        self.gate = threading.Semaphore(0)
        self.answer = True

    def put(self, name: str, value: int, dampen: str, first: bool) -> bool:
        assert self.gate.acquire(timeout=LIMIT_S)
        self.values.append(value)
        return self.answer

    def put_all(self, names: Sequence[str], value: int) -> bool:
        raise AssertionError("there is only one")

    def delete(self, name: str) -> bool:
        self.values.append(None)
        return True


class Cluster:
    """Takes what it is given at once, on a clock that does not wait for threads.

    `sent` tells of commands for one attribute: when, which, which value, None when it was deleted; `together` of commands for
    several: when, how many, which value.
    """

    def __init__(self, takes: Callable[[Cluster], bool] = lambda _: True, knows_all: bool = True) -> None:
        self.sent: list[Sent] = []
        self.together: list[tuple[float, int, int]] = []
        self.firsts: list[bool] = []
        self.dampen: list[str] = []
        self.has_restarted = False
        self.looks = 0
        self._takes = takes
        self._knows_all = knows_all
        self.node = NodePublisher(cast(Attrd, self), Inline())
        self.tasks: list[asyncio.Task[None]] = []

    def now(self) -> float:
        return round(asyncio.get_running_loop().time(), 2)

    def put(self, name: str, value: int, dampen: str, first: bool) -> bool:
        self.sent.append((self.now(), name, value))
        self.firsts.append(first)
        self.dampen.append(dampen)
        return self._takes(self)

    def put_all(self, names: Sequence[str], value: int) -> bool:
        self.together.append((self.now(), len(names), value))
        return self._knows_all

    def is_new(self) -> bool:
        self.looks += 1
        was, self.has_restarted = self.has_restarted, False
        return was

    def delete(self, name: str) -> bool:
        self.sent.append((self.now(), name, None))
        return True

    def start(self, name: str) -> Publisher:
        publisher = self.node.of(name)
        self.tasks.append(asyncio.ensure_future(publisher.run()))
        return publisher

    async def settled(self, count: int, value: int) -> list[Publisher]:
        """So many pools, all with that value, which the cluster knows; the records are empty."""
        pools = [self.start(f"healthy-{number}") for number in range(count)]
        await asyncio.sleep(0)
        for pool in pools:
            pool.want(value)
        await asyncio.sleep(START_LIMIT_S + 1)
        assert all(pool.taken for pool in pools)
        self.forget()
        return pools

    def forget(self) -> None:
        self.sent.clear()
        self.together.clear()


class Inline(Executor):
    """Runs what it is given at once: for a clock that does not wait for threads."""

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(function(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


async def until(cluster: SlowCluster, count: int) -> None:
    """Waits until `count` values have arrived."""

    async def look() -> None:
        while len(cluster.values) < count:
            await asyncio.sleep(0.001)

    await asyncio.wait_for(look(), LIMIT_S)


def lone(cluster: SlowCluster) -> Publisher:
    return NodePublisher(cast(Attrd, cluster)).of("healthy-web")


# -- one attribute


def test_while_one_is_on_its_way_the_latest_wins() -> None:
    async def story() -> None:
        cluster = SlowCluster()
        publisher = lone(cluster)
        task = asyncio.ensure_future(publisher.run())
        await asyncio.sleep(0)
        for value in (2, 1, 0, 3):
            publisher.want(value)
            await asyncio.sleep(0.001)
        cluster.gate.release(2)
        await until(cluster, 2)
        assert cluster.values == [2, 3]
        assert publisher.said.is_set()
        task.cancel()

    asyncio.run(story())


def test_delete_comes_after_a_value_that_is_on_its_way() -> None:
    async def story() -> None:
        cluster = SlowCluster()
        publisher = lone(cluster)
        task = asyncio.ensure_future(publisher.run())
        await asyncio.sleep(0)
        publisher.want(2)
        task.cancel()
        delete = asyncio.ensure_future(publisher.delete())
        await asyncio.sleep(0.01)
        cluster.gate.release()
        await asyncio.wait_for(delete, LIMIT_S)
        assert cluster.values == [2, None]

    asyncio.run(story())


def test_a_value_wanted_after_the_delete_of_the_same_name_comes_after_it() -> None:
    """A pool that is stopped and started again while a command hangs."""

    async def story() -> None:
        cluster = SlowCluster()
        node = NodePublisher(cast(Attrd, cluster))
        old, new = node.of("healthy-web"), node.of("healthy-web")
        task = asyncio.ensure_future(old.run())
        await asyncio.sleep(0)
        old.want(2)
        task.cancel()
        delete = asyncio.ensure_future(old.delete())
        other = asyncio.ensure_future(new.run())
        await asyncio.sleep(0)
        new.want(3)
        cluster.gate.release(2)
        await until(cluster, 3)
        assert cluster.values == [2, None, 3]
        await asyncio.wait_for(delete, LIMIT_S)
        other.cancel()

    asyncio.run(story())


def test_what_was_refused_is_sent_again_soon_when_it_used_to_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_S", 0.01)

    async def story() -> None:
        cluster = SlowCluster()
        cluster.gate.release(10)
        publisher = lone(cluster)
        task = asyncio.ensure_future(publisher.run())
        publisher.want(2)
        await until(cluster, 1)
        cluster.answer = False
        publisher.want(0)
        await until(cluster, 3)
        assert cluster.values[:3] == [2, 0, 0]
        assert not publisher.taken
        task.cancel()

    asyncio.run(story())


@pytest.mark.parametrize(("attempts", "times"), [(100, [0, 1, 3, 7, 15, 31, 61, 91]), (2, [0, 1, 31, 61, 91])])
def test_outside_of_a_cluster_it_is_sent_again_ever_more_rarely(attempts: int, times: list[float]) -> None:
    """In one, whose attribute may still be of a daemon before, it is right at the second attempt."""

    async def story() -> Cluster:
        cluster = Cluster(takes=lambda cluster: len(cluster.sent) >= attempts)
        publisher = cluster.start("healthy-web")
        publisher.want(0)
        await asyncio.sleep(100)
        return cluster

    cluster = clock.run(story())
    assert [at for at, _, _ in cluster.sent] == times
    assert cluster.firsts == [True] + [False] * (len(times) - 1)


def test_a_change_that_can_wait_waits_for_its_own_time() -> None:
    """Not for what is left of the wait of an earlier one: that would disturb the cluster in the middle of its recovery."""

    async def story() -> list[Sent]:
        cluster = Cluster()
        publisher = cluster.start("web")
        for value in (2, 1, 0):
            publisher.want(value)
            await asyncio.sleep(0.1)
        await asyncio.sleep(CALM_S - 0.3)
        for value in (1, 2):
            publisher.want(value)
            await asyncio.sleep(0.1)
        await asyncio.sleep(CALM_S)
        return cluster.sent

    back = CALM_S
    assert clock.run(story()) == [(0.0, "web", 2), (0.2, "web", 0), (back, "web", 1), (back + 0.1 + CALM_S, "web", 2)]


def test_the_only_pool_of_a_node_waits_for_no_other() -> None:
    async def story() -> list[Sent]:
        cluster = Cluster()
        publisher = cluster.start("web")
        for value in (2, 0, 3):
            publisher.want(value)
            await asyncio.sleep(1)
        return cluster.sent

    assert clock.run(story()) == [(0, "web", 2), (1, "web", 0), (2, "web", 3)]


def test_name_and_dampening_of_a_reloaded_pool_are_used_from_the_next_value_on() -> None:
    async def story() -> Cluster:
        cluster = Cluster()
        publisher = cluster.start("web")
        publisher.want(2)
        await asyncio.sleep(1)
        publisher.dampen = "200ms"
        publisher.want(0)
        await asyncio.sleep(1)
        return cluster

    assert clock.run(story()).dampen == ["0", "200ms"]


# -- many attributes


def test_pools_that_fall_together_are_set_to_0_by_one_command() -> None:
    async def story() -> None:
        cluster = Cluster()
        pools = await cluster.settled(40, 2)
        begun = cluster.now()
        for pool in pools:
            pool.want(0)
            await asyncio.sleep(FALL_GATHER_S / 50)
        await asyncio.sleep(1)
        assert cluster.together == [(round(begun + FALL_GATHER_S, 2), 40, 0)]
        assert cluster.sent == []
        assert all(pool.taken for pool in pools)

    clock.run(story())


def test_what_one_command_has_set_is_confirmed_by_name_and_then_repeated() -> None:
    """The command leaves out what attrd has forgotten."""

    async def story() -> None:
        cluster = Cluster()
        pools = await cluster.settled(3, 2)
        begun = cluster.now()
        for pool in pools:
            pool.want(0)
        await asyncio.sleep(FALL_GATHER_S + CONFIRM_S + REPUBLISH_S + 1)
        times = [round(begun + FALL_GATHER_S + CONFIRM_S, 2), round(begun + FALL_GATHER_S + CONFIRM_S + REPUBLISH_S, 2)]
        assert sorted(cluster.sent) == [(at, f"healthy-{number}", 0) for at in times for number in range(3)]

    clock.run(story())


def test_a_pacemaker_that_knows_no_such_command_is_told_by_name_and_not_asked_each_time() -> None:
    async def story() -> None:
        cluster = Cluster(knows_all=False)
        pools = await cluster.settled(5, 2)
        asked = []
        for value in (0, 3, 0):
            cluster.forget()
            for pool in pools:
                pool.want(value)
            await asyncio.sleep(TOGETHER_AGAIN_S / 10)
            asked.append(len(cluster.together))
            assert sorted(name for _, name, sent in cluster.sent if sent == value) == [pool.name for pool in pools]
        assert asked == [1, 0, 0]

    clock.run(story())


def test_different_values_are_not_set_by_the_same_command() -> None:
    async def story() -> None:
        cluster = Cluster()
        pools = await cluster.settled(8, 0)
        for number, pool in enumerate(pools):
            pool.want(2 if number < 5 else number)
        await asyncio.sleep(RISE_GATHER_S + 0.01)
        assert [(count, value) for _, count, value in cluster.together] == [(5, 2)]
        assert sorted(value or 0 for _, _, value in cluster.sent) == [5, 6, 7]

    clock.run(story())


def test_a_rise_waits_for_the_next_one_but_not_for_long() -> None:
    async def story() -> None:
        cluster = Cluster()
        pools = await cluster.settled(40, 0)
        begun = cluster.now()
        pools[0].want(2)
        await asyncio.sleep(1)
        assert cluster.sent == [(round(begun + RISE_GATHER_S, 2), "healthy-0", 2)]
        cluster.forget()
        begun = cluster.now()
        for pool in pools[1:]:
            pool.want(2)
            await asyncio.sleep(RISE_GATHER_S / 2)
        await asyncio.sleep(1)
        times = [at - begun for at, _, _ in cluster.together]
        assert len(times) == 3
        assert times[0] == pytest.approx(RISE_LIMIT_S, abs=0.02)
        assert sum(count for _, count, _ in cluster.together) == 39

    clock.run(story())


def test_a_fall_does_not_wait_for_rises_and_takes_them_along() -> None:
    async def story() -> None:
        cluster = Cluster()
        pools = await cluster.settled(10, 0)
        pools[0].want(2)
        await asyncio.sleep(RISE_GATHER_S + 0.1)
        cluster.forget()
        begun = cluster.now()
        for pool in pools[1:]:
            pool.want(3)
        pools[0].want(0)
        await asyncio.sleep(RISE_GATHER_S + 1)
        at = round(begun + FALL_GATHER_S, 2)
        assert cluster.sent == [(at, "healthy-0", 0)]
        assert cluster.together == [(at, 9, 3)]

    clock.run(story())


def test_a_change_that_can_wait_is_not_taken_along() -> None:
    """It may be the first half of a fall to 0."""

    async def story() -> None:
        cluster = Cluster()
        one, other = await cluster.settled(2, 2)
        begun = cluster.now()
        one.want(1)
        other.want(0)
        await asyncio.sleep(CALM_S + 1)
        assert cluster.sent == [(round(begun + FALL_GATHER_S, 2), other.name, 0), (round(begun + CALM_S, 2), one.name, 1)]

    clock.run(story())


# -- many pools that are being started


def starts(pause: float, count: int, verdict_after: float = 0.1) -> tuple[list[float], list[float]]:
    """When values are sent while so many pools are started, one every `pause` seconds; how long each start takes."""

    async def story() -> tuple[list[float], list[float]]:
        cluster = Cluster()
        took: list[float] = []

        async def start(number: int) -> None:
            begun = asyncio.get_running_loop().time()
            publisher = cluster.start(f"healthy-{number}")
            await asyncio.sleep(verdict_after)
            publisher.want(2)
            await publisher.said.wait()
            took.append(asyncio.get_running_loop().time() - begun)

        running = []
        for number in range(count):
            running.append(asyncio.ensure_future(start(number)))
            await asyncio.sleep(pause)
        await asyncio.gather(*running)
        await asyncio.sleep(START_LIMIT_S + 1)
        assert len({name for _, name, _ in cluster.sent}) == count
        return sorted({at for at, _, _ in cluster.sent}), took

    return clock.run(story())


def test_first_values_of_pools_that_start_one_after_the_other_go_out_a_few_at_a_time() -> None:
    times, took = starts(pause=0.3, count=40)
    assert len(times) <= 2 + 40 * 0.3 / START_LIMIT_S
    assert max(took) <= 0.1 + SAID_S + 0.01, "a start waits for others"


def test_pools_that_start_at_the_same_moment_go_out_at_the_same_moment() -> None:
    times, _ = starts(pause=0, count=40)
    assert len(times) == 1
    assert times[0] <= START_GATHER_S + 0.2


def test_a_pool_without_a_verdict_holds_the_others_up_no_longer_than_the_limit() -> None:
    async def story() -> None:
        cluster = Cluster()
        pools = [cluster.start(f"healthy-{number}") for number in range(3)]
        await asyncio.sleep(0)
        pools[0].want(2)
        pools[1].want(0)
        await asyncio.sleep(START_LIMIT_S + 1)
        assert sorted(cluster.sent) == [(FALL_GATHER_S, "healthy-0", 2), (FALL_GATHER_S, "healthy-1", 0)]
        cluster.forget()
        (one, two), begun = [cluster.start(f"more-{number}") for number in range(2)], cluster.now()
        await asyncio.sleep(0)
        two.want(2)
        await asyncio.sleep(START_LIMIT_S + 1)
        assert cluster.sent == [(begun + START_LIMIT_S, "more-1", 2)]
        assert one.value is None

    clock.run(story())


def test_a_recovery_does_not_wait_for_pools_that_are_being_started() -> None:
    async def story() -> None:
        cluster = Cluster()
        pools = await cluster.settled(2, 0)
        for number in range(3):
            cluster.start(f"new-{number}")
        await asyncio.sleep(0)
        begun = cluster.now()
        pools[0].want(1)
        await asyncio.sleep(1)
        assert cluster.sent == [(round(begun + RISE_GATHER_S, 2), "healthy-0", 1)]

    clock.run(story())


# -- commands that hang or raise


def test_commands_that_hang_delay_a_fall_only_when_there_are_as_many_as_workers() -> None:
    """And then no longer than until the first of them ends; no more than WORKERS run at a time."""

    class Hanging(SlowCluster):
        def __init__(self) -> None:
            super().__init__()
            self.names: list[str] = []

        def put(self, name: str, value: int, dampen: str, first: bool) -> bool:
            if name.startswith("hangs"):
                assert self.gate.acquire(timeout=LIMIT_S)
            self.names.append(name)
            self.values.append(value)
            return True

    async def story(hanging: int) -> list[str]:
        cluster = Hanging()
        node = NodePublisher(cast(Attrd, cluster))
        pools = [node.of(f"hangs-{number}") for number in range(hanging)] + [node.of("web")]
        tasks = [asyncio.ensure_future(pool.run()) for pool in pools]
        await asyncio.sleep(0)
        for pool in pools[:-1]:
            pool.want(0)
        await asyncio.sleep(2 * FALL_GATHER_S)
        pools[-1].want(0)
        if hanging >= WORKERS:
            await asyncio.sleep(2 * FALL_GATHER_S)
            assert cluster.names == []
            cluster.gate.release()
            await until(cluster, 2)
        else:
            await until(cluster, 1)
        names = list(cluster.names)
        cluster.gate.release(hanging)
        await until(cluster, hanging + 1)
        for task in tasks:
            task.cancel()
        return names

    assert asyncio.run(story(WORKERS - 1)) == ["web"]
    assert len(asyncio.run(story(WORKERS))) == 2


def test_a_command_that_raises_ends_the_pool_that_it_is_for_and_no_other() -> None:
    async def story() -> None:
        def takes(cluster: Cluster) -> bool:
            if cluster.sent[-1][1] == "healthy-1" and cluster.sent[-1][2] == 0:
                raise MemoryError("no thread")
            return True

        cluster = Cluster(takes)
        pools = await cluster.settled(2, 2)
        for pool in pools:
            pool.want(0)
        await asyncio.sleep(1)
        assert [task.done() for task in cluster.tasks] == [False, True]
        assert isinstance(cluster.tasks[1].exception(), MemoryError)
        assert pools[0].taken

    clock.run(story())


def test_nothing_comes_out_of_a_pool_that_was_stopped() -> None:
    async def story() -> None:
        cluster = Cluster()
        pools = await cluster.settled(3, 0)
        for pool in pools:
            pool.want(2)
        for task in cluster.tasks:
            task.cancel()
        await asyncio.gather(*(pool.delete() for pool in pools))
        await asyncio.sleep(100)
        assert sorted(cluster.sent) == [(cluster.sent[0][0], f"healthy-{number}", None) for number in range(3)]
        assert cluster.together == []

    clock.run(story())


def test_many_pools_take_no_more_commands_than_ten() -> None:
    """By name alone, 200 pools would start 400 processes a minute for nothing."""

    async def commands(count: int) -> float:
        cluster = Cluster()
        await cluster.settled(count, 2)
        await asyncio.sleep(30 * REPUBLISH_S)  # all have found their time
        cluster.forget()
        minutes = 60.0
        await asyncio.sleep(60 * minutes)
        assert {name for _, name, _ in cluster.sent} == {f"healthy-{number}" for number in range(count)}
        return (len(cluster.sent) + len(cluster.together)) / minutes

    assert clock.run(commands(SINGLY)) == pytest.approx(60 / REPUBLISH_S * SINGLY, rel=0.01)
    assert clock.run(commands(200)) < 1.5 * 60 / REPUBLISH_S * SINGLY


def test_an_attribute_manager_that_was_restarted_is_told_everything() -> None:
    async def story() -> None:
        cluster = Cluster()
        pools = await cluster.settled(200, 2)
        await asyncio.sleep(REPUBLISH_S)
        cluster.has_restarted = True
        cluster.forget()
        await asyncio.sleep(REPUBLISH_S + 0.1)
        assert {name for _, name, value in cluster.sent if value == 2} == {pool.name for pool in pools}

    clock.run(story())


def test_a_value_that_was_changed_by_hand_is_put_right_among_many_too() -> None:
    async def story() -> None:
        cluster = Cluster()
        pools = await cluster.settled(20, 2)
        for pool in pools[:5]:
            pool.want(0)
        await asyncio.sleep(CONFIRM_S + 1)
        cluster.forget()
        await asyncio.sleep(REPUBLISH_S)
        assert sorted((count, value) for _, count, value in cluster.together) == [(5, 0), (15, 2)]

    clock.run(story())


def test_outside_of_a_cluster_many_pools_do_not_start_commands_all_the_time() -> None:
    async def story() -> None:
        cluster = Cluster(takes=lambda _: False, knows_all=False)
        for number in range(200):
            cluster.start(f"healthy-{number}").want(2)
        await asyncio.sleep(3600)
        cluster.forget()
        await asyncio.sleep(3600)
        assert (len(cluster.sent) + len(cluster.together)) / 60 < 1.5 * 60 / REPUBLISH_S * SINGLY

    clock.run(story())


def test_an_attribute_manager_is_told_by_its_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attrd_module, "set_attribute", lambda *_, **__: True)
    attrd = Attrd(cast(Log, None))
    monkeypatch.setattr(attrd_module, "DAEMON", "no-such-process")
    assert attrd.is_new(), "not known at first"
    assert not attrd.is_new(), "this node is in no cluster"
    attrd.put("healthy-dns", 2, "0", False)
    assert attrd.is_new(), "it is there and cannot be seen"
    daemon = tmp_path / "attrd-of-a-test"
    shutil.copy("/bin/sleep", daemon)
    monkeypatch.setattr(attrd_module, "DAEMON", daemon.name[:15])  # as much of it as /proc/PID/comm has
    for _ in range(2):
        with subprocess.Popen([str(daemon), "60"]) as process:
            try:
                assert attrd.is_new()
                assert not attrd.is_new()
            finally:
                process.kill()
