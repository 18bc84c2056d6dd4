"""Asks the health daemon of a pool, over its socket. Part of every monitor, so it imports next to nothing."""

from __future__ import annotations

# The C module behind socket, which itself pulls in enum and selectors.
import _socket
import fcntl
import os

from ocfpy.ocf.state import CANNOT_BE_THERE

RUNNING = "running"
STARTING = "starting"
DEGRADED = "degraded"
FAILED = "failed"
STOPPED = "stopped"
"""First words of the daemon's answers; what follows the word is a reason."""

MAX_ANSWER = 1 << 24


class NoDaemon(Exception):
    """Nobody listens on the socket."""


class DaemonHangs(Exception):
    """Somebody listens, and does not answer in time."""


class Paths:
    """The files of one pool's daemon, all next to each other; `base` is the path without a suffix."""

    __slots__ = ("base", "lock", "socket", "spec", "status")

    def __init__(self, base: str) -> None:
        self.base = base
        self.spec = f"{base}.spec"
        self.lock = f"{base}.lock"
        self.socket = f"{base}.sock"
        self.status = f"{base}.status"


def is_alive(paths: Paths) -> bool:
    """Whether there is a daemon, also one that does not listen yet or no more: it holds the lock for all of its life."""
    try:
        fd = os.open(paths.lock, os.O_RDONLY)
    except OSError as error:
        if error.errno in CANNOT_BE_THERE:
            return False
        raise
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def ask(path: str, command: str, timeout: float) -> str:
    """The daemon's answer, one line, to `monitor`, `status`, `version`, `reload` or `stop`. `timeout` is in seconds.

    Raises NoDaemon or DaemonHangs.
    """
    try:
        directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        if error.errno in CANNOT_BE_THERE:
            raise NoDaemon from None
        raise
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        sock.settimeout(timeout)
        # By way of the directory, because a socket's own path must not be longer than 107 bytes (unix(7)).
        sock.connect(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
        sock.send(command.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            more = sock.recv(65536)
            if not more or len(answer) > MAX_ANSWER:
                raise NoDaemon
            answer += more
    # Blocking: so many callers wait already that no more may. Python 3.9's socket has a time-out of its own.
    except (TimeoutError, BlockingIOError, _socket.timeout):
        raise DaemonHangs from None
    except OSError:
        raise NoDaemon from None
    finally:
        sock.close()
        os.close(directory)
    return answer.decode().rstrip("\n")
