"""The protocol of MySQL and MariaDB, the client's side: a login with either authentication method, and a query."""

from __future__ import annotations

import hashlib
import struct
from typing import NamedTuple, Union

from ocfpy.checks.errors import ProtocolError
from ocfpy.checks.protocols.connection import Connection, Send
from ocfpy.checks.words import said
from ocfpy.ocf.values import Record

PROTOCOL = 10
ERROR, OK, MORE, SWITCH, END = 0xFF, 0x00, 0x01, 0xFE, 0xFE
QUERY_COMMAND, QUIT_COMMAND = b"\x03", b"\x01"
MAX_PACKET = 1 << 16
MAX_PACKETS = 1000
"""Limits of what is read: bytes of a packet, number of packets."""
ANNOUNCED_PACKET = 1 << 24
"""The packet size that the server may use, in bytes."""
HEAD = 4
"""Bytes before each packet: its size, and its number in the exchange."""
SHA2_KNOWN, SHA2_IN_FULL = b"\x03", b"\x04"
"""The server knows this password already, or wants it in full, over TLS."""
NOTHING_MORE = 9
"""An end packet has fewer bytes than this; a row that begins like one is longer."""
UTF8MB4 = 45
NATIVE, SHA2, SHA256 = "mysql_native_password", "caching_sha2_password", "sha256_password"
# Capabilities, as in the manual's "Capabilities Flags".
CONNECT_WITH_DB, PROTOCOL_41, TLS, SECURE, PLUGIN_AUTH = 1 << 3, 1 << 9, 1 << 11, 1 << 15, 1 << 19


class Greeting(Record):
    """The server's greeting: `salt` is hashed with the password, `plugin` is the authentication method."""

    __slots__ = ("version", "capabilities", "salt", "plugin")  # noqa: RUF023 the order of the arguments

    def __init__(self, version: str, capabilities: int, salt: bytes, plugin: str) -> None:
        self.version = version
        self.capabilities = capabilities
        self.salt = salt
        self.plugin = plugin

    @property
    def offers_tls(self) -> bool:
        """Whether the server offers TLS."""
        return bool(self.capabilities & TLS)


class LoggedIn(NamedTuple):
    """The server has accepted the login, and waits for a query."""


class Row(NamedTuple):
    """A row of the answer to a query, undecoded."""

    packet: bytes

    def text(self) -> str:
        """Return its values, with | between them. Raises ProtocolError."""
        try:
            return row(self.packet)
        except ValueError as error:
            raise _malformed(error) from None


class Done(NamedTuple):
    """The answer to a query is complete."""


class ServerError(NamedTuple):
    """The server refuses the request."""

    text: str


Event = Union[Greeting, LoggedIn, Row, Done, ServerError]


class MysqlConnection(Connection[Event]):
    """A greeting, then a login, then a query: in this order, as far as the caller goes.

    A server that wants the password in full gets it only with `over_tls`.
    """

    def __init__(self, user: str, password: str, database: str, over_tls: bool) -> None:
        super().__init__()
        self._user = user
        self._password = password
        self._database = database
        self._over_tls = over_tls
        self._plugin, self._salt = NATIVE, b""
        self._next = 0
        self._received = 0
        self._descriptions = 0
        self._step = self._greet

    def request_tls(self) -> bytes:
        """Return the request for TLS, in answer to a greeting that offers it."""
        return self._packet(tls_request(self._database))

    def log_in(self) -> bytes:
        """Return the request to log in, in answer to the greeting."""
        if self._plugin not in (NATIVE, SHA2):
            self._plugin = NATIVE  # the server answers with the user's own plugin
        self._step = self._judge_login
        answer = self._answer()
        return self._packet(login(self._user, answer, self._plugin, self._database, self._over_tls))

    def query(self, text: bytes) -> bytes:
        """Return a query; its rows are the next events."""
        self._step = self._begin_rows
        return self._command(QUERY_COMMAND + text)

    def quit(self) -> bytes:
        """Return the end of the session, which the server does not answer."""
        return self._command(QUIT_COMMAND)

    def next_event(self) -> Event | Send | None:
        """Return the event of the next packets. Raises ProtocolError."""
        try:
            while (packet := self._take_packet()) is not None:
                event = ServerError(error_of(packet)) if packet[0] == ERROR else self._step(packet)
                if event is not None:
                    return event
            return None
        except ValueError as error:
            raise _malformed(error) from None

    def _command(self, packet: bytes) -> bytes:
        self._next = 0  # each command begins its own exchange
        return self._packet(packet)

    def _packet(self, packet: bytes) -> bytes:
        head = len(packet).to_bytes(3, "little") + bytes((self._next % 256,))
        self._next += 1
        return head + packet

    def _take_packet(self) -> bytes | None:
        """Return the next packet, never an empty one; None until it has arrived. Raises ValueError."""
        head = self._incoming.peek(HEAD)
        if head is None:
            return None
        size = int.from_bytes(head[:3], "little")
        if self._received >= MAX_PACKETS:
            raise ValueError(f"more than {MAX_PACKETS} packets")
        if not 0 < size <= MAX_PACKET:
            raise ValueError(f"a packet of {size} bytes")
        packet = self._incoming.take(HEAD + size)
        if packet is None:
            return None
        self._received += 1
        self._next = head[3] + 1
        return packet[HEAD:]

    def _greet(self, packet: bytes) -> Event | Send | None:
        greeting = parse_greeting(packet)
        self._plugin, self._salt = greeting.plugin, greeting.salt
        return greeting

    def _judge_login(self, packet: bytes) -> Event | Send | None:
        kind, rest = packet[0], packet[1:]
        if kind == OK:
            return LoggedIn()
        if kind == SWITCH:
            name, _, salt = rest.partition(b"\0")
            self._plugin, self._salt = name.decode("ascii", "replace"), salt.rstrip(b"\0")
            return Send(self._packet(self._answer()))
        if kind == MORE and self._plugin == SHA2 and rest == SHA2_IN_FULL:
            return Send(self._packet(self._in_full("it is wrong, or new to the server, which wants")))
        if kind == MORE and rest == SHA2_KNOWN:
            return None
        raise ValueError("an unknown answer to the login")

    def _answer(self) -> bytes:
        if self._plugin == SHA256:  # MySQL also answers so for some users that do not exist
            return self._in_full("the server wants")
        try:
            return answer_to(self._plugin, self._password, self._salt)
        except ValueError as error:
            raise ProtocolError(str(error)) from None

    def _in_full(self, why: str) -> bytes:
        """Return the password itself. Raises ProtocolError, with `why` the server wants it, without TLS."""
        if self._password and not self._over_tls:
            raise ProtocolError(f"the password is not sent without TLS: {why} all of it (check_starttls)")
        return self._password.encode() + b"\0"

    def _begin_rows(self, packet: bytes) -> Event | Send | None:
        if packet[0] == OK:
            return Done()
        columns, _ = number(packet, 0)
        self._descriptions = (columns or 0) + 1  # their end is a packet, too
        self._step = self._describe
        return None

    def _describe(self, packet: bytes) -> Event | Send | None:
        self._descriptions -= 1
        if not self._descriptions:
            self._step = self._read_row
        return None

    def _read_row(self, packet: bytes) -> Event | Send | None:
        return Done() if packet[0] == END and len(packet) < NOTHING_MORE else Row(packet)


def parse_greeting(packet: bytes) -> Greeting:
    """Parse HandshakeV10. Raises ValueError."""
    if not packet or packet[0] != PROTOCOL:
        raise ValueError("the first packet is not a greeting of version 10")
    version, end, rest = packet[1:].partition(b"\0")
    if not end or len(rest) < 15:
        raise ValueError("the greeting is too short")
    # Thread, first part of the salt, filler, lower capabilities; then, in all servers of this century, the rest.
    salt, capabilities = rest[4:12], int.from_bytes(rest[13:15], "little")
    plugin = NATIVE
    if len(rest) >= 31:
        capabilities |= int.from_bytes(rest[18:20], "little") << 16
        length = max(13, rest[20] - 8)
        salt += rest[31 : 31 + length].rstrip(b"\0")
        if capabilities & PLUGIN_AUTH:
            plugin = rest[31 + length :].partition(b"\0")[0].decode("ascii", "replace")
    return Greeting(said(version), capabilities, salt, plugin)


def tls_request(database: str) -> bytes:
    """Return the beginning of a login, which requests TLS."""
    return _head(_wanted(database) | TLS)


def login(user: str, answer: bytes, plugin: str, database: str, over_tls: bool) -> bytes:
    """Return a HandshakeResponse41."""
    flags = _wanted(database) | (TLS if over_tls else 0)
    text = user.encode() + b"\0" + bytes((len(answer),)) + answer
    if database:
        text += database.encode() + b"\0"
    return _head(flags) + text + plugin.encode() + b"\0"


def _wanted(database: str) -> int:
    return PROTOCOL_41 | SECURE | PLUGIN_AUTH | (CONNECT_WITH_DB if database else 0)


def _head(flags: int) -> bytes:
    return struct.pack("<IIB23x", flags, ANNOUNCED_PACKET, UTF8MB4)


def answer_to(plugin: str, password: str, salt: bytes) -> bytes:
    """Return the proof of the password, without the password. Raises ValueError for another authentication method."""
    if plugin not in (NATIVE, SHA2):
        raise ValueError(f"the server requires the authentication plugin {said(plugin)}, which is not supported")
    if not password:
        return b""
    secret = password.encode()
    if plugin == NATIVE:  # sha1(p) xor sha1(salt + sha1(sha1(p)))
        once = hashlib.sha1(secret, usedforsecurity=False).digest()
        twice = hashlib.sha1(once, usedforsecurity=False).digest()
        mask = hashlib.sha1(salt[:20] + twice, usedforsecurity=False).digest()
    else:  # sha256(p) xor sha256(sha256(sha256(p)) + salt)
        once = hashlib.sha256(secret).digest()
        mask = hashlib.sha256(hashlib.sha256(hashlib.sha256(secret).digest()).digest() + salt[:20]).digest()
    return bytes(left ^ right for left, right in zip(once, mask))


def error_of(packet: bytes) -> str:
    """Return the code and text of an error packet."""
    code = int.from_bytes(packet[1:3], "little")
    text = packet[3:]
    return f"error {code}: {said(text[6:] if text.startswith(b'#') else text)}"


def number(data: bytes, at: int) -> tuple[int | None, int]:
    """Return a length-encoded number (None: NULL) and where it ends. Raises ValueError."""
    first = data[at] if at < len(data) else 0xFF
    if first < 0xFB:
        return first, at + 1
    if first == 0xFB:
        return None, at + 1
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first, 0)
    if not size or at + 1 + size > len(data):
        raise ValueError("a number is longer than its packet")
    return int.from_bytes(data[at + 1 : at + 1 + size], "little"), at + 1 + size


def row(packet: bytes) -> str:
    """Return the values of a row, with | between them. Raises ValueError."""
    values = []
    at = 0
    while at < len(packet):
        size, at = number(packet, at)
        if at + (size or 0) > len(packet):
            raise ValueError("a row is longer than its packet")
        values.append(packet[at : at + (size or 0)].decode(errors="replace"))
        at += size or 0
    return "|".join(values)


def _malformed(error: ValueError) -> ProtocolError:
    return ProtocolError(f"not a MySQL answer: {error}")
