"""HTTP: the server answers a request with a wanted status and, if requested, with a text in the body."""

from __future__ import annotations

import base64
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h11

from ocfpy.checks.base import Check, CheckFailed, Stream
from ocfpy.checks.expect import StatusRange, parse_headers, parse_status, unescape
from ocfpy.checks.options import NetworkOptions, Source, TlsOptions, option, source, words
from ocfpy.checks.protocols.http1 import Response
from ocfpy.ocf.errors import HostError

if TYPE_CHECKING:
    from ocfpy.checks.settings import CheckSettings
    from ocfpy.ocf.addresses import Address


@dataclass(frozen=True)
class RequestOptions(NetworkOptions):
    """What every request has, and the statuses and the text that the answer to it has to have."""

    host: str = option()
    method: str = option()
    status: tuple[StatusRange, ...] = option(words(parse_status))
    headers: Source[list[tuple[str, str]]] = source(parse_headers)
    expect: str = option()
    user: str = option()
    secret: Source[str] = source()


@dataclass(frozen=True)
class HttpOptions(RequestOptions, TlsOptions):
    """What a server is asked for, with the body of the request."""

    path: str = option()
    request: Source[bytes] = source(unescape)

    @property
    def server_name(self) -> str:
        return self.tls_name or _without_port(self.host)


class RequestCheck(Check):
    """One request on a connection of its own; the answer is read to its end, or for the first MiB.

    Redirects are not followed: a 302 is wanted or it is a failure. With `user` the request has the credentials of the
    Basic scheme.
    """

    authorization: str
    options: RequestOptions

    def __init__(self, address: Address, port: int, settings: CheckSettings) -> None:
        super().__init__(address, port, settings)
        if not self._secret_files:
            self._message()  # an invalid request fails now, not in each check

    def _body(self) -> bytes:
        return b""

    def _question(self) -> tuple[str, str, str]:
        """Method, target and host of the request. Raises HostError."""
        raise NotImplementedError

    def _headers(self, method: str, host: str, body: bytes) -> list[tuple[str, str]]:
        usual = {"Host": host, "User-Agent": "ocf-anycast", "Accept": "*/*", "Connection": "close"}
        if body:
            usual["Content-Type"] = "application/x-www-form-urlencoded"
        if body or method == "POST":
            usual["Content-Length"] = str(len(body))
        if self.options.user:
            credentials = f"{self.options.user}:{self.value(self.options.secret)}".encode()
            usual[self.authorization] = f"Basic {base64.b64encode(credentials).decode()}"
        own = self.value(self.options.headers)
        said = {name.lower() for name, _ in own}
        return [(name, value) for name, value in usual.items() if name.lower() not in said] + own

    def _message(self) -> tuple[str, bytes]:
        """The method, and the whole request. Raises HostError when it cannot be sent."""
        body = self._body()
        method, target, host = self._question()
        http = h11.Connection(h11.CLIENT)
        try:
            request = http.send(h11.Request(method=method, target=target, headers=self._headers(method, host, body))) or b""
            if body:
                request += http.send(h11.Data(body)) or b""
            return method, request + (http.send(h11.EndOfMessage()) or b"")
        except (h11.LocalProtocolError, UnicodeEncodeError):  # their messages repeat the value, which may be secret
            raise HostError(
                "the request cannot be sent: host, path and headers must be ASCII, and Content-Length that of the body"
            ) from None

    async def attempt(self) -> None:
        with await self.open() as stream:
            self.doing = "sending the request"
            method, request = self._message()
            await stream.send(request)
            try:
                await self._judge(Response(method), stream)
            except ValueError as error:
                raise CheckFailed(str(error)) from None

    async def _judge(self, response: Response, stream: Stream) -> None:
        self.doing = "waiting for the answer"
        while not response.status:
            await _feed(response, stream)
        if not any(response.status in wanted for wanted in self.options.status):
            raise CheckFailed(f"HTTP status {response.status}, not {' or '.join(map(str, self.options.status))}")
        self.doing = "reading the body"
        while not response.done:
            await _feed(response, stream)
        if self.matches is not None and not self.matches(response.body.decode(errors="replace")):
            raise CheckFailed(f"HTTP status {response.status}, but no '{self.expect}' in the body")


class HttpCheck(RequestCheck):
    """Asks a server for `path`, with `request` as the body."""

    authorization = "Authorization"
    options_type = HttpOptions
    options: HttpOptions

    def _body(self) -> bytes:
        return self.value(self.options.request)

    def _question(self) -> tuple[str, str, str]:
        return self.options.method, self.options.path, self.options.host or self._authority()

    def _authority(self) -> str:
        host = f"[{self.host}]" if self.family == socket.AF_INET6 else self.host
        return host if self.port == self.kind.port else f"{host}:{self.port}"


async def _feed(response: Response, stream: Stream) -> None:
    data = await stream.receive()
    if data:
        response.feed(data)
    else:
        response.end()


def _without_port(host: str) -> str:
    """The host of a Host header: without its port, an IPv6 address without its brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    if host.count(":") > 1:
        return host
    return host.partition(":")[0]
