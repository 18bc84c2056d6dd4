"""The base class of all checks: one attempt at a server, ended by success, a reason, or the timeout."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import TYPE_CHECKING, Any, Callable, TypeVar, cast

from ocfpy.checks.budget import within_budget
from ocfpy.checks.errors import CheckFailed, NotMade
from ocfpy.checks.expect import matcher
from ocfpy.checks.options import NetworkOptions, Options, StartTlsOptions, TlsOptions
from ocfpy.checks.provider import HERE, Provider, connecting
from ocfpy.checks.registry import kind_of
from ocfpy.checks.result import MAX_REASON, NODE_TROUBLES, Result, not_made
from ocfpy.checks.secretfile import secret_files
from ocfpy.checks.stream import Datagrams, Stream
from ocfpy.checks.timer import TimedOut, Timer
from ocfpy.ocf.errors import HostError, OcfError, one_line

if TYPE_CHECKING:
    import ssl

    from ocfpy.checks.options import Source
    from ocfpy.checks.provider import VipPath
    from ocfpy.checks.settings import CheckSettings
    from ocfpy.ipvs.model import VirtualService
    from ocfpy.ocf.addresses import Address

T = TypeVar("T")

__all__ = ["Check", "CheckFailed", "Datagrams", "Result", "Shortcut", "Stream", "TimedOut"]

_WORDS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
    errno.EHOSTUNREACH: "host unreachable",
    errno.ENETUNREACH: "network unreachable",
    errno.ETIMEDOUT: "no answer from the network",
    errno.EADDRNOTAVAIL: "the source address (check_bind) is not on this node",
}


Shortcut = Callable[[asyncio.AbstractEventLoop, Callable[[Result], None]], None]
"""Begins an attempt, and returns; the result follows later, or at once."""


class Check:
    """One server and its check.

    Subclasses implement `attempt`; an object makes one attempt at a time. `options` are those of the subclass, of its
    `options_type`. `virtual` is the service that the server is checked for, `way` leads to the server when the address is that
    of the service. `matches` says of a text whether it has what is expected, None when nothing is. `source` is the address of
    check_bind in the server's family, or empty.
    """

    virtual: VirtualService | None = None
    way: VipPath | None = None
    provider: Provider = HERE
    options_type: type[Options] = Options
    options: Options
    _tls: ssl.SSLContext

    def __init__(self, address: Address, port: int, settings: CheckSettings) -> None:
        self.settings = settings
        self.kind = kind_of(settings.type)
        self.host = str(address)
        self.family = socket.AF_INET6 if address.family == 6 else socket.AF_INET
        self.port = port
        self.doing = ""
        self.options = self.options_type.of(settings)
        self.expect: str = getattr(self.options, "expect", "")
        self.matches = matcher(self.expect) if self.expect else None
        bind = self.options.bind if isinstance(self.options, NetworkOptions) else ()
        self.source = next((str(mine) for mine in bind if mine.family == address.family), "")
        self.starttls = isinstance(self.options, StartTlsOptions) and self.options.starttls
        self.speaks_tls = self.kind.tls or self.starttls
        self._secret_files = secret_files(settings)
        self._file_texts: dict[str, str] = {}
        self._values: dict[str, tuple[str, Any]] = {}
        self._tls_files: list[str] = []
        if self.speaks_tls:
            assert isinstance(self.options, TlsOptions)
            self._tls_files = list(filter(None, self.options.files))
            if not self._tls_files:
                from ocfpy.checks.tls import context_for

                self._tls = context_for(self.options)

    async def attempt(self) -> int | None:
        """Return if the server is fine: None, or the percentage of its weight that it asks for.

        Raises CheckFailed or OSError; sets `doing` to what it waits for. All waiting goes through `self.timer`, or through what
        `open` and `open_datagrams` return, so that the timeout can end it.
        """
        raise NotImplementedError

    def shortcut(self) -> Shortcut | None:
        """Return the equivalent of `run` without a task, if the check is a single wait; None for all other checks."""
        return None

    async def run(self) -> Result:
        """Make one attempt, never longer than the timeout; never raises."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        reason, lack, weight = "", "", None
        self.timer = Timer(loop, self.settings.timeout)
        try:
            await self._read_files()
            weight = await within_budget(self.attempt())
        except CheckFailed as failed:
            reason = str(failed)
        except NotMade as why:
            lack = str(why)
        except TimedOut:
            reason = self.timed_out()
        except OcfError as error:
            reason = error.reason
        except OSError as error:
            lack = self.lack(error)
            reason = self.in_words(error)
        except MemoryError:
            lack = "out of memory"
        except Exception as error:  # an unexpected answer must not end the checks
            reason = f"{type(error).__name__}: {error}{self._where()}"
        finally:
            self.timer.stop()
        seconds = loop.time() - begun
        if lack:
            return not_made(lack, seconds)
        return Result(not reason, reason and readable(reason), seconds, None if reason else weight)

    def timed_out(self) -> str:
        """The reason of a check that timed out."""
        return f"timed out after {self.settings.timeout:g} s{self._where()}{self._hint()}"

    def lack(self, error: OSError) -> str:
        """What this node lacks, if the error is about this node and not the server; otherwise empty."""
        if error.errno == errno.EADDRNOTAVAIL and self.source:
            return ""
        return NODE_TROUBLES.get(error.errno or 0, "")

    def in_words(self, error: OSError) -> str:
        """The reason of a check that ended with an error."""
        return (_WORDS.get(error.errno or 0) or f"{error.strerror or error}{self._where()}") + self._hint()

    async def _read_files(self) -> None:
        """Read again what may have changed since the last attempt. Raises HostError."""
        for name, path in self._secret_files.items():
            self.doing = f"reading the secret in {path}"
            self._file_texts[name] = await self.provider.secret(path, self.timer)
        if self._tls_files and isinstance(self.options, TlsOptions):
            self.doing = f"reading {' and '.join(self._tls_files)}"
            self._tls = await self.provider.tls(self.options, self.timer)
        self.doing = ""

    def _where(self) -> str:
        return f", {self.doing}" if self.doing else ""

    def _hint(self) -> str:
        return f" (through {self.host}: {self.way.hint()})" if self.way is not None else ""

    async def open(self) -> Stream:
        """Return a connection to the server, for use in a `with`; over TLS if the type is."""
        stream = Stream(await self.connect(socket.SOCK_STREAM), self.timer)
        if self.kind.tls:
            try:
                await self.start_tls(stream)
            except BaseException:
                stream.close()
                raise
        return stream

    async def open_datagrams(self) -> Datagrams:
        """Return a datagram socket that is connected to the server, for use in a `with`."""
        return Datagrams(await self.connect(socket.SOCK_DGRAM), self.timer)

    async def start_tls(self, stream: Stream) -> None:
        """Switch to TLS on a connection, as after STARTTLS."""
        self.doing = "in the TLS handshake"
        assert isinstance(self.options, TlsOptions)
        name = self.options.server_name or self.host
        await stream.start_tls(self._tls, name)

    async def connect(self, kind: int, proto: int = 0, port: int | None = None) -> socket.socket:
        """Return a socket connected to the server, on another port than its own if one is given; the caller closes it."""
        self.doing = "connecting"
        port = self.port if port is None else port
        sock, error = await self.provider.connected(self, kind, proto, port)
        try:
            if error == errno.EINPROGRESS:
                fine = await self.timer.writable(sock)
                error = 0 if fine else sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, os.strerror(error))
        except BaseException:
            sock.close()
            raise
        return sock

    def connecting(self, kind: int) -> tuple[socket.socket, int]:
        """Return a socket without privilege, and the errno of its connect. Raises OSError."""
        self.doing = "connecting"
        return connecting(self, kind, 0, self.port)

    def value(self, source: Source[T]) -> T:
        """What an option stands for that may be in a file, which is read before each attempt.

        It is parsed again only when its text has changed. Raises HostError for a text that it cannot be made of.
        """
        text = self._file_texts.get(source.name, source.text)
        known = self._values.get(source.name)
        if known is None or known[0] != text:
            try:
                known = self._values[source.name] = text, source.parse(text)
            except ValueError as error:
                path = self._secret_files.get(source.name)
                raise HostError(f"check_{source.name}{f', in {path}' if path else ''}: {error}") from None
        return cast(T, known[1])


def readable(reason: str) -> str:
    """Return a reason as one printable line: parts of it may be the server's own words, which end up in logs and on terminals."""
    line = one_line(reason)
    return (line if len(line) <= MAX_REASON else f"{line[:MAX_REASON]}...") or "a failure without words"
