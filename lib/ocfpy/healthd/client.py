"""Asks the health daemon of this node over its socket. Part of every monitor, so it imports next to nothing."""

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
"""First words of the daemon's answers about a pool; a reason follows."""
UNKNOWN = "unknown"
"""The daemon does not run this pool."""
OTHER_VERSION = "version"
"""The daemon has another version than the client; its own follows."""
FOREIGN = "foreign"
"""The daemon runs in another network namespace than the client."""

MAX_ANSWER = 1 << 26
POOL_PREFIX = "ipvs-pool-"
RUNNING_SUFFIX = ".running"


class NoDaemon(Exception):
    """No process listens on the socket."""


class DaemonHangs(Exception):
    """A process listens, but does not answer in time."""


class Node:
    """The files of the health daemon of a run directory."""

    __slots__ = ("alive", "directory", "lock", "socket")

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.alive = f"{directory}/healthd.alive"
        self.lock = f"{directory}/healthd.lock"
        self.socket = f"{directory}/healthd.sock"

    def pool(self, key: str) -> Paths:
        """Return the files of one of its pools."""
        return Paths(f"{self.directory}/{POOL_PREFIX}{key}")


class Paths:
    """The files of one pool, all in one directory; `base` is the path without a suffix.

    `wanted` is the specification that an action has just written, `spec` the one that the daemon applies and adopts.
    """

    __slots__ = ("base", "running", "spec", "status", "wanted")

    def __init__(self, base: str) -> None:
        self.base = base
        self.running = f"{base}{RUNNING_SUFFIX}"
        self.spec = f"{base}.spec"
        self.wanted = f"{base}.wanted"
        self.status = f"{base}.status"

    @property
    def key(self) -> str:
        """The name of the pool in requests to the daemon."""
        return os.path.basename(self.base)[len(POOL_PREFIX) :]

    @property
    def node(self) -> Node:
        """The daemon's own files."""
        return Node(os.path.dirname(self.base))


def is_alive(node: Node) -> bool:
    """Return whether a daemon lives, listening or not: it holds the lock for its whole life."""
    try:
        fd = os.open(node.lock, os.O_RDONLY)
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


def ask(path: str, request: str, timeout: float) -> str:
    """Send a request of one line and return the daemon's answer of one line (see daemon.py). `timeout` is in seconds.

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
        # Through the directory, because a socket's own path must not be longer than 107 bytes (unix(7)).
        sock.connect(f"/proc/self/fd/{directory}/{os.path.basename(path)}")
        sock.sendall(request.encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            more = sock.recv(65536)
            if not more or len(answer) > MAX_ANSWER:
                raise NoDaemon
            answer += more
    # BlockingIOError: the queue of waiting callers is full. Python 3.9's socket has a timeout of its own.
    except (TimeoutError, BlockingIOError, _socket.timeout):
        raise DaemonHangs from None
    except OSError:
        raise NoDaemon from None
    finally:
        sock.close()
        os.close(directory)
    return answer.decode().rstrip("\n")
