"""LDAP: the server accepts a bind, and finds the entries of a search."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ocfpy.checks.base import Check, CheckFailed, Stream
from ocfpy.checks.protocols import ber
from ocfpy.checks.protocols.ldap_search import NO_ATTRIBUTES, parse_search
from ocfpy.checks.words import said

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_MESSAGE = 1 << 20
"""Longest message in bytes; a longer entry is not suitable for a check."""
MAX_ENTRIES = 100
"""The size limit sent with a search."""
MAX_ANSWERS = 1000
"""Most entries and references that are read, from a server that ignores the size limit."""
MAX_ATTRIBUTE_NAME = 1000
"""Longest name of an attribute with its options, in bytes; it is put before each of its values."""
VERSION = 3

# RFC 4511, 4.1.1: the tags of the protocol operations.
BIND, BIND_ANSWER, UNBIND, SEARCH, ENTRY, DONE, REFERENCE = 0x60, 0x61, 0x42, 0x63, 0x64, 0x65, 0x73
EXTENDED, EXTENDED_ANSWER = 0x77, 0x78
START_TLS = b"1.3.6.1.4.1.1466.20037"
SUCCESS, SIZE_LIMIT_EXCEEDED = 0, 4
NEVER_ALIASES = 0

# RFC 4511, A.1: the result codes that a check is likely to meet.
_RESULTS = {
    1: "operations error",
    2: "protocol error",
    3: "time limit exceeded",
    7: "the authentication method is not supported",
    8: "stronger authentication is required",
    10: "a referral",
    11: "an administrative limit was exceeded",
    13: "confidentiality is required (check_starttls, or ldaps)",
    32: "no such object",
    34: "not a valid DN",
    48: "inappropriate authentication",
    49: "invalid credentials",
    50: "access is denied",
    51: "the server is busy",
    52: "the server is unavailable",
    53: "the server is unwilling to perform",
    80: "an internal error of the server",
}


class LdapCheck(Check):
    """Binds as `user` or anonymously, and searches for `request`, by default the server's own entry (root DSE).

    The search has to find an entry and, with `expect`, one with it in a line `dn: ...` or `attribute: value`.
    """

    async def attempt(self) -> None:
        with await self.open() as stream:
            if self.settings.flag("starttls"):
                self.doing = "waiting for the answer to StartTLS"
                await self._ask(stream, 1, ber.encode(EXTENDED, ber.encode(0x80, START_TLS)), EXTENDED_ANSWER, "StartTLS")
                await self.start_tls(stream)
            self.doing = "waiting for the answer to the bind"
            user = self.settings["user"]
            await self._ask(stream, 2, self._bind(user), BIND_ANSWER, f"bind as {user}" if user else "anonymous bind")
            self.doing = "waiting for the answer to the search"
            await self._search(stream)
            await stream.send(_message(4, ber.encode(UNBIND)))

    def _bind(self, user: str) -> bytes:
        secret = self.secret() if user else ""
        if user and not secret:
            raise CheckFailed("check_secret is empty: a bind without a password would be anonymous")
        return ber.encode(
            BIND, ber.integer(VERSION), ber.encode(ber.OCTETS, user.encode()), ber.encode(0x80, secret.encode())
        )

    async def _ask(self, stream: Stream, number: int, operation: bytes, answer: int, what: str) -> None:
        await stream.send(_message(number, operation))
        tag, content = await _receive(stream, number)
        if tag != answer:
            raise CheckFailed(f"unexpected LDAP message in reply to the {what}")
        _judge(content, what)

    async def _search(self, stream: Stream) -> None:
        search = self.parsed("request", parse_search)
        wanted = search.attributes or (() if self.matches else (NO_ATTRIBUTES,))
        operation = ber.encode(
            SEARCH,
            ber.encode(ber.OCTETS, search.base.encode()),
            ber.integer(search.scope, ber.ENUMERATED),
            ber.integer(NEVER_ALIASES, ber.ENUMERATED),
            ber.integer(MAX_ENTRIES),
            ber.integer(math.ceil(self.settings.timeout)),
            ber.boolean(False),
            search.filter,
            ber.encode(ber.SEQUENCE, *(ber.encode(ber.OCTETS, name.encode()) for name in wanted)),
        )
        await stream.send(_message(3, operation))
        entries = 0
        found = False
        for _ in range(MAX_ANSWERS):
            tag, content = await _receive(stream, 3)
            if tag == DONE:
                _judge(content, "search", SUCCESS, SIZE_LIMIT_EXCEEDED)
                break
            if tag == ENTRY:
                entries += 1
                found = found or self.matches is None or any(map(self.matches, lines_of(content)))
            elif tag != REFERENCE:
                raise CheckFailed("unexpected LDAP message in reply to the search")
        else:
            raise CheckFailed(f"the search has more than {MAX_ANSWERS} results")
        if not entries:
            raise CheckFailed("the search finds no entry")
        if not found:
            raise CheckFailed(f"no '{self.expect}' in the {entries} entries found" if entries > 1 else
                              f"no '{self.expect}' in the entry found")  # fmt: skip


def _message(number: int, operation: bytes) -> bytes:
    return ber.encode(ber.SEQUENCE, ber.integer(number), operation)


async def _receive(stream: Stream, number: int) -> tuple[int, bytes]:
    """Return the next message's operation, tag and content; the message has to answer the request `number`."""
    tag, size = await stream.exactly(2)
    try:
        if tag != ber.SEQUENCE:
            raise ValueError("not a message")
        count = ber.length_bytes(size)
        if count:
            size = int.from_bytes(await stream.exactly(count), "big")
        if size > MAX_MESSAGE:
            raise ValueError(f"a message of {size} bytes")
        (number_tag, digits), (operation, content) = ber.first(await stream.exactly(size), 2)
    except ValueError as error:
        raise CheckFailed(f"not an LDAP answer: {error}") from None
    answered = int.from_bytes(digits, "big")
    if answered == 0 and operation == EXTENDED_ANSWER:  # notice of disconnection, RFC 4511, 4.4.1
        _judge(content, "connection")
    if number_tag != ber.INTEGER or answered != number:
        raise CheckFailed("the answer belongs to another request")
    return operation, content


def _judge(content: bytes, what: str, *good: int) -> None:
    """Raise CheckFailed unless an LDAPResult reports success."""
    try:
        (tag, code), _, (_, text) = ber.first(content, 3)
        if tag != ber.ENUMERATED or not code:
            raise ValueError("a result without a code")
    except ValueError as error:
        raise CheckFailed(f"not an LDAP answer: {error}") from None
    number = int.from_bytes(code, "big")
    if number not in (good or (SUCCESS,)):
        more = f": {said(text)}" if text else ""
        raise CheckFailed(f"{what}: {_RESULTS.get(number, 'result')} ({number}){more}")


def lines_of(entry: bytes) -> Iterator[str]:
    """Yield `dn: ...` and each `attribute: value` of a SearchResultEntry. Raises CheckFailed."""
    try:
        (_, dn), (_, attributes) = ber.first(entry, 2)
        yield f"dn: {dn.decode(errors='replace')}"
        for _, attribute in ber.elements(attributes):
            (_, name), (_, values) = ber.first(attribute, 2)
            if len(name) > MAX_ATTRIBUTE_NAME:
                raise ValueError(f"the name of an attribute has {len(name)} bytes")
            for _, value in ber.elements(values):
                yield f"{name.decode(errors='replace')}: {value.decode(errors='replace')}"
    except ValueError as error:
        raise CheckFailed(f"not an LDAP answer: {error}") from None
