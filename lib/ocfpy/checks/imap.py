"""IMAP: the server sends its greeting and capabilities and, if there is a user, accepts a login."""

from __future__ import annotations

from ocfpy.checks.base import CheckFailed, Stream
from ocfpy.checks.dialogue import MAX_LINES, MailDialogue, refused
from ocfpy.checks.protocols.imap import capabilities_in, is_greeting, parse_response, quoted


class ImapCheck(MailDialogue):
    """Greeting, CAPABILITY, STARTTLS and a login where they are asked for, LOGOUT."""

    async def greeting(self, stream: Stream) -> None:
        line = await stream.line()
        if not is_greeting(line):
            raise refused("greeting" if line.startswith(b"* ") else "not an IMAP greeting", line)

    async def go_over_to_tls(self, stream: Stream) -> None:
        if "STARTTLS" not in await self._capabilities(stream):
            raise CheckFailed("the server does not offer STARTTLS")
        await self._ask(stream, "a2", "STARTTLS", "STARTTLS")

    async def converse(self, stream: Stream) -> None:
        can = await self._capabilities(stream)
        if not can & {"IMAP4REV1", "IMAP4REV2"}:
            raise CheckFailed("the server offers neither IMAP4rev1 nor IMAP4rev2")
        if self.options.user:
            await self._log_in(stream, can)
        await self._ask(stream, "a4", "LOGOUT", "LOGOUT")

    async def _capabilities(self, stream: Stream) -> set[str]:
        return capabilities_in(await self._ask(stream, "a1", "CAPABILITY", "CAPABILITY"))

    async def _log_in(self, stream: Stream, can: set[str]) -> None:
        user = self.options.user
        if "AUTH=PLAIN" in can and "SASL-IR" in can:
            command = f"AUTHENTICATE PLAIN {self.plain()}"
        elif "LOGINDISABLED" in can:
            raise CheckFailed("the server accepts no login" + ("" if self.speaks_tls else " without TLS"))
        else:
            command = f"LOGIN {quoted(user)} {quoted(self.value(self.options.secret))}"
        await self._ask(stream, "a3", command, f"login as {user}")

    async def _ask(self, stream: Stream, tag: str, command: str, what: str) -> list[bytes]:
        """Return the untagged lines of an answer, which has to be OK."""
        await self.say(stream, f"{tag} {command}", what)
        lines: list[bytes] = []
        for _ in range(MAX_LINES):
            line = await stream.line()
            response = parse_response(line)
            if response.tag == tag.encode():
                if not response.is_ok:
                    raise refused(what, response.text)
                return lines
            if response.tag == b"+":
                raise refused(what, line)
            lines.append(line)
        raise CheckFailed(f"{what}: more than {MAX_LINES} lines")
