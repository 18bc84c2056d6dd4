"""SMTP: the server sends its greeting and extensions and, if there is a user, accepts a login; no mail is sent."""

from __future__ import annotations

from base64 import b64encode

from ocfpy.checks.base import CheckFailed, Stream
from ocfpy.checks.dialogue import MAX_LINES, MailDialogue, refused
from ocfpy.checks.protocols.smtp import BYE, FINE, GO_ON, LOGGED_IN, READY, hello, offers_in, parse_reply_line


class SmtpCheck(MailDialogue):
    """Greeting, EHLO, STARTTLS and AUTH where they are asked for, QUIT."""

    async def greeting(self, stream: Stream) -> None:
        await _expect(stream, READY, "greeting")

    async def go_over_to_tls(self, stream: Stream) -> None:
        if "STARTTLS" not in await self._hello(stream):
            raise CheckFailed("the server does not offer STARTTLS")
        await self.say(stream, "STARTTLS", "STARTTLS")
        await _expect(stream, READY, "STARTTLS")

    async def converse(self, stream: Stream) -> None:
        offers = await self._hello(stream)
        if self.options.user:
            await self._log_in(stream, offers)
        await self.say(stream, "QUIT", "QUIT")
        await _expect(stream, BYE, "QUIT")

    async def _hello(self, stream: Stream) -> dict[str, list[str]]:
        """What the server offers, each with its parameters."""
        host, _ = stream.local()
        await self.say(stream, hello(host), "EHLO")
        return offers_in(await _expect(stream, FINE, "EHLO"))

    async def _log_in(self, stream: Stream, offers: dict[str, list[str]]) -> None:
        ways = offers.get("AUTH", [])
        if "PLAIN" in ways:
            await self.say(stream, f"AUTH PLAIN {self.plain()}", "AUTH")
        elif "LOGIN" in ways:
            await self.say(stream, "AUTH LOGIN", "AUTH")
            for text in (self.options.user, self.value(self.options.secret)):
                await _expect(stream, GO_ON, "AUTH")
                await self.say(stream, b64encode(text.encode()).decode(), "AUTH")
        else:
            raise CheckFailed("the server offers no AUTH PLAIN or LOGIN" + ("" if self.speaks_tls else " without TLS"))
        await _expect(stream, LOGGED_IN, f"login as {self.options.user}")


async def _expect(stream: Stream, code: int, what: str) -> list[str]:
    """The texts of a reply, which has to have this code."""
    texts = []
    for _ in range(MAX_LINES):
        line = await stream.line()
        reply = parse_reply_line(line)
        if reply.code != code:
            raise refused(what, line)
        texts.append(reply.text)
        if reply.last:
            return texts
    raise CheckFailed(f"{what}: more than {MAX_LINES} lines")
