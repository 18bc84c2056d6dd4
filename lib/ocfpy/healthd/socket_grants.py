"""Sockets that need privilege, made by the keeper and handed to a checker, for those checks alone that it was given."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING, Callable, Optional

from ocfpy.checks.provider import bind_source
from ocfpy.healthd.checker_protocol import Malformed, identifier
from ocfpy.healthd.checker_provider import MAX_GRANT
from ocfpy.ocf.addresses import parse_address
from ocfpy.ocf.errors import OcfError

if TYPE_CHECKING:
    from ocfpy.healthd.check_request import CheckRequest

    Find = Callable[[int], Optional[CheckRequest]]

PINGERS = ("ping", "udp")
"""Types of checks that send an echo request."""
GRANTS_AT_ONCE = 32
"""Questions answered in one pass of the event loop."""


class SocketGrants:
    """Answers one checker. `find` gives the check with a number, None for one that has ended or is another checker's.

    `on_malformed` is told when the checker asks for what it has no right to.
    """

    def __init__(self, channel: socket.socket, find: Find, on_malformed: Callable[[str], None]) -> None:
        channel.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._channel = channel
        self._find = find
        self._on_malformed = on_malformed
        self._late: tuple[bytes, socket.socket | None] | None = None
        self._loop.add_reader(channel.fileno(), self._read)

    def close(self) -> None:
        """Answer no more."""
        self._loop.remove_reader(self._channel.fileno())
        self._loop.remove_writer(self._channel.fileno())
        self._channel.close()
        if self._late is not None and self._late[1] is not None:
            self._late[1].close()

    def _read(self) -> None:
        for _ in range(GRANTS_AT_ONCE):
            try:
                data = self._channel.recv(MAX_GRANT)
            except OSError:
                return  # nothing there; or the checker is gone, which its process says
            if not data:
                self._loop.remove_reader(self._channel.fileno())
                return
            try:
                token, request, kind = self._question(data)
            except Malformed as error:
                self._on_malformed(str(error))
                return
            sock, answer = None, [token, 0, "the check has ended"]
            if request is not None:
                try:
                    sock, answer = make_socket(request, kind), [token, 0, ""]
                except OcfError as error:
                    answer = [token, 0, error.reason]
                except OSError as error:
                    answer = [token, error.errno or 5, ""]
            if not self._answer(json.dumps(answer).encode(), sock):
                return

    def _question(self, data: bytes) -> tuple[int, CheckRequest | None, int]:
        try:
            token, number, kind = json.loads(data)
        except (ValueError, TypeError, RecursionError):
            raise Malformed("a question for a socket that is none") from None
        request = self._find(identifier(number))
        if request is not None and not _may_have(request, kind):
            raise Malformed(f"a question for a socket that check={request.settings.type} has no use for")
        return identifier(token), request, kind

    def _answer(self, data: bytes, sock: socket.socket | None) -> bool:
        """Whether there is room for it. If not, nothing more is read until there is."""
        try:
            if sock is None:
                self._channel.send(data)
            else:
                socket.send_fds(self._channel, [data], [sock.fileno()])
        except BlockingIOError:
            self._late = data, sock
            self._loop.remove_reader(self._channel.fileno())
            self._loop.add_writer(self._channel.fileno(), self._writable)
            return False
        except OSError:
            pass  # the checker is gone
        if sock is not None:
            sock.close()
        return True

    def _writable(self) -> None:
        self._loop.remove_writer(self._channel.fileno())
        late, self._late = self._late, None
        if late is not None and self._answer(*late):
            self._loop.add_reader(self._channel.fileno(), self._read)


def _may_have(request: CheckRequest, kind: object) -> bool:
    if request.path is not None:
        return type(kind) is int and kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)
    return type(kind) is int and kind == socket.SOCK_RAW and request.settings.type in PINGERS


def make_socket(request: CheckRequest, kind: int) -> socket.socket:
    """A socket for a check: with the mark of its way through the virtual service, or one for ICMP. Raises OSError, OcfError."""
    v6 = request.address.family == 6
    proto = 0
    if kind == socket.SOCK_RAW:
        proto = socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP
    sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, kind | socket.SOCK_NONBLOCK, proto)
    try:
        words = request.settings["bind"].split()
        source = next((word for word in words if parse_address(word).family == request.address.family), "")
        if request.path is not None:
            request.path.open()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, request.path.mark)
            source = source or request.path.source()
        if source:
            bind_source(sock, source)
        return sock
    except BaseException:
        sock.close()
        raise

