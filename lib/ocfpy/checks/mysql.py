"""MySQL and MariaDB: the server sends its greeting or, if there is a user, accepts a login and answers a query.

The protocol is implemented here, because the packaged libraries block, continue in the clear when a server does not offer
the required TLS, and send the password to any server that asks for it in the clear.
"""

from __future__ import annotations

from ocfpy.checks.base import Check, CheckFailed, Stream
from ocfpy.checks.expect import unescape
from ocfpy.checks.protocols.mysql import (
    END,
    ERROR,
    MORE,
    NATIVE,
    OK,
    SHA2,
    SHA256,
    SWITCH,
    TLS,
    Greeting,
    answer_to,
    error_of,
    login,
    number,
    parse_greeting,
    row,
    tls_request,
)

QUERY_COMMAND, QUIT_COMMAND = b"\x03", b"\x01"
QUERY = "SELECT 1"
MAX_PACKET = 1 << 16
MAX_PACKETS = 1000
"""Limits of what a check reads: bytes of a packet, number of packets."""
SHA2_KNOWN, SHA2_IN_FULL = b"\x03", b"\x04"
"""The server knows this password already, or wants it in full, over TLS."""
NOTHING_MORE = 9
"""An end packet has fewer bytes than this; a row that begins like one is longer."""


class MysqlCheck(Check):
    """Logs in as `user` and sends the query `request`; with `expect` one of the rows has to contain it."""

    async def attempt(self) -> None:
        with await self.open() as stream:
            connection = Connection(stream)
            try:
                await self._converse(stream, connection)
            except ValueError as error:
                raise CheckFailed(f"not a MySQL answer: {error}") from None

    async def _converse(self, stream: Stream, connection: Connection) -> None:
        self.doing = "waiting for the greeting"
        packet = await connection.receive("greeting")
        greeting = parse_greeting(packet)
        database = self.settings["database"]
        if self.settings.flag("starttls"):
            if not greeting.capabilities & TLS:
                raise CheckFailed("the server does not offer TLS")
            await connection.send(tls_request(database))
            await self.start_tls(stream)
        user = self.settings["user"]
        if not user:
            return
        self.doing = f"logging in as {user}"
        await self._log_in(connection, greeting, user, database)
        self.doing = "waiting for the answer to the query"
        await self._ask(connection)
        await connection.send(QUIT_COMMAND, first=True)

    async def _log_in(self, connection: Connection, greeting: Greeting, user: str, database: str) -> None:
        plugin, salt = greeting.plugin, greeting.salt
        if plugin not in (NATIVE, SHA2):
            plugin = NATIVE  # the server answers with the user's own plugin
        answer = self._answer(plugin, salt)
        await connection.send(login(user, answer, plugin, database, self.settings.speaks_tls))
        while True:
            packet = await connection.receive(f"login as {user}")
            kind, rest = packet[0], packet[1:]
            if kind == OK:
                return
            if kind == SWITCH:
                name, _, salt = rest.partition(b"\0")
                plugin = name.decode("ascii", "replace")
                await connection.send(self._answer(plugin, salt.rstrip(b"\0")))
            elif kind == MORE and plugin == SHA2 and rest == SHA2_IN_FULL:
                await connection.send(self._in_full("it is wrong, or new to the server, which wants"))
            elif kind != MORE or rest != SHA2_KNOWN:
                raise ValueError("an unknown answer to the login")

    def _in_full(self, why: str) -> bytes:
        """Return the password itself. Raises CheckFailed, with `why` the server wants it, without TLS."""
        secret = self.secret()
        if secret and not self.settings.speaks_tls:
            raise CheckFailed(f"the password is not sent without TLS: {why} all of it (check_starttls)")
        return secret.encode() + b"\0"

    def _answer(self, plugin: str, salt: bytes) -> bytes:
        if plugin == SHA256:  # MySQL also answers so for some users that do not exist
            return self._in_full("the server wants")
        try:
            return answer_to(plugin, self.secret(), salt)
        except ValueError as error:
            raise CheckFailed(str(error)) from None

    async def _ask(self, connection: Connection) -> None:
        await connection.send(QUERY_COMMAND + (self.parsed("request", unescape) or QUERY.encode()), first=True)
        packet = await connection.receive("query")
        found = self.matches is None
        if packet[0] != OK:
            columns, _ = number(packet, 0)
            for _ in range((columns or 0) + 1):  # the columns' descriptions, and the end packet
                await connection.receive("query")
            while True:
                packet = await connection.receive("query")
                if packet[0] == END and len(packet) < NOTHING_MORE:
                    break
                found = found or (self.matches is not None and self.matches(row(packet)))
        if not found:
            raise CheckFailed(f"no '{self.expect}' in the answer to the query")


class Connection:
    """Packets over a stream, numbered within each conversation."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._next = 0
        self._received = 0

    async def send(self, packet: bytes, first: bool = False) -> None:
        """Send one packet; the first of a command begins a new conversation."""
        if first:
            self._next = 0
        await self._stream.send(len(packet).to_bytes(3, "little") + bytes((self._next % 256,)) + packet)
        self._next += 1

    async def receive(self, what: str) -> bytes:
        """Return the next packet, never an empty one. Raises ValueError, and CheckFailed for an error packet during `what`."""
        self._received += 1
        head = await self._stream.exactly(4)
        size = int.from_bytes(head[:3], "little")
        if not 0 < size <= MAX_PACKET or self._received > MAX_PACKETS:
            raise ValueError(f"a packet of {size} bytes" if self._received <= MAX_PACKETS else f"more than {MAX_PACKETS} packets")
        packet = await self._stream.exactly(size)
        self._next = head[3] + 1
        if packet[0] == ERROR:
            raise CheckFailed(f"{what}: {error_of(packet)}")
        return packet
