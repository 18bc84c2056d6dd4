"""External: the operator's command checks the server."""

from __future__ import annotations

import asyncio
import errno
import os
import pwd
import resource
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ocfpy.checks.base import Check, CheckFailed, Result
from ocfpy.checks.command_mark import MARK
from ocfpy.checks.options import Options, flag, option, words
from ocfpy.checks.result import NODE_TROUBLES
from ocfpy.ipvs.model import endpoint

if TYPE_CHECKING:
    from ocfpy.checks.settings import CheckSettings
    from ocfpy.ocf.addresses import Address

MAX_OUTPUT = 4096
"""Bytes of the command's output that are kept; the rest is read and dropped, so that the command never blocks."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OPEN_FILES = 1024
"""The command's PATH."""
AT_ONCE = 64
"""Commands of a pool that run at the same time. When a pool starts, all of its servers are checked at once."""
running: set[int] = set()
"""Running commands that have not been waited for, by pid."""
FIRST_WEIGHT_CODE = 2
"""Exit code for a weight of 0 %, as in keepalived's misc_dynamic."""


@dataclass(frozen=True)
class ExternalOptions(Options):
    """The command with its arguments, and whether its exit code is a weight. The checker runs as check_command_user already."""

    command: tuple[str, ...] = option(words(str))
    dynamic: bool = option(flag)


class ExternalCheck(Check):
    """Runs `command` with ldirectord's arguments: VIP (or mark), VPORT, RIP and RPORT, after its own.

    The environment has the same values. Exit code 0 is a success, any other one a failure with
    the first line of the output as the reason. With `dynamic`, 2 to 255 are successes that set a
    weight of 0 % to 253 % of the configured one. The command leads a process group; when it ends or times out, the whole group is
    killed; if the daemon was killed itself, the next one does it, see orphans.py.
    """

    options_type = ExternalOptions
    options: ExternalOptions

    def __init__(self, address: Address, port: int, settings: CheckSettings) -> None:
        super().__init__(address, port, settings)
        self.address = endpoint(address, 0)
        self._running: Command | None = None

    async def run(self) -> Result:
        """Run like every check; the wait for its turn does not count for the timeout."""
        async with _turns():
            return await super().run()

    async def attempt(self) -> int | None:
        if self._running is not None and not self._running.reaped:
            raise CheckFailed("the command of the last check cannot be killed")
        self.doing = "waiting for the command"
        argv = [*self.options.command, *self._arguments().values()]
        try:
            self._running = Command(argv, self._environment())
        except OSError as error:
            if error.errno in NODE_TROUBLES:
                raise
            raise CheckFailed(f"{argv[0]}: {error.strerror}{_advice(error)}") from None
        try:
            await self.timer.readable(self._running.pidfd)
        finally:
            self._running.end()
        return self._judge(self._running)

    def _arguments(self) -> dict[str, str]:
        """Arguments as in ldirectord: IPv6 in brackets, 0 for an unknown port."""
        virtual = self.virtual
        if virtual is None:
            vip, vport = "", 0
        elif virtual.address is None:
            vip, vport = str(virtual.fwmark), 0
        else:
            vip, vport = endpoint(virtual.address, 0), virtual.port
        return {"VIP": vip, "VPORT": str(vport), "RIP": self.address, "RPORT": str(self.port)}

    def _environment(self) -> dict[str, str]:
        timeout = f"{self.settings.timeout:g}"
        protocol = (self.virtual.proto if self.virtual else None) or ""
        fixed = {"PATH": PATH, "LC_ALL": "C", MARK: os.environ.get(MARK, "")}
        return {**self._arguments(), "PROTOCOL": protocol, "TIMEOUT": timeout, **fixed}

    def _judge(self, command: Command) -> int | None:
        code = command.code
        if code is None:
            raise CheckFailed("the command cannot be waited for")
        if code < 0:
            raise CheckFailed(f"the command was killed by signal {-code}")
        if code == 0:
            return None
        if self.options.dynamic and code >= FIRST_WEIGHT_CODE:
            return code - FIRST_WEIGHT_CODE
        lines = bytes(command.output).decode(errors="replace").strip().splitlines()
        raise CheckFailed(lines[0] if lines else f"the command ended with exit code {code}")


def _advice(error: OSError) -> str:
    """Advice about a command that this process may not run; usually it is not the node's root."""
    if error.errno != errno.EACCES or os.geteuid() == 0:
        return ""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    return f": user {user} may not execute it; set check_command_user, or the permissions of the file and its directories"


_semaphores: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


def _turns() -> asyncio.Semaphore:
    """The turns of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _semaphores:
        _semaphores[loop] = asyncio.Semaphore(AT_ONCE)
    return _semaphores[loop]


def _spawn(*words: Any, **more: Any) -> int:
    """Like posix_spawn, with the usual limits of a command and not those of this process. Raises OSError."""
    memory, files = resource.getrlimit(resource.RLIMIT_AS), resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_AS, (memory[1], memory[1]))
    # Some programs close every descriptor up to it before they begin.
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES, files[1]), files[1]))
    try:
        return os.posix_spawn(*words, **more)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, memory)
        resource.setrlimit(resource.RLIMIT_NOFILE, files)


class Command:
    """A process, its group and its output. `code` is its exit code, or the negated signal that ended it."""

    def __init__(self, argv: list[str], environment: dict[str, str]) -> None:
        self._loop = asyncio.get_running_loop()
        self.output = bytearray()
        self.code: int | None = None
        self.reaped = False
        self._pipe, writer = os.pipe()
        try:
            os.set_blocking(self._pipe, False)
            # Not subprocess: it would have a thread wait for each process (Python < 3.12).
            self.pid = _spawn(
                argv[0],
                argv,
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, writer, 1),
                    (os.POSIX_SPAWN_DUP2, writer, 2),
                ],
                setsid=True,
                setsigdef=[signal.SIGPIPE],  # which Python ignores
            )
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(writer)
        running.add(self.pid)
        try:
            self.pidfd = os.pidfd_open(self.pid)
        except OSError:
            running.discard(self.pid)
            os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self._pipe)
            raise
        self._loop.add_reader(self._pipe, self._read)

    def _read(self) -> bool:
        """Read available output; return whether there may be more."""
        try:
            data = os.read(self._pipe, 65536)
        except BlockingIOError:
            return False
        if not data:
            self._loop.remove_reader(self._pipe)
        self.output += data[: MAX_OUTPUT - len(self.output)]
        return bool(data) and len(self.output) < MAX_OUTPUT

    def end(self) -> None:
        """Kill the rest of the group, and take its exit code, now or when it has died."""
        os.killpg(self.pid, signal.SIGKILL)  # its pid is not reused before it is waited for
        while self._read():
            pass
        self._loop.remove_reader(self._pipe)
        os.close(self._pipe)
        if not self._reap():
            self._loop.add_reader(self.pidfd, self._reap)

    def _reap(self) -> bool:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self.reaped = True
            running.discard(pid)
            self.code = os.waitstatus_to_exitcode(status)
            self._loop.remove_reader(self.pidfd)
            os.close(self.pidfd)
        return self.reaped
