"""The packets of the MySQL protocol that a check needs, and its two ways to prove a password."""

from __future__ import annotations

import hashlib
import struct

from ocfpy.checks.words import said
from ocfpy.ocf.values import Record

PROTOCOL = 10
ERROR, OK, MORE, SWITCH, END = 0xFF, 0x00, 0x01, 0xFE, 0xFE
MAX_PACKET = 1 << 24
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
    return struct.pack("<IIB23x", flags, MAX_PACKET, UTF8MB4)


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
