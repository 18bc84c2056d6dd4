"""FRR's protocol on /run/frr/bgpd.vty: a command and a NUL go out, text, three NULs and a status come back.

Source: vtysh_read() in FRR's lib/vty.c, vtysh_client_run() in vtysh/vtysh.c. A call costs 0.2 ms where vtysh
takes 30, and needs no lock that is shared with the other FRR daemons.
"""

from __future__ import annotations

# The C module behind socket, which itself imports enum, selectors and more; a monitor runs every few seconds.
import _socket
import os
import sys
import time

from ocfpy.bgp.errors import BgpdDead, BgpdHung, CommandRefused, FrrError
from ocfpy.bgp.process import Progress, pid_from_file
from ocfpy.ocf.errors import HostError, PermissionDeniedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocfpy.ocf.deadline import Deadline

RESPONSE_LIMIT_S = 2.0  # bgpd answers in less than a millisecond; without an answer or processor use for longer it hangs
CONNECT_RETRY_S = 0.01
LINE_MAX_BYTES = 4096  # VTY_BUFSIZ; bgpd would cut off the rest
STATUS_SUCCESS = 0
_TRAILER = b"\0\0\0"
_UCRED_BYTES = 12  # pid, uid, gid: three 32-bit integers


class Vty:
    """bgpd behind its socket. Every call has its own connection, so nothing survives a restart of bgpd.

    Closing the connection also leaves bgpd's configuration mode, so that a killed agent leaves nothing
    locked.
    """

    __slots__ = ("_deadline", "path")

    def __init__(self, path: str, deadline: Deadline) -> None:
        self.path = path
        self._deadline = deadline

    def exists(self) -> bool:
        """Whether the socket is there; it outlives a bgpd that was killed."""
        return os.path.exists(self.path)

    def show(self, command: str) -> str:
        """Run one command in enable mode, like vtysh, and return its text.

        Raises CommandRefused, BgpdHung, BgpdDead; DeadlineError when the action's time is up before bgpd's
        is.
        """
        with self._session() as session:
            session.command("enable")
            return session.command(command)

    def configure(self, lines: Iterable[str]) -> None:
        """Run lines in configuration mode, up to the first one that is refused. Raises CommandRefused."""
        with self._session() as session:
            for line in ("enable", "configure terminal", *lines):
                session.command(line)

    def configure_each(self, statements: Iterable[tuple[tuple[str, ...], str]]) -> dict[str, CommandRefused]:
        """Run statements, each with the lines that lead to its place, in one session; return the refused ones.

        The lines that lead there must be accepted: otherwise CommandRefused, and the rest is not run.
        """
        refused: dict[str, CommandRefused] = {}
        here: tuple[str, ...] = ()
        with self._session() as session:
            session.command("enable")
            session.command("configure terminal")
            for place, statement in statements:
                if place != here:
                    # From inside of one block bgpd looks for the line in those around it (cmd_execute_command in lib/command.c).
                    for line in place:
                        session.command(line)
                    here = place
                try:
                    session.command(statement)
                except CommandRefused as refusal:
                    refused[statement] = refusal
        return refused

    def pid(self) -> int:
        """The process that listens, even if it hangs: the kernel accepts connections on its behalf."""
        with self._session() as session:
            return session.peer_pid()

    def _session(self) -> Session:
        patience = Patience(self.path, self._deadline, RESPONSE_LIMIT_S)
        return Session(_connect(self.path, patience), patience)


class Patience:
    """How long to wait for bgpd: limit seconds while it does nothing, and as long as the action has while it works."""

    __slots__ = ("_deadline", "_limit", "_path", "_progress", "_until", "_was_busy")

    def __init__(self, path: str, deadline: Deadline, limit: float) -> None:
        self._path = path
        self._deadline = deadline
        self._limit = limit
        self._was_busy = False
        self.begin(0)

    def begin(self, pid: int) -> None:
        """Begin to wait for this process, 0 if it is unknown."""
        self._progress = Progress(pid)
        self.renew()

    def renew(self) -> None:
        """Note a sign of life: a part of the answer, or use of the processor."""
        self._until = time.monotonic() + self._limit

    def left(self) -> float:
        """Seconds until the next look, more than 0. Raises BgpdHung without a sign of life; DeadlineError."""
        action_s = self._deadline.remaining()
        if action_s <= 0:
            busy = ", which is busy," if self._was_busy else ""
            raise self._deadline.error(f"bgpd{busy} to answer on {self._path}")
        left = self._until - time.monotonic()
        if left <= 0:
            if not self._progress.is_made():
                raise BgpdHung(f"bgpd hangs: no answer on {self._path} within {self._limit:g} s, and it uses no processor time")
            self._was_busy = True
            self.renew()
            left = self._limit
        return min(left, action_s)


class Session:
    """One connection; commands go one at a time, because bgpd may lose those that are sent ahead."""

    __slots__ = ("_patience", "_socket")

    def __init__(self, connected: _socket.socket, patience: Patience) -> None:
        self._socket = connected
        self._patience = patience

    def command(self, text: str) -> str:
        """Send one line and return the reply. Raises ValueError for anything but one line; the errors of Vty.show."""
        line = text.encode("utf-8") if text.isprintable() else b""
        if not line or len(line) >= LINE_MAX_BYTES:
            raise ValueError(f"not a line for a vty: {text[:64]!r}")
        self._patience.begin(self.peer_pid())
        try:
            self._send(line + b"\0")
            reply, status = self._read()
        except OSError as error:
            raise BgpdDead(f"bgpd ended during `{text}`: {error.strerror}") from None
        if status != STATUS_SUCCESS:
            raise CommandRefused(text, status, reply)
        return reply

    def _send(self, line: bytes) -> None:
        while line:
            self._socket.settimeout(self._patience.left())
            try:
                line = line[self._socket.send(line) :]
            except (TimeoutError, _socket.timeout):  # the same only from Python 3.10 on
                continue

    def _read(self) -> tuple[str, int]:
        """Read up to the status. The text has no NUL in it, so the first one begins the trailer.

        That is 00 00 00 status. It may come in pieces, and a status of 0 looks like one more of its NULs.
        """
        received = bytearray()
        while True:
            nul = received.find(0)
            if 0 <= nul <= len(received) - 4:
                break
            self._socket.settimeout(self._patience.left())
            try:
                piece = self._socket.recv(65536)
            except (TimeoutError, _socket.timeout):
                continue
            if not piece:
                raise BgpdDead("bgpd closed the connection in the middle of a reply")
            received += piece
            self._patience.renew()
        if received[nul : nul + 3] != _TRAILER or len(received) != nul + 4:
            raise FrrError("the reply on bgpd's socket is not FRR's protocol: try backend=vtysh")
        return received[:nul].decode("utf-8", "replace"), received[-1]

    def peer_pid(self) -> int:
        """The pid of the process that listens on the other side."""
        return _peer_pid(self._socket)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def listener_pid(path: str) -> int:
    """Return the pid of the process that listens on a socket, even if it hangs; 0 without one, or if its queue is full."""
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        connection.connect(path)
        return _peer_pid(connection)
    except OSError:
        return 0
    finally:
        connection.close()


def _peer_pid(connection: _socket.socket) -> int:
    ucred = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, _UCRED_BYTES)
    return int.from_bytes(ucred[:4], sys.byteorder)


def _connect(path: str, patience: Patience) -> _socket.socket:
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        # Without a timeout the kernel would wait for a place in the queue: many agents at once, or a bgpd that hangs.
        connection.setblocking(False)
        has_begun = False
        while True:
            try:
                connection.connect(path)
                return connection
            except BlockingIOError:
                if not has_begun:
                    patience.begin(pid_from_file(path))
                    has_begun = True
                time.sleep(min(CONNECT_RETRY_S, patience.left()))
    except (FileNotFoundError, ConnectionRefusedError) as error:
        connection.close()
        raise BgpdDead(f"bgpd does not run: {path}: {error.strerror}") from None
    except PermissionError:
        connection.close()
        raise PermissionDeniedError(f"{path} may not be opened: run as root or in the group frrvty") from None
    except OSError as error:
        connection.close()
        raise HostError(f"{path} cannot be used as a socket: {error.strerror or error}") from None
    except BaseException:
        connection.close()
        raise
