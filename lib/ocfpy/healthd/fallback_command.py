"""Tells a program of the operator's when a virtual service has lost its last backend, and when it has one again.

As ldirectord does it: `COMMAND start VIP:PORT PROTOCOL` when nobody is alive, `COMMAND stop ...` when somebody is. It is told
once of each change, and first of what is found; it is never run twice at the same time for one service. When the pool is
stopped it is told `start`: nobody serves here any more (ldirectord says nothing then, resource-agents issue 750).
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

from ocfpy.ipvs.model import endpoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ocfpy.ipvs.model import VirtualService
    from ocfpy.ocf.log import Log
    from ocfpy.pool.spec import ServiceSpec

START, STOP = "start", "stop"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TIMEOUT_S = 30.0
"""After it the program is killed, with its process group."""
END_LIMIT_S = 3.0
"""A stop waits so long for them; they are not the daemon's children in anything but name, and go on when it has ended."""


class FallbackCommands:
    """What each service's program has been told, and is to be told."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self._commands: dict[VirtualService, str] = {}
        self._wanted: dict[VirtualService, str] = {}
        self._running: dict[VirtualService, asyncio.Task[None]] = {}

    def see(self, services: Iterable[ServiceSpec], alive: Mapping[VirtualService, int]) -> None:
        """Tell whom it concerns how many are alive. Returns at once."""
        commands = {one.virtual: one.fallback_command for one in services if one.fallback_command}
        self._leave(self._commands.keys() - commands.keys())
        self._commands = commands
        for virtual in commands:
            self._want(virtual, STOP if alive[virtual] else START)

    async def end(self) -> None:
        """Nobody serves any more; returns when all programs have been told, or take too long."""
        self._leave(self._commands.keys())
        if self._running:
            await asyncio.wait(list(self._running.values()), timeout=END_LIMIT_S)

    def _leave(self, virtuals: Iterable[VirtualService]) -> None:
        for virtual in virtuals:
            self._want(virtual, START)

    def _want(self, virtual: VirtualService, word: str) -> None:
        if self._wanted.get(virtual) == word:
            return
        self._wanted[virtual] = word
        if virtual not in self._running:
            self._running[virtual] = asyncio.ensure_future(self._tell(virtual, self._commands[virtual]))

    async def _tell(self, virtual: VirtualService, command: str) -> None:
        """Runs the program until it has been told the latest."""
        said = ""
        try:
            while said != self._wanted[virtual]:
                said = self._wanted[virtual]
                await self._run([*command.split(), said, where(virtual), virtual.proto or "fwm"])
        finally:
            del self._running[virtual]

    async def _run(self, argv: list[str]) -> None:
        shown = " ".join(argv)
        try:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env={"PATH": PATH, "LC_ALL": "C"},
                start_new_session=True,
            )
        except OSError as error:
            self.log.error(f"fallback command `{shown}`: {error.strerror}")
            return
        try:
            code = await asyncio.wait_for(process.wait(), TIMEOUT_S)
        except asyncio.TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            self.log.error(f"fallback command `{shown}` is killed after {TIMEOUT_S:g} s")
            return
        say = self.log.error if code else self.log.info
        say(f"fallback command `{shown}` ended with exit code {code}")


def where(virtual: VirtualService) -> str:
    """A virtual service as the program gets it: address:port, or the mark with port 0."""
    if virtual.address is None:
        return f"{virtual.fwmark}:0"
    host = endpoint(virtual.address, 0)
    return f"{host}:{virtual.port}"
