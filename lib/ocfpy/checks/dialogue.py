"""The common part of the mail servers' checks: sending and reading lines."""

from __future__ import annotations

from base64 import b64encode

from ocfpy.checks.base import Check, CheckFailed, Stream
from ocfpy.checks.options import LoginOptions
from ocfpy.checks.words import said

MAX_LINES = 200
"""Most lines of one answer; no server needs more for these questions."""


class Dialogue(Check):
    """A check that exchanges lines, from the server's greeting on."""

    async def attempt(self) -> None:
        with await self.open() as stream:
            self.doing = "waiting for the greeting"
            await self.greeting(stream)
            if self.starttls:
                await self.go_over_to_tls(stream)
                await self.start_tls(stream)
            await self.converse(stream)

    async def greeting(self, stream: Stream) -> None:
        """Read the server's greeting. Raises CheckFailed."""
        raise NotImplementedError

    async def go_over_to_tls(self, stream: Stream) -> None:
        """Return when the server waits for the TLS handshake. Raises CheckFailed."""
        raise NotImplementedError

    async def converse(self, stream: Stream) -> None:
        """Run the rest, to the end. Raises CheckFailed."""
        raise NotImplementedError

    async def say(self, stream: Stream, command: str, doing: str) -> None:
        """Send a line; `doing` describes it, without any secret."""
        self.doing = f"waiting for the answer to {doing}"
        await stream.send(command.encode() + b"\r\n")


class MailDialogue(Dialogue):
    """One with a server of mail, which may take a login."""

    options_type = LoginOptions
    options: LoginOptions

    def plain(self) -> str:
        """User and password as SASL's PLAIN has them (RFC 4616)."""
        return b64encode(f"\0{self.options.user}\0{self.value(self.options.secret)}".encode()).decode()


def refused(what: str, line: bytes) -> CheckFailed:
    """Make a CheckFailed from an unexpected reply line."""
    return CheckFailed(f"{what}: {said(line) or 'an empty line'}")
