"""FTP: the server accepts a login and, if there is a path, sends that file."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from ocfpy.checks.base import CheckFailed, Stream
from ocfpy.checks.dialogue import MAX_LINES, Dialogue, refused
from ocfpy.checks.options import NetworkOptions, Source, option, source
from ocfpy.checks.protocols.ftp import extended_passive_port, is_last, passive_port
from ocfpy.ipvs.model import MAX_PORT

MAX_FILE = 1 << 20
"""Bytes of the file that are searched for the expected text."""
ANONYMOUS = "anonymous"
EVERYTHING = "/"
GO_ON, LOGGED_IN, COMING = "331", "230", "1"


@dataclass(frozen=True)
class FtpOptions(NetworkOptions):
    """Who logs in, the file that is fetched, and the text that it has to have."""

    user: str = option()
    secret: Source[str] = source()
    path: str = option()
    expect: str = option()


class FtpCheck(Dialogue):
    """Logs in and, with another path than /, fetches that file in binary mode; with `expect` it has to contain that.

    The data connection is passive, always to the checked address.
    """

    options_type = FtpOptions
    options: FtpOptions

    async def greeting(self, stream: Stream) -> None:
        await _reply(stream, "greeting", "220")

    async def converse(self, stream: Stream) -> None:
        user = self.options.user or ANONYMOUS
        await self.say(stream, f"USER {user}", "USER")
        if (await _reply(stream, f"login as {user}", LOGGED_IN, GO_ON)).startswith(GO_ON.encode()):
            await self.say(stream, f"PASS {self.value(self.options.secret) or user}", "PASS")
            await _reply(stream, f"login as {user}", "2")
        if self.options.path != EVERYTHING:
            await self._fetch(stream)
        await self.say(stream, "QUIT", "QUIT")

    async def _fetch(self, stream: Stream) -> None:
        path = self.options.path
        await self.say(stream, "TYPE I", "TYPE")
        await _reply(stream, "TYPE I", "200")
        sock = await self.connect(socket.SOCK_STREAM, port=await self._passive(stream))
        with Stream(sock, self.timer) as transfer:
            await self.say(stream, f"RETR {path}", "RETR")
            await _reply(stream, f"RETR {path}", COMING)
            self.doing = f"reading {path}"
            content = b""
            while len(content) < MAX_FILE and (more := await transfer.receive()):
                content += more
        if self.matches is not None and not self.matches(content.decode(errors="replace")):
            raise CheckFailed(f"no '{self.expect}' in {path}")


    async def _passive(self, stream: Stream) -> int:
        """Return the port at which the server waits for the data connection."""
        if self.family == socket.AF_INET6:  # RFC 2428
            await self.say(stream, "EPSV", "EPSV")
            line = await _reply(stream, "EPSV", "229")
            port = extended_passive_port(line)
        else:
            await self.say(stream, "PASV", "PASV")
            line = await _reply(stream, "PASV", "227")
            port = passive_port(line)
        if not 0 < port <= MAX_PORT:
            raise refused("no port for the data", line)
        return port


async def _reply(stream: Stream, what: str, *codes: str) -> bytes:
    """The last line of a reply, which has to begin with one of these."""
    for _ in range(MAX_LINES):
        line = await stream.line()
        if is_last(line):
            if not line.startswith(tuple(code.encode() for code in codes)):
                raise refused(what, line)
            return line
    raise CheckFailed(f"{what}: more than {MAX_LINES} lines")
