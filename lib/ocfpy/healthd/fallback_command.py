"""Runs the operator's fallback command when a virtual service has lost its last backend, and when it has one again.

Like ldirectord: `COMMAND start VIP:PORT PROTOCOL` without a live backend, `COMMAND stop ...` with one. It runs once for the
first state and once for each change, and never twice at the same time for one service. When the pool is stopped it runs with
`start`, because no server answers here any more (ldirectord runs nothing then, resource-agents issue 750).
"""

from __future__ import annotations

import asyncio
import os
import signal
from errno import EACCES
from typing import TYPE_CHECKING, Any

from ocfpy.healthd.privileges import find_user
from ocfpy.ipvs.model import endpoint
from ocfpy.ocf.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ocfpy.ipvs.model import VirtualService
    from ocfpy.ocf.log import Log
    from ocfpy.pool.spec import ServiceSpec

START, STOP = "start", "stop"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TIMEOUT_S = 30.0
"""After this time the command is killed, with its process group."""
END_LIMIT_S = 3.0
"""How long a stop waits for the commands; they go on when the daemon has ended."""


class FallbackCommands:
    """What each service's command was last told, and is told next."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self._user = ""
        self._commands: dict[VirtualService, str] = {}
        self._wanted: dict[VirtualService, str] = {}
        self._running: dict[VirtualService, asyncio.Task[None]] = {}

    def see(self, services: Iterable[ServiceSpec], alive: Mapping[VirtualService, int], user: str = "") -> None:
        """Note how many backends are alive, and run the commands that this concerns. Returns at once.

        They run as `user`, without one as the unprivileged default, as the commands of checks do.
        """
        self._user = user
        commands = {one.virtual: one.fallback_command for one in services if one.fallback_command}
        self._leave(self._commands.keys() - commands.keys())
        self._commands = commands
        for virtual in commands:
            self._want(virtual, STOP if alive[virtual] else START)

    async def end(self) -> None:
        """Tell every command that no backend is left; return when all have ended or take too long."""
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
        """Run the command until it has been told the latest state."""
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
            # The name service may take its time.
            user = await asyncio.get_running_loop().run_in_executor(None, find_user, self._user)
            identity: dict[str, Any] = {"user": user.uid, "group": user.gid, "extra_groups": user.groups} if user.change else {}
            process = await asyncio.create_subprocess_exec(
                *argv,
                **identity,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                env={"PATH": PATH, "LC_ALL": "C"},
                start_new_session=True,
            )
        except OSError as error:
            who = f" (it runs as user {user.name}: set check_command_user)" if error.errno == EACCES else ""
            self.log.error(f"fallback command `{shown}`: {error.strerror}{who}")
            return
        except HostError as error:
            self.log.error(f"fallback command `{shown}`: {error.reason}")
            return
        try:
            code = await asyncio.wait_for(process.wait(), TIMEOUT_S)
        except asyncio.TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            self.log.error(f"fallback command `{shown}` was killed after {TIMEOUT_S:g} s")
            return
        say = self.log.error if code else self.log.info
        say(f"fallback command `{shown}` ended with exit code {code}")


def where(virtual: VirtualService) -> str:
    """The virtual service as an argument of the command: address:port, or the mark with port 0."""
    if virtual.address is None:
        return f"{virtual.fwmark}:0"
    host = endpoint(virtual.address, 0)
    return f"{host}:{virtual.port}"
