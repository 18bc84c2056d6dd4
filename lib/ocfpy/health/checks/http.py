"""HTTP: the server answers a request with a wanted status and, if asked for, with a text in the body."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import h11

from ocfpy.health.checks.base import Check, CheckFailed, Stream
from ocfpy.health.expect import matcher, parse_status

if TYPE_CHECKING:
    from ocfpy.health.spec import CheckSettings
    from ocfpy.ocf.addresses import Address

MAX_BODY = 1 << 20
"""Bytes of a body in which the expected text has to be."""


class HttpCheck(Check):
    """One request on a connection of its own.

    Redirects are not followed: a 302 is wanted or it is a failure.
    """

    def __init__(self, address: Address, port: int, settings: CheckSettings) -> None:
        super().__init__(address, port, settings)
        self.expect = settings["expect"]
        self.matches = matcher(self.expect) if self.expect else None
        self.wanted = tuple(map(parse_status, settings["status"].split()))
        self.request = h11.Request(
            method=settings["method"],
            target=settings["path"],
            headers=[
                ("Host", settings["host"] or self._authority()),
                ("User-Agent", "ocf-anycast"),
                ("Accept", "*/*"),
                ("Connection", "close"),
            ],
        )

    def _authority(self) -> str:
        host = f"[{self.host}]" if self.family == socket.AF_INET6 else self.host
        return host if self.port == self.kind.port else f"{host}:{self.port}"

    async def attempt(self) -> None:
        with await self.open() as stream:
            self.doing = "sending the request"
            http = h11.Connection(h11.CLIENT)
            request = (http.send(self.request) or b"") + (http.send(h11.EndOfMessage()) or b"")
            await stream.send(request)
            try:
                await self._judge(http, stream)
            except h11.RemoteProtocolError as error:
                raise CheckFailed(f"not an HTTP answer: {error}") from None

    async def _judge(self, http: h11.Connection, stream: Stream) -> None:
        self.doing = "waiting for the answer"
        status = (await self._next(http, stream, h11.Response)).status_code
        if not any(status in wanted for wanted in self.wanted):
            raise CheckFailed(f"HTTP status {status}, not {' or '.join(map(str, self.wanted))}")
        if self.matches is None:
            return
        self.doing = "reading the body"
        body = b""
        while len(body) < MAX_BODY:
            event = await self._next(http, stream, h11.Data, h11.EndOfMessage)
            if isinstance(event, h11.EndOfMessage):
                break
            body += event.data
        if not self.matches(body.decode(errors="replace")):
            raise CheckFailed(f"HTTP status {status}, but no {self.expect!r} in the body")

    async def _next(self, http: h11.Connection, stream: Stream, *kinds: Any) -> Any:
        while True:
            event = http.next_event()
            if isinstance(event, kinds):
                return event
            if event is h11.NEED_DATA:
                data = await stream.receive()
                if not data and http.their_state is h11.SEND_RESPONSE and not http.trailing_data[0]:
                    raise CheckFailed("connection closed before an answer")
                http.receive_data(data)
