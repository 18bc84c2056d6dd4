"""The time of an attempt: it ends waits, and nothing else does what it does."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import socket

import pytest
from ocfpy.checks.timer import Poller, TimedOut, Timer

LIMIT_S = 20.0


def test_waits_end_with_what_happens_or_with_the_time() -> None:
    async def story() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            timer = Timer(asyncio.get_running_loop(), LIMIT_S)
            assert await timer.writable(ours)
            theirs.send(b"x")
            await timer.readable(ours)
            await timer.readable(ours.fileno())
            theirs.close()
            assert not await timer.writable(ours), "the other side is gone"
            timer.stop()
        reader, writer = os.pipe()
        timer = Timer(asyncio.get_running_loop(), 0.01)
        with pytest.raises(TimedOut):
            await timer.readable(reader)
        with pytest.raises(TimedOut):
            await timer.readable(reader)
        with pytest.raises(TimedOut):
            await timer.pause()
        os.close(writer)
        os.close(reader)

    asyncio.run(asyncio.wait_for(story(), LIMIT_S))


def test_a_file_that_timed_out_disturbs_no_other_check() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        reader, writer = os.pipe()
        with pytest.raises(TimedOut):
            await Timer(loop, 0.01).readable(reader)
        os.write(writer, b"late")
        await asyncio.sleep(0.01)
        os.close(reader)
        os.close(writer)
        again, writer = os.pipe()  # most likely the same number
        os.write(writer, b"x")
        timer = Timer(loop, LIMIT_S)
        await timer.readable(again)
        timer.stop()
        os.close(again)
        os.close(writer)

    asyncio.run(story())


def test_to_be_cancelled_is_not_to_be_timed_out() -> None:
    """Not even in the same turn of the loop, in which asyncio.wait_for of Python 3.9 to 3.11 forgets it."""

    async def story() -> None:
        reader, writer = os.pipe()
        timer = Timer(asyncio.get_running_loop(), LIMIT_S)
        task = asyncio.ensure_future(timer.readable(reader))
        await asyncio.sleep(0)
        timer._ring()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        timer.stop()
        os.close(reader)
        os.close(writer)

    asyncio.run(story())


def test_a_loop_that_has_ended_leaves_nothing_open() -> None:
    async def story() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            Poller.of(asyncio.get_running_loop()).wait_for(ours.fileno(), select.EPOLLIN, LIMIT_S, lambda _: None)
            timer = Timer(asyncio.get_running_loop(), LIMIT_S)
            assert await timer.writable(theirs)
            timer.stop()

    def open_files() -> int:
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    asyncio.run(story())
    before = open_files()
    for _ in range(5):
        asyncio.run(story())
    assert open_files() == before
