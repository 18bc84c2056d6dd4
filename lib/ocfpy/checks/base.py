"""What every check does: one attempt at a server, ended by success, a reason in words, or the timeout."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from functools import partial
from typing import TYPE_CHECKING, Callable, NamedTuple, TypeVar

from ocfpy.checks.budget import within_budget
from ocfpy.checks.errors import CheckFailed
from ocfpy.checks.expect import matcher
from ocfpy.checks.files import read
from ocfpy.checks.registry import SECRETS, TLS, kind_of
from ocfpy.checks.secretfile import read_secret, secret_files
from ocfpy.checks.stream import Datagrams, Stream
from ocfpy.checks.timer import TimedOut, Timer
from ocfpy.ocf.addresses import parse_address
from ocfpy.ocf.errors import HostError, OcfError, one_line

if TYPE_CHECKING:
    import ssl

    from ocfpy.checks.settings import CheckSettings
    from ocfpy.healthd.vip_probe import VipPath
    from ocfpy.ipvs.model import VirtualService
    from ocfpy.ocf.addresses import Address

T = TypeVar("T")

__all__ = ["Check", "CheckFailed", "Datagrams", "Result", "Shortcut", "Stream", "TimedOut"]

IP_BIND_ADDRESS_NO_PORT = 24
"""linux/in.h: the port is chosen at connect, so that those of one source address do not run out."""
MAX_REASON = 300
"""Characters of a reason that are kept."""

_WORDS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
    errno.EHOSTUNREACH: "host unreachable",
    errno.ENETUNREACH: "network unreachable",
    errno.ETIMEDOUT: "no answer from the network",
    errno.EADDRNOTAVAIL: "the address to check from is not on this node",
}


class Result(NamedTuple):
    """How a check ended; `reason` is empty when it is `ok`. `seconds` is how long it took.

    `weight` is the percentage of its configured weight that the server asks for, None when it asks for nothing.
    """

    ok: bool
    reason: str
    seconds: float
    weight: int | None = None


Shortcut = Callable[[asyncio.AbstractEventLoop, Callable[[Result], None]], None]
"""Begins an attempt, and returns; the result is told later on, or at once."""


class Check:
    """One server and how it is tried.

    Subclasses implement `attempt`; an object makes one attempt at a time. `virtual` is the service that the server is
    checked for, `way` leads to the server when the address is that of the service. `matches` says of a text whether it has
    what is expected, None when nothing is.
    """

    virtual: VirtualService | None = None
    way: VipPath | None = None
    _tls: ssl.SSLContext

    def __init__(self, address: Address, port: int, settings: CheckSettings) -> None:
        self.settings = settings
        self.kind = kind_of(settings.type)
        self.host = str(address)
        self.family = socket.AF_INET6 if address.family == 6 else socket.AF_INET
        self.port = port
        self.doing = ""
        self.expect = settings["expect"]
        self.matches = matcher(self.expect) if self.expect else None
        self._source = next(
            (word for word in settings["bind"].split() if parse_address(word).family == address.family), ""
        )
        self._secrets = {name: settings[name] for name in SECRETS}
        self._secret_files = secret_files(settings)
        self._tls_files = settings.tls_files()
        if settings.speaks_tls and not self._tls_files:
            from ocfpy.checks.tls import context_for

            self._tls = context_for(settings)

    async def attempt(self) -> int | None:
        """Returns when the server is fine; None, or the percentage of its weight that it asks for.

        Raises CheckFailed or OSError; sets `doing` to what it waits for. Whatever takes time is done with what `open`
        and `open_datagrams` return, or waits for `self.timer`: that is what the timeout ends.
        """
        raise NotImplementedError

    def shortcut(self) -> Shortcut | None:
        """What does the same as `run` without a task, where one wait is all that there is to do; None for all other checks."""
        return None

    async def run(self) -> Result:
        """One attempt, never longer than the timeout, never an exception of its own."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        reason, weight = "", None
        self.timer = Timer(loop, self.settings.timeout)
        try:
            await self._read_files()
            weight = await within_budget(self.attempt())
        except CheckFailed as failed:
            reason = str(failed)
        except TimedOut:
            reason = self.timed_out()
        except OcfError as error:
            reason = error.reason
        except OSError as error:
            reason = self.in_words(error)
        except Exception as error:  # an answer that nobody thought of must not end the checks
            reason = f"{type(error).__name__}: {error}{self._where()}"
        finally:
            self.timer.stop()
        if not reason:
            return Result(True, "", loop.time() - begun, weight)
        return Result(False, readable(reason), loop.time() - begun)

    def timed_out(self) -> str:
        """The reason of a check that took too long."""
        return f"timed out after {self.settings.timeout:g} s{self._where()}{self._hint()}"

    def in_words(self, error: OSError) -> str:
        """The reason of one that ended with an error."""
        return (_WORDS.get(error.errno or 0) or f"{error.strerror or error}{self._where()}") + self._hint()

    async def _read_files(self) -> None:
        """What may have changed since the last attempt. Raises HostError."""
        for name, path in self._secret_files.items():
            self.doing = f"reading the secret in {path}"
            self._secrets[name] = await read(path, partial(read_secret, path), self.timer)
        if self._tls_files:
            from ocfpy.checks.tls import context_for

            self.doing = f"reading {' and '.join(self._tls_files)}"
            what = tuple(map(self.settings.__getitem__, TLS))  # the same files may be put to another use
            self._tls = await read(what, partial(context_for, self.settings), self.timer)
        self.doing = ""

    def _where(self) -> str:
        return f", {self.doing}" if self.doing else ""

    def _hint(self) -> str:
        return f" (by way of {self.host}: {self.way.hint()})" if self.way is not None else ""

    async def open(self) -> Stream:
        """A connection to the server, to be used in a `with`; over TLS where the type says so."""
        stream = Stream(await self.connect(socket.SOCK_STREAM), self.timer)
        if self.kind.tls:
            try:
                await self.start_tls(stream)
            except BaseException:
                stream.close()
                raise
        return stream

    async def open_datagrams(self) -> Datagrams:
        """A datagram socket that is connected to the server, to be used in a `with`."""
        return Datagrams(await self.connect(socket.SOCK_DGRAM), self.timer)

    async def start_tls(self, stream: Stream) -> None:
        """Goes over to TLS on a connection, as after STARTTLS."""
        self.doing = "in the TLS handshake"
        name = self.settings["tls_name"] or _without_port(self.settings["host"]) or self.host
        await stream.start_tls(self._tls, name)

    async def connect(self, kind: int, proto: int = 0, port: int | None = None) -> socket.socket:
        """A socket connected to the server, on another port than its own if one is given; the caller closes it."""
        sock, error = self.connecting(kind, proto, port)
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

    def connecting(self, kind: int, proto: int = 0, port: int | None = None) -> tuple[socket.socket, int]:
        """A socket, and the error that its connect has come to. Raises OSError."""
        self.doing = "connecting"
        sock = socket.socket(self.family, kind | socket.SOCK_NONBLOCK, proto)
        try:
            source = self._source
            if self.way is not None:
                self.way.open()
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, self.way.mark)
                source = source or self.way.source()
            if source:
                sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
                sock.bind((source, 0))
            return sock, sock.connect_ex((self.host, self.port if port is None else port))
        except BaseException:
            sock.close()
            raise

    def secret(self, option: str = "secret") -> str:
        """What check_secret, or another option that may be in a file, stands for: itself, or the first line of the file.

        The file is read before each attempt, so that a changed password is known at once.
        """
        return self._secrets.get(option, self.settings[option])

    def parsed(self, option: str, parse: Callable[[str], T]) -> T:
        """What `parse` makes of an option that may be in a file. Raises HostError for a file that it cannot be made of."""
        try:
            return parse(self.secret(option))
        except ValueError as error:
            path = self._secret_files.get(option)
            raise HostError(f"check_{option}{f', in {path}' if path else ''}: {error}") from None


def readable(reason: str) -> str:
    """Parts of a reason may be the server's own words, which end up in logs and on terminals."""
    line = one_line(reason)
    return (line if len(line) <= MAX_REASON else f"{line[:MAX_REASON]}...") or "a failure without words"


def _without_port(host: str) -> str:
    """The host of a Host header: without its port, an IPv6 address without its brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    if host.count(":") > 1:
        return host
    return host.partition(":")[0]
