"""TCP: the server takes a connection and, if asked for, answers what it should."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocfpy.health.checks.base import Check, CheckFailed
from ocfpy.health.expect import matcher, unescape

if TYPE_CHECKING:
    from ocfpy.health.spec import CheckSettings
    from ocfpy.ocf.addresses import Address

MAX_ANSWER = 65536
"""Bytes of an answer in which the expected text has to be."""


class TcpCheck(Check):
    """Connects and sends `request`, if there is one; with `expect` it reads what the server says, until it is there."""

    def __init__(self, address: Address, port: int, settings: CheckSettings) -> None:
        super().__init__(address, port, settings)
        self.request = unescape(settings["request"])
        self.expect = settings["expect"]
        self.matches = matcher(self.expect) if self.expect else None

    async def attempt(self) -> None:
        with await self.open() as stream:
            if self.request:
                self.doing = "sending the request"
                await stream.send(self.request)
            if self.matches is None:
                return
            self.doing = f"waiting for '{self.expect}'"
            answer = b""
            while len(answer) < MAX_ANSWER:
                more = await stream.receive()
                if not more:
                    raise CheckFailed(f"connection closed without '{self.expect}'")
                answer += more
                if self.matches(answer.decode(errors="replace")):
                    return
            raise CheckFailed(f"no '{self.expect}' in the first {MAX_ANSWER} bytes")
