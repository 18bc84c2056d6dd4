"""A connection to a server as the checks use it: bytes, lines, and TLS from the start or from the middle on."""

from __future__ import annotations

import functools
import os
import socket
from typing import TYPE_CHECKING, Callable, TypeVar

from ocfpy.checks.budget import count_received
from ocfpy.checks.errors import CheckFailed
from ocfpy.checks.protocols.connection import Incoming, Send

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

    from ocfpy.checks.protocols.connection import Connection
    from ocfpy.checks.timer import Timer

T = TypeVar("T")
E = TypeVar("E")
C = TypeVar("C", bound="_Connected")

RECEIVE_SIZE = 65536
"""Bytes asked for in one receive."""
MAX_LINE = 65536
"""Longest line in bytes; a server that sends more speaks another protocol."""


class _Connected:
    """A connected socket."""

    def __init__(self, sock: socket.socket, timer: Timer) -> None:
        self._sock = sock
        self._timer = timer

    async def _receive(self) -> bytes:
        while True:
            await self._timer.readable(self._sock)
            try:
                data = self._sock.recv(RECEIVE_SIZE)
            except BlockingIOError:
                continue  # its checksum was wrong, or the wake-up was spurious
            count_received(len(data))
            return data

    def local(self) -> tuple[str, int]:
        """The address and port of this end."""
        host, port = self._sock.getsockname()[:2]
        return host, port

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def __enter__(self: C) -> C:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Datagrams(_Connected):
    """A connected datagram socket; an ICMP error comes out of it as an OSError."""

    def send(self, data: bytes) -> None:
        """Send one datagram, at once or not at all."""
        self._sock.send(data)

    receive = _Connected._receive
    """Return the next datagram."""

    def raise_error(self) -> None:
        """Raise the ICMP error that has arrived meanwhile, if any."""
        error = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))


class Stream(_Connected):
    """A connected stream socket. Received bytes are kept until they are requested."""

    def __init__(self, sock: socket.socket, timer: Timer) -> None:
        super().__init__(sock, timer)
        self._kept = Incoming()
        self._tls: ssl.SSLObject | None = None
        self._incoming: ssl.MemoryBIO
        self._outgoing: ssl.MemoryBIO

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        if self._tls is None:
            await self._send(data)
            return
        # At once: a memory BIO accepts any amount.
        await self._through_tls(functools.partial(self._tls.write, data))

    async def receive(self) -> bytes:
        """Return available bytes, at least one; none at the end of the connection."""
        if self._kept:
            return self._kept.take(len(self._kept)) or b""
        if self._tls is None:
            return await self._receive()
        import ssl

        try:
            return await self._through_tls(functools.partial(self._tls.read, RECEIVE_SIZE))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""  # many servers close without a close_notify

    async def event(self, connection: Connection[E]) -> E:
        """Return the next event of a protocol; feed it with received bytes and send what it returns. Raises CheckFailed."""
        while True:
            event = connection.next_event()
            if isinstance(event, Send):
                await self.send(event.data)
            elif event is not None:
                return event
            else:
                connection.receive_data(await self._more(connection.in_message))

    async def line(self) -> bytes:
        """Return the next line, without its end. Raises CheckFailed when there is none."""
        while (line := self._kept.line(MAX_LINE)) is None:
            self._kept.feed(await self._more(bool(self._kept)))
        return line

    async def exactly(self, size: int) -> bytes:
        """Return the next `size` bytes. Raises CheckFailed when there are fewer."""
        while (data := self._kept.take(size)) is None:
            self._kept.feed(await self._more(bool(self._kept)))
        return data

    async def _more(self, in_message: bool) -> bytes:
        """Return the next received bytes. Raises CheckFailed at the end of the connection."""
        kept, self._kept = self._kept, Incoming()
        data = await self.receive()
        self._kept = kept
        if not data:
            raise CheckFailed("connection closed in the middle of the answer" if in_message else "connection closed")
        return data

    async def start_tls(self, context: ssl.SSLContext, name: str) -> None:
        """Switch to TLS, for a server called `name`: a host name or an address. Raises CheckFailed."""
        if self._kept:
            raise CheckFailed("the server sent more plain text before TLS")
        import ssl

        from ocfpy.checks.tls import wrong_name

        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        try:
            await self._through_tls(tls.do_handshake)
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            raise CheckFailed("connection closed during the TLS handshake") from None
        if context.verify_mode != ssl.CERT_NONE:
            wrong = wrong_name(tls.getpeercert() or {}, name)
            if wrong:
                raise CheckFailed(wrong)
        self._tls = tls

    async def _through_tls(self, step: Callable[[], T]) -> T:
        import ssl

        from ocfpy.checks.tls import failure

        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._receive()
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
                continue
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                raise
            except ssl.SSLError as error:
                self._say_goodbye()
                raise CheckFailed(failure(error)) from None
            await self._flush()
            return result

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._send(self._outgoing.read())

    async def _send(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[self._sock.send(left) :]
            except BlockingIOError:
                await self._timer.writable(self._sock)

    def _say_goodbye(self) -> None:
        """Send pending TLS data, such as an alert, if that is possible at once."""
        try:
            self._sock.send(self._outgoing.read())
        except OSError:
            pass

    def close(self) -> None:
        """End the connection."""
        if self._tls is not None:
            import ssl

            try:
                self._tls.unwrap()
            except (ssl.SSLError, OSError):
                pass  # it waits for the peer's close_notify, which we do not
            self._say_goodbye()
        super().close()
