"""Requests that meet in the daemon: a start during a removal, two reloads, a client that is gone. The kernel is played."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Callable, cast

import pytest
from ocfpy.checks import command_mark
from ocfpy.checks.settings import CheckSettings
from ocfpy.healthd import daemon as daemon_module
from ocfpy.healthd.client import Node
from ocfpy.healthd.daemon import Daemon
from ocfpy.healthd.engine import Engine
from ocfpy.healthd.local_checks import LocalChecks
from ocfpy.healthd.pool_checks import PoolChecks
from ocfpy.healthd.pool_task import PoolTask
from ocfpy.ocf.errors import ServiceError
from ocfpy.ocf.log import Log
from ocfpy.pool.spec import PoolSpec

from tests.unit.healthd.played import World
from tests.unit.healthd.samples import pool

LIMIT_S = 20.0
ON = CheckSettings("on", interval=0.2, timeout=0.1)
OTHER = "tcp/192.0.2.54:53"


class Held:
    """Lets one call of a coroutine function wait until it is let go."""

    def __init__(self, call: Callable[..., Coroutine[Any, Any, Any]]) -> None:
        self.entered = asyncio.Event()
        self.let_go = asyncio.Event()
        self._call = call

    async def __call__(self, *args: Any) -> Any:
        self.entered.set()
        await self.let_go.wait()
        return await self._call(*args)


class Stage:
    """A daemon in this process; `worlds` are what its engines were made for, in order."""

    def __init__(self, directory: Path) -> None:
        self.node = Node(str(directory))
        self.daemon = Daemon(self.node, Log("test", "", {"HA_LOGFACILITY": "none"}))
        self.worlds: list[World] = []
        self.daemon._engine = self._engine  # type: ignore[method-assign]

    def _engine(self, pool: PoolTask, spec: PoolSpec) -> Engine:
        world = World(spec)
        engine, checks = world.engine, LocalChecks(time.time, world.faults.append)
        engine.checks = PoolChecks(spec.resource, checks, cast(Any, world.log))
        engine.checks.on_change = engine.look_now
        self.worlds.append(world)
        return world.engine

    def want(self, virtual: str = "udp/192.0.2.53:53", check: CheckSettings = ON) -> None:
        pool(virtual, check=check).write(self.node.pool("dns").wanted)

    def ask(self, verb: str) -> asyncio.Task[str]:
        """Asks for something about the pool dns."""
        work = {"add": self.daemon._add, "reload": self.daemon._reload, "remove": self.daemon._remove}[verb]
        return asyncio.ensure_future(work("dns"))

    async def has_begun(self) -> None:
        """Returns when the pool dns waits for something."""
        await until(lambda: "dns" in self.daemon.pools and self.daemon.pools["dns"]._under_way)

    @property
    def in_force(self) -> list[str]:
        return [str(virtual) for virtual in self.worlds[-1].kernel.table]


async def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, "timed out"
        await asyncio.sleep(0.005)


def play(directory: Path, story: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
    async def work() -> None:
        stage = Stage(directory)
        await asyncio.wait_for(story(stage), 2 * LIMIT_S)
        for one in stage.daemon.pools.values():
            one.give_back()

    asyncio.run(work())


def test_a_start_waits_for_the_removal_of_the_pool_before_it(tmp_path: Path) -> None:
    """What the removal still takes back, services, attribute and route, would be the new pool's."""

    async def story(stage: Stage) -> None:
        stage.want()
        assert await stage.ask("add") == "running"
        held = Held(stage.worlds[0].kernel.remove)
        stage.worlds[0].kernel.remove = held  # type: ignore[method-assign, assignment]
        removing = stage.ask("remove")
        await held.entered.wait()
        stage.want()
        adding = stage.ask("add")
        await stage.has_begun()
        assert len(stage.worlds) == 1, "nothing of it has begun"
        assert stage.daemon.pools["dns"].verdict().startswith("starting")
        held.let_go.set()
        assert await removing == "stopped"
        assert await adding == "running"
        assert (len(stage.worlds), stage.in_force) == (2, ["udp/192.0.2.53:53"])
        assert stage.daemon._removals == {}

    play(tmp_path, story)


@pytest.mark.parametrize("second", ["remove", "add"])
def test_a_start_that_waits_for_a_removal_is_overtaken(tmp_path: Path, second: str) -> None:
    async def story(stage: Stage) -> None:
        stage.want()
        await stage.ask("add")
        held = Held(stage.worlds[0].kernel.remove)
        stage.worlds[0].kernel.remove = held  # type: ignore[method-assign, assignment]
        removing = stage.ask("remove")
        await held.entered.wait()
        stage.want()
        adding = stage.ask("add")
        await stage.has_begun()
        overtaking = stage.ask(second)
        with pytest.raises(ServiceError, match=r"the pool was removed meanwhile|another start has taken its place"):
            await adding
        assert len(stage.worlds) == 1
        held.let_go.set()
        await removing
        if second == "add":
            assert await overtaking == "running"
            assert len(stage.worlds) == 2, "one engine, not one for each start"
        else:
            with pytest.raises(ServiceError, match="was not running"):
                await overtaking
            assert stage.daemon.pools == {}

    play(tmp_path, story)


def test_a_reload_takes_what_was_wanted_when_it_began(tmp_path: Path) -> None:
    """A second action, as the autoreload of ldirectord.cf, may write its own wish while the first is under way."""

    async def story(stage: Stage) -> None:
        stage.want()
        await stage.ask("add")
        held = Held(stage.worlds[0].kernel.read)
        stage.worlds[0].kernel.read = held  # type: ignore[method-assign, assignment]
        stage.want("udp/192.0.2.53:53 tcp/192.0.2.53:53")
        first = stage.ask("reload")
        await held.entered.wait()
        stage.want(OTHER)
        held.let_go.set()
        assert await first == "running"
        assert len(stage.in_force) == 2
        assert await stage.ask("reload") == "running"
        assert stage.in_force == [OTHER]

    play(tmp_path, story)


def test_a_reload_whose_wish_another_one_has_taken_waits_for_it(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        stage.want()
        await stage.ask("add")
        held = Held(stage.worlds[0].kernel.read)
        stage.worlds[0].kernel.read = held  # type: ignore[method-assign, assignment]
        stage.want(OTHER)
        first, second = stage.ask("reload"), stage.ask("reload")
        await held.entered.wait()
        assert not second.done()
        held.let_go.set()
        assert (await first, await second) == ("running", "running")
        assert stage.in_force == [OTHER]

    play(tmp_path, story)


def test_a_start_whose_client_is_gone_has_no_connection(tmp_path: Path) -> None:
    """Pacemaker kills a start at its timeout; the start goes on until a stop or another start comes."""
    (tmp_path / "check").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "check").chmod(0o755)
    slow = CheckSettings("external", interval=60.0, timeout=50.0, command=str(tmp_path / "check"), command_user="root")

    async def story(stage: Stage) -> None:
        server = await stage.daemon._listen()
        stage.want(check=slow)
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, stage.node.socket)
        client.send(b"add dns\n")
        await stage.has_begun()
        client.shutdown(socket.SHUT_WR)  # what the daemon sees of a process that is killed; this one can still look
        assert await loop.sock_recv(client, 100) == b"", "the connection is closed, without an answer"
        client.close()
        assert stage.daemon.pools["dns"].engine is not None
        server.close()

    play(tmp_path, story)


def test_the_last_words_of_a_daemon_are_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    class PlayedLog:
        def __init__(self, *_: object) -> None:
            pass

        def error(self, text: str) -> None:
            said.append(text)

        def flush(self, within_s: float) -> bool:
            said.append("flushed")
            return True

    async def fail(*_: object) -> None:
        raise ServiceError("its lock was removed")

    def leave(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(daemon_module, "QueueLog", PlayedLog)
    monkeypatch.setattr(daemon_module, "close_inherited", lambda _: None)
    for name in ("limit_keeper", "raise_file_limit"):  # this process goes on
        monkeypatch.setattr(daemon_module, name, lambda: None)
    monkeypatch.setattr(daemon_module.Daemon, "__init__", lambda *_: None)
    monkeypatch.setattr(daemon_module.Daemon, "run", fail)
    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setenv(command_mark.MARK, "")
    umask = os.umask(0o022)
    try:
        with pytest.raises(SystemExit):
            daemon_module.main(["healthd", str(tmp_path)])
    finally:
        os.umask(umask)
    assert said == ["the health daemon ends: its lock was removed", "flushed"]
