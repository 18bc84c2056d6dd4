"""POP3: the server sends its greeting and capabilities and, if there is a user, accepts a login."""

from __future__ import annotations

from ocfpy.checks.base import CheckFailed, Stream
from ocfpy.checks.dialogue import MAX_LINES, MailDialogue, refused
from ocfpy.checks.protocols.pop3 import END, capability_in, is_positive


class Pop3Check(MailDialogue):
    """Greeting, CAPA, STLS and a login where they are asked for, QUIT."""

    async def greeting(self, stream: Stream) -> None:
        await _ok(stream, "greeting")

    async def go_over_to_tls(self, stream: Stream) -> None:
        if b"STLS" not in await self._capabilities(stream):
            raise CheckFailed("the server does not offer STLS")
        await self.say(stream, "STLS", "STLS")
        await _ok(stream, "STLS")

    async def converse(self, stream: Stream) -> None:
        await self._capabilities(stream)
        user = self.options.user
        if user:
            await self.say(stream, f"USER {user}", "USER")
            await _ok(stream, f"login as {user}")
            await self.say(stream, f"PASS {self.value(self.options.secret)}", "PASS")
            await _ok(stream, f"login as {user}")
        await self.say(stream, "QUIT", "QUIT")
        await _ok(stream, "QUIT")

    async def _capabilities(self, stream: Stream) -> set[bytes]:
        """Return the server's capabilities (RFC 2449); none if it does not know the command."""
        await self.say(stream, "CAPA", "CAPA")
        if not is_positive(await stream.line()):
            return set()
        can: set[bytes] = set()
        for _ in range(MAX_LINES):
            line = await stream.line()
            if line == END:
                return can
            can.add(capability_in(line))
        raise CheckFailed(f"CAPA: more than {MAX_LINES} lines")


async def _ok(stream: Stream, what: str) -> None:
    line = await stream.line()
    if not is_positive(line):
        raise refused(what, line)
