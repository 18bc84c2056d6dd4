"""IMAP: the server greets, says what it can and, if there is a user, takes a login."""

from __future__ import annotations

from ocfpy.checks.base import CheckFailed, Stream
from ocfpy.checks.dialogue import MAX_LINES, MailDialogue, refused


class ImapCheck(MailDialogue):
    """Greeting, CAPABILITY, STARTTLS and a login where they are asked for, LOGOUT."""

    async def greeting(self, stream: Stream) -> None:
        line = await stream.line()
        if not line.upper().startswith((b"* OK", b"* PREAUTH")):
            raise refused("greeting" if line.startswith(b"* ") else "not an IMAP greeting", line)

    async def go_over_to_tls(self, stream: Stream) -> None:
        if "STARTTLS" not in await self._capabilities(stream):
            raise CheckFailed("the server does not offer STARTTLS")
        await self._ask(stream, "a2", "STARTTLS", "STARTTLS")

    async def converse(self, stream: Stream) -> None:
        can = await self._capabilities(stream)
        if not can & {"IMAP4REV1", "IMAP4REV2"}:
            raise CheckFailed("the server does not say that it speaks IMAP4rev1 or IMAP4rev2")
        if self.options.user:
            await self._log_in(stream, can)
        await self._ask(stream, "a4", "LOGOUT", "LOGOUT")

    async def _capabilities(self, stream: Stream) -> set[str]:
        lines = await self._ask(stream, "a1", "CAPABILITY", "CAPABILITY")
        words = [line.decode(errors="replace").upper().split() for line in lines]
        return {word for line in words if line[:2] == ["*", "CAPABILITY"] for word in line[2:]}

    async def _log_in(self, stream: Stream, can: set[str]) -> None:
        user = self.options.user
        if "AUTH=PLAIN" in can and "SASL-IR" in can:
            command = f"AUTHENTICATE PLAIN {self.plain()}"
        elif "LOGINDISABLED" in can:
            raise CheckFailed("the server takes no login" + ("" if self.speaks_tls else " without TLS"))
        else:
            command = f"LOGIN {_quoted(user)} {_quoted(self.value(self.options.secret))}"
        await self._ask(stream, "a3", command, f"login as {user}")

    async def _ask(self, stream: Stream, tag: str, command: str, what: str) -> list[bytes]:
        """The untagged lines of an answer, which has to be OK."""
        await self.say(stream, f"{tag} {command}", what)
        lines: list[bytes] = []
        for _ in range(MAX_LINES):
            line = await stream.line()
            first, _, rest = line.partition(b" ")
            if first == tag.encode():
                if not rest.upper().startswith(b"OK"):
                    raise refused(what, rest)
                return lines
            if first == b"+":
                raise refused(what, line)
            lines.append(line)
        raise CheckFailed(f"{what}: more than {MAX_LINES} lines")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
