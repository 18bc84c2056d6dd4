"""Starts the health daemon of this node, and replaces one that hangs, was killed or has another version.

The first action or monitor that notices does it for all pools: the new daemon adopts every pool of the run directory. Only the
process that was asked and did not answer is ever killed, by pidfd: two actions that notice at the same time must not kill the
daemon that the other one has just started.
"""

from __future__ import annotations

import fcntl
import os
import select
import time

from ocfpy import __version__
from ocfpy.checks.command_mark import MARK
from ocfpy.healthd.client import FOREIGN, POOL_PREFIX, RUNNING, DaemonHangs, NoDaemon, Node, ask
from ocfpy.ocf.errors import HostError, OcfError, ServiceError
from ocfpy.ocf.process import has_open, usage
from ocfpy.ocf.state import names_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.ocf.context import Log
    from ocfpy.ocf.deadline import Deadline

LIBRARY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HEALTHD = f"{LIBRARY}/healthd"

ANSWER_S = 2.0
"""How long the daemon may take to answer; it does nothing that blocks. Half of the time left, if that is less."""
ANSWERS_AGAIN_S = 0.5
"""The same for one that has just not answered a monitor."""
STARVED_S = 10.0
"""How long a daemon may leave questions unanswered that would run if this node gave it a processor."""
BUSY_S = 1.0
"""Seconds of processor time that it has used meanwhile: it is not starved, it is busy with something that does not end."""
SILENT_S = 10.0
"""How long a process may hold the lock without listening before it counts as hung: on a busy node a start takes seconds."""


def ensure_daemon(node: Node, deadline: Deadline, log: Log, answer_s: float = ANSWER_S) -> bool:
    """Return when a daemon of this version answers; return whether it had to be started or replaced.

    One that does not answer within `answer_s` is killed: less is enough where it has failed to answer a moment ago. One that
    waits for a processor has STARVED_S: on a node that is so busy another one would be no quicker.

    Raises HostError when the daemon belongs to another network namespace, ServiceError when it does not start, DeadlineError.
    """
    replaced, silent, starvation = False, Silence(), Starvation()

    def look() -> bool:
        nonlocal replaced
        holder = Holder(node.lock)
        starvation.begins(holder.pid)
        try:
            limit_s = max(0.1, min(answer_s, deadline.remaining() / 2))
            word, _, rest = ask(node.socket, f"version {__version__}", limit_s).partition(" ")
            if word == RUNNING:
                return True
            if word == FOREIGN:
                raise HostError(f"the health daemon of {node.directory} runs in another network namespace ({rest})")
            log.info(f"replacing the health daemon ({holder.pid}), of version {rest}, with one of version {__version__}")
            holder.kill()
        except DaemonHangs:
            if not starvation.excuses():
                log.warning(f"replacing the health daemon ({holder.pid}): no answer within {limit_s:g} s")
                holder.kill()
        except NoDaemon:
            lock = take_lock(node)
            if lock is not None:
                _spawn(node, lock, deadline)
                replaced = True
                return True
            if silent.lasts(holder.pid):
                log.warning(f"replacing the health daemon ({holder.pid}): it does not listen after {SILENT_S:g} s")
                holder.kill()
        finally:
            holder.close()
        return False

    deadline.poll(look, "the health daemon of this node to answer")
    return replaced


class Starvation:
    """Tells a daemon that does not answer because this node gives it no processor from one that hangs."""

    def __init__(self) -> None:
        self._pid = 0
        self._since = self._cpu_s = 0.0

    def begins(self, pid: int) -> None:
        """A process is asked, for the first time or again."""
        if pid != self._pid:
            self._pid, self._since, self._cpu_s = pid, time.monotonic(), usage(pid)[1]

    def excuses(self) -> bool:
        """Whether that process may go on, although it has not answered."""
        state, cpu_s = usage(self._pid)
        return state == "R" and cpu_s - self._cpu_s < BUSY_S and time.monotonic() - self._since < STARVED_S


class Silence:
    """How long one and the same process has held the lock without listening."""

    def __init__(self) -> None:
        self._pid = 0
        self._since = 0.0

    def lasts(self, pid: int) -> bool:
        """Return whether a process has been silent for too long; False without a process."""
        now = time.monotonic()
        if pid != self._pid:
            self._pid, self._since = pid, now
        return bool(pid) and now - self._since > SILENT_S


def has_pools(node: Node) -> bool:
    """Return whether the run directory has a pool that a daemon would adopt."""
    return any(name.startswith(POOL_PREFIX) and name.endswith(".spec") for name in names_in(node.directory))


def listens(node: Node, limit_s: float, log: Log, silence: Silence | None = None) -> bool:
    """Return whether a daemon of any version answers; one that does not within `limit_s` is killed.

    A daemon that holds the lock without listening is killed too, after `silence`, which the caller keeps, has lasted too long.
    """
    holder = Holder(node.lock)
    try:
        ask(node.socket, f"version {__version__}", limit_s)
        return True
    except DaemonHangs:
        log.warning(f"killing the health daemon ({holder.pid}): no answer within {limit_s:g} s")
        holder.kill()
    except NoDaemon:
        if silence is not None and silence.lasts(holder.pid):
            log.warning(f"killing the health daemon ({holder.pid}): it does not listen after {SILENT_S:g} s")
            holder.kill()
    finally:
        holder.close()
    return False


class Holder:
    """The process that holds a daemon's lock now; pid is 0 where there is none, or none that can be identified for sure."""

    def __init__(self, lock: str) -> None:
        self.pid = 0
        self._pidfd = -1
        try:
            fd = os.open(lock, os.O_RDONLY)
        except OSError:
            return
        try:
            number = os.pread(fd, 32, 0).decode(errors="replace").strip()
            if not number.isdigit():
                return
            pidfd = os.pidfd_open(int(number))
            # Checked after the pidfd was opened: so the pid has not been reused.
            if has_open(number, os.readlink(f"/proc/self/fd/{fd}")):
                self.pid, self._pidfd = int(number), pidfd
            else:
                os.close(pidfd)
        except OSError:
            return
        finally:
            os.close(fd)

    def kill(self) -> None:
        """Send SIGKILL; a process that has ended is no error."""
        if self._pidfd >= 0:
            import signal

            try:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.close()

    def close(self) -> None:
        """Close the pidfd."""
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1


def take_lock(node: Node) -> int | None:
    """Take the lock that says a daemon lives; return its file descriptor, None when another process has it."""
    os.makedirs(node.directory, mode=0o700, exist_ok=True)
    fd = os.open(node.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_nlink:
            os.ftruncate(fd, 0)  # the file must never name a process that does not hold the lock
            return fd
    except BlockingIOError:
        pass
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return None


def _spawn(node: Node, lock: int, deadline: Deadline) -> None:
    """Start a daemon that inherits the lock; return when it listens. Raises OcfError with what it reports, DeadlineError."""
    ready, report = os.pipe()
    try:
        os.set_inheritable(lock, True)
        os.set_inheritable(report, True)
        # Pacemaker kills an action's whole process group, and reads its output until it is closed: so the daemon has its own
        # session and none of the action's descriptors.
        pid = os.posix_spawn(
            HEALTHD,
            [HEALTHD, node.directory, str(lock), str(report)],
            {name: value for name, value in os.environ.items() if not name.startswith(("OCF_RESKEY_", MARK))},
            file_actions=[(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)],
            setsid=True,
        )
        os.pwrite(lock, b"%d\n" % pid, 0)
        os.close(report)
        report = -1
        _await_report(ready, deadline)
    finally:
        for fd in (lock, ready, report):
            if fd >= 0:
                os.close(fd)


def _await_report(ready: int, deadline: Deadline) -> None:
    text = b""
    poller = select.poll()
    poller.register(ready, select.POLLIN)
    while not text.endswith(b"\n"):
        deadline.check("the health daemon to start")
        if poller.poll(deadline.remaining() * 1000):
            more = os.read(ready, 4096)
            if not more:
                raise ServiceError("the health daemon died while it started; the system log may say why")
            text += more
    answer = text.decode().strip()
    if answer != "ok":
        code, _, reason = answer.partition(" ")
        error = OcfError(reason)
        error.code = int(code)
        raise error
