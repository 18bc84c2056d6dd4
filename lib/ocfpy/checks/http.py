"""HTTP: the server answers a request with a wanted status and, if requested, with a text in the body."""

from __future__ import annotations

import base64
import socket
from typing import TYPE_CHECKING

import h11

from ocfpy.checks.base import Check, CheckFailed, Stream
from ocfpy.checks.expect import parse_headers, parse_status, unescape
from ocfpy.checks.protocols.http1 import Response
from ocfpy.ocf.errors import HostError

if TYPE_CHECKING:
    from ocfpy.checks.settings import CheckSettings
    from ocfpy.ocf.addresses import Address


class HttpCheck(Check):
    """One request on its own connection; the answer is read to its end, or for the first MiB.

    Redirects are not followed: a 302 is wanted or it is a failure. With `user` the request has Basic
    credentials, with `request` a body.
    """

    authorization = "Authorization"

    def __init__(self, address: Address, port: int, settings: CheckSettings) -> None:
        super().__init__(address, port, settings)
        self.wanted = tuple(map(parse_status, settings["status"].split()))
        if not self._secret_files:
            self._message()  # an invalid request fails now, not in each check

    def _body(self) -> bytes:
        return self.parsed("request", unescape)

    def _question(self) -> tuple[str, str, str]:
        """Method, target and host of the request."""
        return self.settings["method"], self.settings["path"], self.settings["host"] or self._authority()

    def _authority(self) -> str:
        host = f"[{self.host}]" if self.family == socket.AF_INET6 else self.host
        return host if self.port == self.kind.port else f"{host}:{self.port}"

    def _headers(self, method: str, host: str, body: bytes) -> list[tuple[str, str]]:
        usual = {"Host": host, "User-Agent": "ocf-anycast", "Accept": "*/*", "Connection": "close"}
        if body:
            usual["Content-Type"] = "application/x-www-form-urlencoded"
        if body or method == "POST":
            usual["Content-Length"] = str(len(body))
        if self.settings["user"]:
            credentials = f"{self.settings['user']}:{self.secret()}".encode()
            usual[self.authorization] = f"Basic {base64.b64encode(credentials).decode()}"
        own = self.parsed("headers", parse_headers)
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
        if not any(response.status in wanted for wanted in self.wanted):
            raise CheckFailed(f"HTTP status {response.status}, not {' or '.join(map(str, self.wanted))}")
        self.doing = "reading the body"
        while not response.done:
            await _feed(response, stream)
        if self.matches is not None and not self.matches(response.body.decode(errors="replace")):
            raise CheckFailed(f"HTTP status {response.status}, but no '{self.expect}' in the body")


async def _feed(response: Response, stream: Stream) -> None:
    data = await stream.receive()
    if data:
        response.feed(data)
    else:
        response.end()
