"""RADIUS (RFC 2865), the client's side: a signed request, and answers that prove the shared secret."""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from typing import NamedTuple, Union

from ocfpy.checks.errors import ProtocolError

# RFC 2865, 3 and 5; RFC 2869, 5.14; RFC 5997.
ACCESS_REQUEST, ACCEPT, REJECT, ACCOUNTING_RESPONSE, CHALLENGE, STATUS_SERVER = 1, 2, 3, 5, 11, 12
USER_NAME, USER_PASSWORD, REPLY_MESSAGE, NAS_IDENTIFIER, MESSAGE_AUTHENTICATOR = 1, 2, 18, 32, 80
HEAD = 20
DIGEST = 16
MAX_PACKET = 4096
MAX_PASSWORD = 128
OURSELVES = b"ocf-anycast"

Attributes = list[tuple[int, bytes]]


class Answer(NamedTuple):
    """A genuine answer to the request: its code, and the server's message for the user."""

    code: int
    text: bytes


class Forged(NamedTuple):
    """An answer that does not prove the shared secret."""


Event = Union[Answer, Forged]


class RadiusExchange:
    """One request, and the datagrams that follow it; `shared` is the secret by which the server proves its answer."""

    def __init__(self, shared: bytes) -> None:
        self._shared = shared
        self._number, self._authenticator = os.urandom(1)[0], os.urandom(DIGEST)

    def request(self, user: str, password: str) -> bytes:
        """Return Access-Request, or Status-Server without a user. Raises ProtocolError for a password that is too long."""
        attributes: Attributes = [(NAS_IDENTIFIER, OURSELVES)]
        if user:
            hidden = hide(password.encode(), self._shared, self._authenticator)
            attributes += [(USER_NAME, user.encode()), (USER_PASSWORD, hidden)]
        return pack(ACCESS_REQUEST if user else STATUS_SERVER, self._number, self._authenticator, attributes, self._shared)

    def receive_datagram(self, packet: bytes) -> Event | None:
        """Decode a datagram; None for one that is late, or not from the server. Raises ProtocolError."""
        if len(packet) < HEAD or int.from_bytes(packet[2:4], "big") > len(packet):
            raise ProtocolError(f"not a RADIUS answer: {len(packet)} bytes")
        if packet[1] != self._number:
            return None
        return answer_of(packet) if is_genuine(packet, self._authenticator, self._shared) else Forged()


def hide(password: bytes, shared: bytes, authenticator: bytes) -> bytes:
    """Encode a password as User-Password, RFC 2865, 5.2. Raises ProtocolError when it is too long for that."""
    if len(password) > MAX_PASSWORD:
        raise ProtocolError(f"the password has more than {MAX_PASSWORD} bytes")
    padded = password.ljust(max(1, -(-len(password) // DIGEST)) * DIGEST, b"\0")
    hidden = b""
    last = authenticator
    for at in range(0, len(padded), DIGEST):
        mask = _md5(shared + last)
        last = bytes(left ^ right for left, right in zip(padded[at : at + DIGEST], mask))
        hidden += last
    return hidden


def pack(code: int, number: int, authenticator: bytes, attributes: Attributes, shared: bytes) -> bytes:
    """Sign a request. Its Message-Authenticator comes first, so that nothing can be put before it (CVE-2024-3596)."""
    signed = [(MESSAGE_AUTHENTICATOR, bytes(DIGEST)), *attributes]
    body = b"".join(bytes((kind, len(value) + 2)) + value for kind, value in signed)
    packet = struct.pack("!BBH", code, number, HEAD + len(body)) + authenticator + body
    signature = hmac.new(shared, packet, hashlib.md5).digest()
    return packet[: HEAD + 2] + signature + packet[HEAD + 2 + DIGEST :]


def is_genuine(packet: bytes, authenticator: bytes, shared: bytes) -> bool:
    """Return whether an answer to the request with that authenticator is complete and signed with the shared secret."""
    size = int.from_bytes(packet[2:4], "big")
    if not HEAD <= size <= min(len(packet), MAX_PACKET):
        return False
    packet = packet[:size]
    asked = packet[:4] + authenticator + packet[HEAD:]
    if not hmac.compare_digest(packet[4:HEAD], _md5(asked + shared)):
        return False
    try:
        found = unpack(packet)
    except ValueError:
        return False
    at = HEAD
    for kind, value in found:
        if kind == MESSAGE_AUTHENTICATOR:
            unsigned = asked[: at + 2] + bytes(len(value)) + asked[at + 2 + len(value) :]
            if not hmac.compare_digest(value, hmac.new(shared, unsigned, hashlib.md5).digest()):
                return False
        at += 2 + len(value)
    return True


def unpack(packet: bytes) -> Attributes:
    """Return the attributes of a complete packet. Raises ValueError."""
    found = []
    at = HEAD
    while at < len(packet):
        size = packet[at + 1] if at + 1 < len(packet) else 0
        if size < 2 or at + size > len(packet):
            raise ValueError("an attribute is longer than the packet")
        found.append((packet[at], packet[at + 2 : at + size]))
        at += size
    return found


def answer_of(packet: bytes) -> Answer:
    """Decode a genuine answer."""
    attributes = unpack(packet[: int.from_bytes(packet[2:4], "big")])
    return Answer(packet[0], b" ".join(value for kind, value in attributes if kind == REPLY_MESSAGE))


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()
