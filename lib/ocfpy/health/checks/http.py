"""HTTP: the server answers a request with a wanted status and, if asked for, with a text in the body."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import h11

from ocfpy.health.checks.base import RECEIVE_SIZE, Check, CheckFailed
from ocfpy.health.expect import matcher

if TYPE_CHECKING:
    from ocfpy.health.spec import CheckSettings
    from ocfpy.ocf.addresses import Address

MAX_BODY = 1 << 20
"""Bytes of a body in which the expected text has to be."""
HTTP_PORT = 80


class HttpCheck(Check):
    """One request on a connection of its own.

    Redirects are not followed: a 302 is wanted or it is a failure.
    """

    def __init__(self, address: Address, port: int, settings: CheckSettings) -> None:
        super().__init__(address, port, settings)
        self.matches = matcher(settings.expect) if settings.expect else None
        self.wanted = " or ".join(str(wanted) for wanted in settings.status)
        self.request = h11.Request(
            method=settings.method,
            target=settings.path,
            headers=[
                ("Host", settings.host or self._authority()),
                ("User-Agent", "ocf-anycast"),
                ("Accept", "*/*"),
                ("Connection", "close"),
            ],
        )

    def _authority(self) -> str:
        host = f"[{self.host}]" if self.family == socket.AF_INET6 else self.host
        return host if self.port == HTTP_PORT else f"{host}:{self.port}"

    async def attempt(self) -> None:
        with await self.connect(socket.SOCK_STREAM) as sock:
            self.doing = "sending the request"
            http = h11.Connection(h11.CLIENT)
            request = (http.send(self.request) or b"") + (http.send(h11.EndOfMessage()) or b"")
            await asyncio.get_running_loop().sock_sendall(sock, request)
            try:
                await self._judge(http, sock)
            except h11.RemoteProtocolError as error:
                raise CheckFailed(f"not an HTTP answer: {error}") from None

    async def _judge(self, http: h11.Connection, sock: socket.socket) -> None:
        self.doing = "waiting for the answer"
        status = (await self._next(http, sock, h11.Response)).status_code
        if not any(status in wanted for wanted in self.settings.status):
            raise CheckFailed(f"HTTP status {status}, not {self.wanted}")
        if self.matches is None:
            return
        self.doing = "reading the body"
        body = b""
        while len(body) < MAX_BODY:
            event = await self._next(http, sock, h11.Data, h11.EndOfMessage)
            if isinstance(event, h11.EndOfMessage):
                break
            body += event.data
        if not self.matches(body.decode(errors="replace")):
            raise CheckFailed(f"HTTP status {status}, but no {self.settings.expect!r} in the body")

    async def _next(self, http: h11.Connection, sock: socket.socket, *kinds: Any) -> Any:
        while True:
            event = http.next_event()
            if isinstance(event, kinds):
                return event
            if event is h11.NEED_DATA:
                data = await asyncio.get_running_loop().sock_recv(sock, RECEIVE_SIZE)
                if not data and http.their_state is h11.SEND_RESPONSE and not http.trailing_data[0]:
                    raise CheckFailed("connection closed before an answer")
                http.receive_data(data)
