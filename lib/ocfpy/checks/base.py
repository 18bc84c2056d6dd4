"""What every check does: one attempt at a server, ended by success, a reason in words, or the timeout."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import TYPE_CHECKING, Callable, TypeVar

from ocfpy.checks.budget import within_budget
from ocfpy.checks.errors import CheckFailed, NotMade
from ocfpy.checks.expect import matcher
from ocfpy.checks.provider import HERE, Provider, connecting
from ocfpy.checks.registry import SECRETS, kind_of
from ocfpy.checks.result import MAX_REASON, NODE_TROUBLES, Result, not_made
from ocfpy.checks.secretfile import secret_files
from ocfpy.checks.stream import Datagrams, Stream
from ocfpy.checks.timer import TimedOut, Timer
from ocfpy.ocf.addresses import parse_address
from ocfpy.ocf.errors import HostError, OcfError, one_line

if TYPE_CHECKING:
    import ssl

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
    errno.EADDRNOTAVAIL: "the address to check from is not on this node",
}


Shortcut = Callable[[asyncio.AbstractEventLoop, Callable[[Result], None]], None]
"""Begins an attempt, and returns; the result is told later on, or at once."""


class Check:
    """One server and how it is tried.

    Subclasses implement `attempt`; an object makes one attempt at a time. `virtual` is the service that the server is
    checked for, `way` leads to the server when the address is that of the service. `matches` says of a text whether it has
    what is expected, None when nothing is. `source` is the address of check_bind in the server's family, or empty.
    """

    virtual: VirtualService | None = None
    way: VipPath | None = None
    provider: Provider = HERE
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
        self.source = next(
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
        except Exception as error:  # an answer that nobody thought of must not end the checks
            reason = f"{type(error).__name__}: {error}{self._where()}"
        finally:
            self.timer.stop()
        seconds = loop.time() - begun
        if lack:
            return not_made(lack, seconds)
        return Result(not reason, reason and readable(reason), seconds, None if reason else weight)

    def timed_out(self) -> str:
        """The reason of a check that took too long."""
        return f"timed out after {self.settings.timeout:g} s{self._where()}{self._hint()}"

    def lack(self, error: OSError) -> str:
        """What this node lacks, where the error is its own and says nothing about the server; empty where it does."""
        if error.errno == errno.EADDRNOTAVAIL and self.source:
            return ""
        return NODE_TROUBLES.get(error.errno or 0, "")

    def in_words(self, error: OSError) -> str:
        """The reason of one that ended with an error."""
        return (_WORDS.get(error.errno or 0) or f"{error.strerror or error}{self._where()}") + self._hint()

    async def _read_files(self) -> None:
        """What may have changed since the last attempt. Raises HostError."""
        for name, path in self._secret_files.items():
            self.doing = f"reading the secret in {path}"
            self._secrets[name] = await self.provider.secret(path, self.timer)
        if self._tls_files:
            self.doing = f"reading {' and '.join(self._tls_files)}"
            self._tls = await self.provider.tls(self.settings, self.timer)
        self.doing = ""

    def _where(self) -> str:
        return f", {self.doing}" if self.doing else ""

    def _hint(self) -> str:
        return f" (through {self.host}: {self.way.hint()})" if self.way is not None else ""

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
        """A socket without privilege, and the error that its connect has come to. Raises OSError."""
        self.doing = "connecting"
        return connecting(self, kind, 0, self.port)

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
