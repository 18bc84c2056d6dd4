"""RADIUS: the server accepts a user or, without one, answers Status-Server; every answer proves the shared secret."""

from __future__ import annotations

import hashlib
import hmac
import os
import struct

from ocfpy.checks.base import Check, CheckFailed
from ocfpy.checks.words import said
from ocfpy.ocf.errors import HostError

# RFC 2865, 3 and 5; RFC 2869, 5.14; RFC 5997.
ACCESS_REQUEST, ACCEPT, REJECT, ACCOUNTING_RESPONSE, CHALLENGE, STATUS_SERVER = 1, 2, 3, 5, 11, 12
USER_NAME, USER_PASSWORD, REPLY_MESSAGE, NAS_IDENTIFIER, MESSAGE_AUTHENTICATOR = 1, 2, 18, 32, 80
HEAD = 20
DIGEST = 16
MAX_PACKET = 4096
MAX_PASSWORD = 128
OURSELVES = b"ocf-anycast"

Attributes = list[tuple[int, bytes]]


class RadiusCheck(Check):
    """Sends Access-Request for `user` with its `password`, or Status-Server without a user; `secret` is the shared secret."""

    async def attempt(self) -> None:
        user = self.settings["user"]
        shared = self.secret().encode()
        if not shared:
            raise HostError("check_secret is empty: set the secret that this node shares with the RADIUS servers")
        number, authenticator = os.urandom(1)[0], os.urandom(DIGEST)
        attributes: Attributes = [(NAS_IDENTIFIER, OURSELVES)]
        if user:
            password = hide(self.secret("password").encode(), shared, authenticator)
            attributes += [(USER_NAME, user.encode()), (USER_PASSWORD, password)]
        request = pack(ACCESS_REQUEST if user else STATUS_SERVER, number, authenticator, attributes, shared)
        with await self.open_datagrams() as server:
            self.doing = "waiting for the answer"
            server.send(request)
            while True:
                answer = await server.receive()
                if len(answer) < HEAD or int.from_bytes(answer[2:4], "big") > len(answer):
                    raise CheckFailed(f"not a RADIUS answer: {len(answer)} bytes")
                if answer[1] == number:  # another number: the answer is late, or not from the server
                    if is_genuine(answer, authenticator, shared):
                        break
                    self.doing = "waiting for an answer that proves the shared secret (check_secret)"
        judge(answer, user)


def hide(password: bytes, shared: bytes, authenticator: bytes) -> bytes:
    """Encode a password as User-Password, RFC 2865, 5.2. Raises CheckFailed when it is too long for that."""
    if len(password) > MAX_PASSWORD:
        raise CheckFailed(f"the password has more than {MAX_PASSWORD} bytes")
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


def judge(packet: bytes, user: str) -> None:
    """Raise CheckFailed unless a genuine answer reports success."""
    code = packet[0]
    if code == ACCEPT or (code == ACCOUNTING_RESPONSE and not user):
        return
    text = b" ".join(value for kind, value in unpack(packet[: int.from_bytes(packet[2:4], "big")]) if kind == REPLY_MESSAGE)
    more = f": {said(text)}" if text else ""
    words = {REJECT: "is rejected", CHALLENGE: "is challenged for more than a password"}
    raise CheckFailed(f"user {user} {words.get(code, f'is answered with code {code}')}{more}" if user else
                      f"Status-Server is answered with code {code}{more}")  # fmt: skip


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()
