"""TCP: the server takes a connection and, if asked for, says first what it should."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocfpy.health.checks.base import Check, CheckFailed
from ocfpy.health.expect import matcher

if TYPE_CHECKING:
    from ocfpy.health.spec import CheckSettings
    from ocfpy.ocf.addresses import Address

MAX_GREETING = 65536
"""Bytes of a greeting in which the expected text has to be."""


class TcpCheck(Check):
    """Connects; with `expect` it also reads what the server says by itself, such as the banner of SMTP."""

    def __init__(self, address: Address, port: int, settings: CheckSettings) -> None:
        super().__init__(address, port, settings)
        self.expect = settings["expect"]
        self.matches = matcher(self.expect) if self.expect else None

    async def attempt(self) -> None:
        with await self.open() as stream:
            if self.matches is None:
                return
            self.doing = f"waiting for {self.expect!r}"
            greeting = b""
            while len(greeting) < MAX_GREETING:
                more = await stream.receive()
                if not more:
                    raise CheckFailed(f"connection closed without {self.expect!r}")
                greeting += more
                if self.matches(greeting.decode(errors="replace")):
                    return
            raise CheckFailed(f"no {self.expect!r} in the first {MAX_GREETING} bytes")
