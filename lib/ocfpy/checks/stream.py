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
"""Bytes of a line; whoever sends more speaks another protocol."""


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
                continue  # its checksum was wrong, or somebody woke us for nothing
            count_received(len(data))
            return data

    def local(self) -> tuple[str, int]:
        """Address and port that the server sees us with."""
        host, port = self._sock.getsockname()[:2]
        return host, port

    def close(self) -> None:
        """Gives back the socket."""
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
        """Sends one datagram, at once or not at all."""
        self._sock.send(data)

    receive = _Connected._receive
    """The next datagram."""

    def raise_error(self) -> None:
        """Raises the ICMP error that has come in meanwhile, if one has."""
        error = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))


class Stream(_Connected):
    """A connected stream socket. What has been received and not yet been asked for is kept in between."""

    def __init__(self, sock: socket.socket, timer: Timer) -> None:
        super().__init__(sock, timer)
        self._kept = Incoming()
        self._tls: ssl.SSLObject | None = None
        self._incoming: ssl.MemoryBIO
        self._outgoing: ssl.MemoryBIO

    async def send(self, data: bytes) -> None:
        """Sends all of it."""
        if self._tls is None:
            await self._send(data)
            return
        # In one go: a memory BIO takes whatever it is given.
        await self._through_tls(functools.partial(self._tls.write, data))

    async def receive(self) -> bytes:
        """What is there, at least one byte; nothing at the end of the connection."""
        if self._kept:
            return self._kept.take(len(self._kept)) or b""
        if self._tls is None:
            return await self._receive()
        import ssl

        try:
            return await self._through_tls(functools.partial(self._tls.read, RECEIVE_SIZE))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""  # many a server closes without saying so

    async def event(self, connection: Connection[E]) -> E:
        """The next event of a protocol, which is fed with what arrives; what it wants sent is sent. Raises CheckFailed."""
        while True:
            event = connection.next_event()
            if isinstance(event, Send):
                await self.send(event.data)
            elif event is not None:
                return event
            else:
                connection.receive_data(await self._more(connection.in_message))

    async def line(self) -> bytes:
        """The next line, without its end. Raises CheckFailed when there is none."""
        while (line := self._kept.line(MAX_LINE)) is None:
            self._kept.feed(await self._more(bool(self._kept)))
        return line

    async def exactly(self, size: int) -> bytes:
        """The next `size` bytes. Raises CheckFailed when there are fewer."""
        while (data := self._kept.take(size)) is None:
            self._kept.feed(await self._more(bool(self._kept)))
        return data

    async def _more(self, in_message: bool) -> bytes:
        """What arrives next. Raises CheckFailed at the end of the connection."""
        kept, self._kept = self._kept, Incoming()
        data = await self.receive()
        self._kept = kept
        if not data:
            raise CheckFailed("connection closed in the middle of the answer" if in_message else "connection closed")
        return data

    async def start_tls(self, context: ssl.SSLContext, name: str) -> None:
        """Goes over to TLS, for a server called `name`: a host name or an address. Raises CheckFailed."""
        if self._kept:
            raise CheckFailed("the server went on in the clear before TLS")
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
        """Sends what TLS has still to say, such as why it gives up, if that is possible at once."""
        try:
            self._sock.send(self._outgoing.read())
        except OSError:
            pass

    def close(self) -> None:
        """Ends the connection."""
        if self._tls is not None:
            import ssl

            try:
                self._tls.unwrap()
            except (ssl.SSLError, OSError):
                pass  # it wants to hear the other side's farewell, which nobody waits for
            self._say_goodbye()
        super().close()
