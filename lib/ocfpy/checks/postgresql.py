"""PostgreSQL: the server accepts connections or, if there is a user, accepts a login and answers a query.

The protocol is implemented here, because no library takes a connected socket, and without that the checks would lose their
source address, their mark and their timeout.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

from ocfpy.checks.base import Check, CheckFailed, Stream
from ocfpy.checks.expect import unescape
from ocfpy.checks.protocols.scram import MECHANISM, Scram
from ocfpy.checks.words import said

if TYPE_CHECKING:
    from ocfpy.checks.settings import CheckSettings
    from ocfpy.ocf.addresses import Address

VERSION = 3 << 16
SSL_REQUEST = struct.pack("!II", 8, 80877103)
QUERY = "SELECT 1"
NOBODY = "postgres"
"""The user name in the request when there is no user to log in as, like pg_isready."""
MAX_MESSAGE = 1 << 16
MAX_MESSAGES = 1000
"""Limits of what a check reads: bytes of a message, number of messages."""

# The authentication codes, in the manual's "Message Formats".
OK, CLEARTEXT, MD5, SASL, SASL_CONTINUE, SASL_FINAL = 0, 3, 5, 10, 11, 12
# The errors of a server that accepts no connections: shutting down or starting, and too many connections.
_CLOSED = ("57P01", "57P02", "57P03", "53300")


class PostgresqlCheck(Check):
    """Logs in as `user` and sends the query `request`; with `expect` one of the rows has to contain it."""

    def __init__(self, address: Address, port: int, settings: CheckSettings) -> None:
        super().__init__(address, port, settings)
        self._keys: dict[tuple[str, bytes, int], bytes] = {}

    async def attempt(self) -> None:
        user = self.settings["user"]
        with await self.open() as stream:
            if self.settings.flag("starttls"):
                self.doing = "waiting for the answer to the request for TLS"
                await stream.send(SSL_REQUEST)
                if await stream.exactly(1) != b"S":
                    raise CheckFailed("the server does not offer TLS")
                await self.start_tls(stream)
            connection = Connection(stream)
            self.doing = "waiting for the answer to the start of a session"
            await connection.start(user or NOBODY, self.settings["database"] or user or NOBODY)
            if not user:
                await _is_open(connection)
                return
            self.doing = f"logging in as {user}"
            await self._log_in(connection, user)
            self.doing = "waiting for the answer to the query"
            await self._ask(connection)
            await connection.send(b"X", b"")

    async def _log_in(self, connection: Connection, user: str) -> None:
        while True:
            kind, content = await connection.receive(f"login as {user}")
            if kind == b"Z":
                return
            if kind != b"R":
                continue  # parameters and notices
            method, data = int.from_bytes(content[:4], "big"), content[4:]
            if method == CLEARTEXT:
                if self.secret() and not self.settings.speaks_tls:
                    raise CheckFailed("the password is not sent without TLS: the server wants it in the clear (check_starttls)")
                await connection.send(b"p", self.secret().encode() + b"\0")
            elif method == MD5:
                await connection.send(b"p", _md5_answer(user, self.secret(), data[:4]))
            elif method == SASL:
                await self._prove(connection, data.split(b"\0"))
            elif method != OK:
                raise CheckFailed(f"the server requires an authentication method that is not supported ({method})")

    async def _prove(self, connection: Connection, mechanisms: list[bytes]) -> None:
        name = MECHANISM.encode()
        if name not in mechanisms:
            raise CheckFailed(f"the server does not offer {MECHANISM}")
        scram = Scram(self.secret(), self._keys)
        first = scram.first()
        await connection.send(b"p", name + b"\0" + struct.pack("!I", len(first)) + first)
        try:
            await connection.send(b"p", scram.final(await self._sasl(connection, SASL_CONTINUE)))
            scram.verify(await self._sasl(connection, SASL_FINAL))
        except ValueError as error:
            raise CheckFailed(f"{MECHANISM}: {error}") from None

    async def _sasl(self, connection: Connection, method: int) -> bytes:
        kind, content = await connection.receive(f"login as {self.settings['user']}")
        if kind != b"R" or int.from_bytes(content[:4], "big") != method:
            raise CheckFailed("not a PostgreSQL answer")
        return content[4:]

    async def _ask(self, connection: Connection) -> None:
        await connection.send(b"Q", (self.parsed("request", unescape) or QUERY.encode()) + b"\0")
        found = self.matches is None
        while True:
            kind, content = await connection.receive("query")
            if kind == b"D" and self.matches is not None:
                found = found or self.matches(row(content))
            elif kind == b"Z":
                break
        if not found:
            raise CheckFailed(f"no '{self.expect}' in the answer to the query")


async def _is_open(connection: Connection) -> None:
    """Accept any reply but 'not accepting connections', like pg_isready."""
    kind, content = await connection.receive()
    if kind == b"E" and error_of(content)[0] in _CLOSED:
        raise CheckFailed(error_of(content)[1])
    if kind not in (b"E", b"R"):
        raise CheckFailed("not a PostgreSQL answer")


class Connection:
    """Messages over a stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._received = 0

    async def start(self, user: str, database: str) -> None:
        """Send the first message of a session."""
        words = ("user", user, "database", database, "application_name", "ocf-anycast", "")
        text = b"".join(word.encode() + b"\0" for word in words)
        await self._stream.send(struct.pack("!II", 8 + len(text), VERSION) + text)

    async def send(self, kind: bytes, content: bytes) -> None:
        """Send any other message."""
        await self._stream.send(kind + struct.pack("!I", 4 + len(content)) + content)

    async def receive(self, what: str = "") -> tuple[bytes, bytes]:
        """Return kind and content of the next message. With `what`, an error is a failure of that: raises CheckFailed."""
        self._received += 1
        head = await self._stream.exactly(5)
        kind, size = head[:1], int.from_bytes(head[1:], "big") - 4
        if not kind.isalpha() or not 0 <= size <= MAX_MESSAGE:
            raise CheckFailed(f"not a PostgreSQL answer: {said(head)}")
        if self._received > MAX_MESSAGES:
            raise CheckFailed(f"more than {MAX_MESSAGES} messages")
        content = await self._stream.exactly(size)
        if kind == b"E" and what:
            raise CheckFailed(f"{what}: {error_of(content)[1]}")
        return kind, content


def error_of(content: bytes) -> tuple[str, str]:
    """Return SQLSTATE and text of an ErrorResponse."""
    fields = {part[:1]: part[1:] for part in content.split(b"\0") if part}
    return fields.get(b"C", b"").decode(errors="replace"), said(fields.get(b"M", b"")) or "an error without a message"


def row(content: bytes) -> str:
    """Return the values of a DataRow, with | between them. Raises CheckFailed."""
    values = []
    at = 2
    for _ in range(int.from_bytes(content[:2], "big")):
        size = int.from_bytes(content[at : at + 4], "big", signed=True)
        at += 4
        if at + max(size, 0) > len(content) or size < -1:
            raise CheckFailed("not a PostgreSQL answer: a row is longer than its message")
        values.append(content[at : at + max(size, 0)].decode(errors="replace"))
        at += max(size, 0)
    return "|".join(values)


def _md5_answer(user: str, password: str, salt: bytes) -> bytes:
    inner = hashlib.md5((password + user).encode(), usedforsecurity=False).hexdigest()
    return b"md5" + hashlib.md5(inner.encode() + salt, usedforsecurity=False).hexdigest().encode() + b"\0"
