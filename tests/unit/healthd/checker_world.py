"""RemoteChecks with real checkers, and servers in this process for them to check."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Callable

import pytest
from ocfpy.checks.settings import CheckSettings
from ocfpy.healthd import checker_process
from ocfpy.healthd.check_request import CheckRequest
from ocfpy.healthd.check_state import CheckState
from ocfpy.healthd.checkers import RemoteChecks, Subscription
from ocfpy.ipvs.model import parse_virtual
from ocfpy.ocf.addresses import parse_address
from ocfpy.pool.hysteresis import Verdict

from tests.unit.healthd.played import Log

LIMIT_S = 40.0
"""How long anything is waited for: much longer than it takes on a machine that is not busy."""
VIRTUAL = parse_virtual("tcp/192.0.2.53:80")
LIBRARY = checker_process.LIBRARY


class Told:
    """One check, and every change that its pool was told of."""

    def __init__(self, state: CheckState) -> None:
        self.state = state
        self.verdicts: list[bool | None] = []
        self.reasons: list[str] = []
        self.handle: Subscription

    def on_change(self, state: CheckState, before: Verdict, percent: int) -> None:
        assert state is self.state
        self.verdicts.append(state.verdict.up)
        self.reasons.append(state.reason)

    @property
    def up(self) -> bool | None:
        return self.state.verdict.up


class World:
    """The checks of a node, with a log that is kept. `base` is the mark of its commands."""

    def __init__(self, base: Path) -> None:
        self.log = Log()
        self.checks = RemoteChecks(self.log, str(base))  # type: ignore[arg-type]
        self.servers: list[asyncio.AbstractServer] = []

    async def serve(self, answer: Callable[[bytes], bytes] = lambda _: b"hello\n", port: int = 0) -> int:
        """A server that answers the first bytes of each connection; returns its port."""

        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                writer.write(answer(await reader.read(65536)))
                await writer.drain()
            except OSError:
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(client, "127.0.0.1", port, backlog=1024)
        self.servers.append(server)
        number: int = server.sockets[0].getsockname()[1]
        return number

    async def begin(
        self, settings: CheckSettings, port: int, pool: str = "dns", verdict: Verdict | None = None, **more: Any
    ) -> Told:
        """A check that was prepared and has begun."""
        told, request = self.request(settings, port, pool, verdict, **more)
        await self.checks.prepare([request])
        told.handle = self.checks.begin(told.state, request, told.on_change)
        return told

    def request(
        self, settings: CheckSettings, port: int, pool: str = "dns", verdict: Verdict | None = None, **more: Any
    ) -> tuple[Told, CheckRequest]:
        address = parse_address(more.pop("address", "127.0.0.1"))
        key = (address, port, settings, None, more.pop("key", ""))
        request = CheckRequest(key, f"{address}:{port}", address, port, settings, VIRTUAL, pool=pool, **more)
        return Told(CheckState(request.name, settings, verdict or Verdict(), time.time())), request

    def pids(self) -> list[int]:
        return [one["pid"] for one in self.checks.status["checkers"]]

    @property
    def pid(self) -> int:
        (pid,) = self.pids()
        return pid

    @property
    def replaced(self) -> int:
        count: int = self.checks.status["replaced"]
        return count


async def until(condition: Callable[[], object], seconds: float = LIMIT_S) -> None:
    """Returns when a condition holds; fails when it does not in time."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "timed out"
        await asyncio.sleep(0.02)


def run(base: Path, story: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    """Plays a story, and ends what it began."""

    async def work() -> None:
        world = World(base)
        await world.checks.start()
        try:
            await asyncio.wait_for(story(world), 4 * LIMIT_S)
        finally:
            for server in world.servers:
                server.close()
            await world.checks.stop()

    asyncio.run(work())


def launcher(path: Path, monkeypatch: pytest.MonkeyPatch, patch: str) -> None:
    """Have checkers run `patch`, a piece of Python, after their modules are imported and before they begin."""
    path.write_text(
        f"""import sys
sys.path.insert(0, "/proc/self/fd/6")
from ocfpy.healthd import checker
{patch}
checker.main(sys.argv)
"""
    )
    monkeypatch.setattr(checker_process, "LAUNCHER", str(path))


def status_of(pid: int) -> dict[str, str]:
    """The lines of /proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def is_gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def free_port() -> int:
    """A port that refuses."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


IS_ROOT = os.geteuid() == 0
