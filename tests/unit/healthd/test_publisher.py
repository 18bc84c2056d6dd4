"""Values on their way to the cluster."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Executor, Future
from typing import Any

from ocfpy.healthd import publisher as module
from ocfpy.healthd.publisher import CALM_S, Publisher

from tests.unit.healthd import clock

LIMIT_S = 10


class SlowCluster:
    """Takes a value only when it is let."""

    def __init__(self) -> None:
        self.values: list[int | None] = []
        self.gate = threading.Semaphore(0)
        self.answer = True

    def put(self, value: int) -> bool:
        assert self.gate.acquire(timeout=LIMIT_S)
        self.values.append(value)
        return self.answer

    def delete(self) -> bool:
        self.values.append(None)
        return True


class Inline(Executor):
    """Runs what it is given at once: for a clock that does not wait for threads."""

    def submit(self, function: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(*args, **kwargs))
        return done


async def until(publisher: Publisher, cluster: SlowCluster, count: int) -> None:
    """Waits until `count` values have arrived."""

    async def look() -> None:
        while len(cluster.values) < count:
            await asyncio.sleep(0.001)

    await asyncio.wait_for(look(), LIMIT_S)


def test_while_one_is_on_its_way_the_latest_wins() -> None:
    async def story() -> None:
        cluster = SlowCluster()
        publisher = Publisher(cluster.put, cluster.delete)
        task = asyncio.ensure_future(publisher.run())
        for value in (2, 1, 0, 3):
            publisher.want(value)
            await asyncio.sleep(0.001)
        cluster.gate.release(2)
        await until(publisher, cluster, 2)
        assert cluster.values == [2, 3]
        assert publisher.said.is_set()
        task.cancel()

    asyncio.run(story())


def test_delete_comes_after_a_value_that_is_on_its_way() -> None:
    async def story() -> None:
        cluster = SlowCluster()
        publisher = Publisher(cluster.put, cluster.delete)
        task = asyncio.ensure_future(publisher.run())
        publisher.want(2)
        await asyncio.sleep(0.01)
        task.cancel()
        delete = asyncio.ensure_future(publisher.delete())
        await asyncio.sleep(0.01)
        cluster.gate.release()
        await asyncio.wait_for(delete, LIMIT_S)
        assert cluster.values == [2, None]

    asyncio.run(story())


def test_what_was_refused_is_said_again_soon_when_it_used_to_work() -> None:
    async def story() -> None:
        cluster = SlowCluster()
        cluster.gate.release(10)
        publisher = Publisher(cluster.put, cluster.delete)
        task = asyncio.ensure_future(publisher.run())
        publisher.want(2)
        await until(publisher, cluster, 1)
        cluster.answer = False
        publisher.want(0)
        await until(publisher, cluster, 3)
        assert cluster.values[:3] == [2, 0, 0]
        assert not publisher.taken
        task.cancel()

    before, module.RETRY_S = module.RETRY_S, 0.01
    try:
        asyncio.run(story())
    finally:
        module.RETRY_S = before


def test_outside_of_a_cluster_it_is_said_again_ever_more_rarely() -> None:
    """In one, whose attribute may still be of a daemon before, it is right at the second attempt."""

    async def story(attempts: int) -> list[float]:
        said: list[float] = []
        loop = asyncio.get_running_loop()

        def put(value: int) -> bool:
            said.append(round(loop.time(), 1))
            return len(said) >= attempts

        publisher = Publisher(put, lambda: True)
        publisher._thread = Inline()  # type: ignore[assignment]
        task = asyncio.ensure_future(publisher.run())
        publisher.want(0)
        await asyncio.sleep(100)
        task.cancel()
        return said

    assert clock.run(story(attempts=100)) == [0, 1, 3, 7, 15, 31, 61, 91]
    assert clock.run(story(attempts=2)) == [0, 1, 31, 61, 91]


def test_a_change_that_can_wait_waits_for_its_own_time() -> None:
    """Not for what is left of the wait of an earlier one: that would disturb the cluster in the middle of its recovery."""

    async def story() -> list[tuple[float, int]]:
        published: list[tuple[float, int]] = []
        loop = asyncio.get_running_loop()

        def put(value: int) -> bool:
            published.append((round(loop.time(), 1), value))
            return True

        publisher = Publisher(put, lambda: True)
        publisher._thread = Inline()  # type: ignore[assignment]
        task = asyncio.ensure_future(publisher.run())
        for value in (2, 1, 0):
            publisher.want(value)
            await asyncio.sleep(0.1)
        await asyncio.sleep(CALM_S - 0.3)
        for value in (1, 2):
            publisher.want(value)
            await asyncio.sleep(0.1)
        await asyncio.sleep(CALM_S)
        task.cancel()
        return published

    back = CALM_S
    assert clock.run(story()) == [(0.0, 2), (0.2, 0), (back, 1), (back + 0.1 + CALM_S, 2)]
