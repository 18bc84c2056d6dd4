"""One checker as the keeper sees it: a process that it starts, reads, limits, and kills when it stops answering."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Callable

from ocfpy.checks.command_mark import MARK
from ocfpy.healthd.checker_launch import LIBRARY_FD
from ocfpy.healthd.checker_protocol import HEARTBEAT_S, MAX_LINE, LineReader, Malformed
from ocfpy.healthd.running_check import new_page, running
from ocfpy.healthd.socket_grants import SocketGrants
from ocfpy.ocf.process import usage

if TYPE_CHECKING:
    from ocfpy.healthd.privileges import User
    from ocfpy.healthd.socket_grants import Find

LIBRARY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAUNCHER = f"{LIBRARY}/ocfpy/healthd/checker_launch.py"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

SILENT_TICKS = 4
"""Missed heartbeats after which a checker counts as hung: 2 s."""
STARVED_TICKS = 20
"""The same for a checker that waits for a processor, or has just been started: 10 s."""
BUSY_S = 1.0
"""Seconds of processor time used without a heartbeat: the checker is not starved, it is busy with one check."""
LET_GO_S = 2.0
"""Seconds that a killed checker has to die."""
MAX_QUEUED = 64 << 20
"""Most bytes that may wait for a checker to read them; the checks of 10,000 servers are 6 MiB."""
RECEIVE_SIZE = 65536
LAST_READS = 4
"""How often a dead checker's socket is read: it holds what fits into it, about 200 KiB."""
_HIGH_FD = 64


class Ended:
    """How a checker ended: `why` in words, and the number of the check that ran then, 0 for none."""

    def __init__(self, why: str, running: int, burned: bool) -> None:
        self.why = why
        self.running = running
        self.burned = burned


class CheckerProcess:
    """Starts a checker. Raises OSError when the process cannot be started.

    `on_line` gets each of its lines, empty ones too, and may raise Malformed; `on_end` is called once, when it is dead. `find`
    returns the check with a number, for `SocketGrants`.
    """

    def __init__(
        self, user: User, mark: str, find: Find, on_line: Callable[[bytes], None], on_end: Callable[[Ended], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_line = on_line
        self._on_end = on_end
        self.user = user
        self.mark = mark
        self.ready = False
        """Whether it has sent a heartbeat."""
        self._why = ""
        self._burned = False
        self._finished = False
        self._heard = False
        self._silent = 0
        self._cpu = 0.0
        self._out = bytearray()
        self._writing = False
        self._reader = LineReader(self._line, MAX_LINE)
        with ExitStack() as ours, ExitStack() as theirs:
            page_fd, self._page = new_page()
            theirs.callback(os.close, page_fd)
            ours.callback(self._page.close)
            self._control, control = socket.socketpair()
            ours.enter_context(self._control)
            theirs.enter_context(control)
            sockets, their_sockets = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.enter_context(sockets)
            theirs.enter_context(their_sockets)
            library_fd = os.open(LIBRARY, os.O_PATH | os.O_DIRECTORY)
            theirs.callback(os.close, library_fd)
            self._control.setblocking(False)
            self.pid = _spawn(user, mark, [control.fileno(), their_sockets.fileno(), page_fd, library_fd])
            ours.callback(_reap, self.pid)
            self._pidfd = os.pidfd_open(self.pid)
            ours.pop_all()
        self._grants = SocketGrants(sockets, find, self.malformed)
        self._loop.add_reader(self._pidfd, self._dead)
        self._loop.add_reader(self._control.fileno(), self._read)
        self._timer = self._loop.call_later(HEARTBEAT_S, self._tick)

    def send(self, data: bytes) -> None:
        """Queue `data`, which are whole lines, for the checker to read. Never waits."""
        if self._finished:
            return
        self._out += data
        if len(self._out) > MAX_QUEUED:
            self.kill(f"it did not read {MAX_QUEUED >> 20} MiB that it was sent")
        elif not self._writing:
            self._write()

    def kill(self, why: str = "") -> None:
        """Kill it; `on_end` is told `why` when it is dead."""
        if not self._why:
            self._why = why or "it was ended"
            try:
                os.killpg(self.pid, signal.SIGKILL)  # its pid is not reused before it is waited for
            except OSError:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)  # it has no process group of its own yet
            self._loop.call_later(LET_GO_S, self._finish)

    def malformed(self, what: str) -> None:
        """Kill a checker that sent a message which no checker sends."""
        self.kill(f"it sent {what}")

    def _write(self) -> None:
        try:
            while self._out:
                sent = self._control.send(memoryview(self._out)[: 1 << 18])
                del self._out[:sent]
        except BlockingIOError:
            if not self._writing:
                self._writing = True
                self._loop.add_writer(self._control.fileno(), self._write)
            return
        except OSError:
            self._out.clear()  # it is dead, which its pidfd says
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._control.fileno())

    def _read(self) -> None:
        try:
            data = self._control.recv(RECEIVE_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._control.fileno())  # it is dead, or will be silent
            return
        self._heard = True
        if self._why:
            return
        try:
            self._reader.feed(data)
        except Malformed as error:
            self.malformed(str(error))

    def _line(self, line: bytes) -> None:
        if not line:
            self.ready = True
        if not self._why:
            self._on_line(line)

    def _tick(self) -> None:
        """Count missed heartbeats. Our own timer may be late as well, so count its ticks and not the clock."""
        self._timer = self._loop.call_later(HEARTBEAT_S, self._tick)
        if self._heard:
            self._heard = False
            self._silent = 0
            return
        self._silent += 1
        state, cpu = usage(self.pid)
        if self._silent == 1:
            self._cpu = cpu
        if self._silent < SILENT_TICKS:
            return
        burned = cpu - self._cpu >= BUSY_S
        starved = not self.ready or (state == "R" and not burned)
        if starved and self._silent < STARVED_TICKS:
            return
        self._burned = burned
        self.kill(f"it was silent for {self._silent * HEARTBEAT_S:g} s")

    def _dead(self) -> None:
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if not pid:
            return
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        code = os.waitstatus_to_exitcode(status)
        self._finish(f"killed by signal {-code}" if code < 0 else f"it ended with exit code {code}")

    def _finish(self, how: str = "") -> None:
        """Finish a dead checker. One that was killed but is held by the kernel (D state) is replaced and reaped later."""
        if self._finished:
            return
        self._finished = True
        self._read_last_words()
        why = self._why or how
        self._timer.cancel()
        self._loop.remove_reader(self._control.fileno())
        self._loop.remove_writer(self._control.fileno())
        self._grants.close()
        self._control.close()
        number = running(self._page)
        self._page.close()
        self._on_end(Ended(why, number, self._burned))

    def _read_last_words(self) -> None:
        """Take the results that it sent before it died, unless it was killed for a message."""
        try:
            # Bounded: a child that it left may hold the other end, and go on writing.
            for _ in range(LAST_READS):
                if self._why:
                    return
                data = self._control.recv(RECEIVE_SIZE)
                if not data:
                    return
                self._reader.feed(data)
        except Exception:  # even then its death has to be reported
            pass


def _spawn(user: User, mark: str, fds: list[int]) -> int:
    """Start the process with `fds` as its descriptors 3 and following. Raises OSError."""
    groups = " ".join(map(str, user.groups))
    argv = [sys.executable, "-I", LAUNCHER, str(user.uid), str(user.gid), groups, "1" if user.change else "0"]
    # Moved above the numbers that they will get.
    moved: list[int] = []
    try:
        moved.extend(fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH_FD) for fd in fds)
        return os.posix_spawn(
            sys.executable,
            argv,
            {"PATH": PATH, "LC_ALL": "C.UTF-8", MARK: mark},
            file_actions=[
                *((os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)),
                *((os.POSIX_SPAWN_DUP2, fd, LIBRARY_FD - len(fds) + 1 + at) for at, fd in enumerate(moved)),
            ],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGTERM, signal.SIGCHLD),
        )
    finally:
        for fd in moved:
            os.close(fd)


def _reap(pid: int) -> None:
    """End a child of which there is no pidfd."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
