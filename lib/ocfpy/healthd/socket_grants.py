"""Creates sockets that need privilege in the keeper, and passes them to a checker, for its own checks only."""

from __future__ import annotations

import asyncio
import json
import socket
from functools import lru_cache
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
"""Requests answered in one pass of the event loop."""


class SocketGrants:
    """Answers one checker. `find` returns the check with a number, None for one that has ended or is another checker's.

    `on_malformed` is called when the checker asks for a socket that it has no right to.
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
        """Stop answering."""
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
                return  # no request; or the checker is gone, which its process reports
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
            raise Malformed("a request for an unknown socket") from None
        request = self._find(identifier(number))
        if request is not None and not _may_have(request, kind):
            raise Malformed(f"a request for a socket that check={request.settings.type} does not use")
        return identifier(token), request, kind

    def _answer(self, data: bytes, sock: socket.socket | None) -> bool:
        """Return whether there is room for an answer. If not, read no more requests until there is."""
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
    """Create a socket with the mark of the path through the virtual service, or for ICMP. Raises OSError, OcfError."""
    v6 = request.address.family == 6
    proto = 0
    if kind == socket.SOCK_RAW:
        proto = socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP
    sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, kind | socket.SOCK_NONBLOCK, proto)
    try:
        source = _source(request.settings["bind"], request.address.family)
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


@lru_cache(maxsize=64)
def _source(bind: str, family: int) -> str:
    """The address of check_bind in a family, or empty: parsed once, for it is asked for with every socket."""
    return next((word for word in bind.split() if parse_address(word).family == family), "")
