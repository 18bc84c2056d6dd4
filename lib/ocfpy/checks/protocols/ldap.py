"""LDAP (RFC 4511), the client's side: StartTLS, a simple bind, a search, and their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Union

from ocfpy.checks.errors import ProtocolError
from ocfpy.checks.protocols import ber
from ocfpy.checks.protocols.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocfpy.checks.protocols.ldap_search import Search

MAX_MESSAGE = 1 << 20
"""Longest message in bytes; a longer entry is not suitable for a check."""
MAX_ENTRIES = 100
"""The size limit sent with a search."""
MAX_ANSWERS = 1000
"""Most entries and references that are read, from a server that ignores the size limit."""
MAX_ATTRIBUTE_NAME = 1000
"""Longest name of an attribute with its options, in bytes; it is put before each of its values."""
MAX_CODE_BYTES = 4
"""Longest result code in bytes; the highest assigned one has two."""
VERSION = 3
HEAD = 2
"""Bytes of a message's tag and the first of its length."""

# RFC 4511, 4.1.1: the tags of the protocol operations.
BIND, BIND_ANSWER, UNBIND, SEARCH, ENTRY, DONE, REFERENCE = 0x60, 0x61, 0x42, 0x63, 0x64, 0x65, 0x73
EXTENDED, EXTENDED_ANSWER = 0x77, 0x78
START_TLS = b"1.3.6.1.4.1.1466.20037"
SUCCESS, SIZE_LIMIT_EXCEEDED = 0, 4
NEVER_ALIASES = 0


class Result(NamedTuple):
    """The result of an operation: a code of RFC 4511, appendix A, and the server's text."""

    code: int
    text: bytes


class Disconnection(NamedTuple):
    """The server is about to end the connection (RFC 4511, 4.4.1)."""

    result: Result


class Entry(NamedTuple):
    """An entry of the search, undecoded."""

    content: bytes

    def lines(self) -> Iterator[str]:
        """Yield `dn: ...` and each `attribute: value`. Raises ProtocolError."""
        try:
            (_, dn), (_, attributes) = ber.first(self.content, 2)
            yield f"dn: {dn.decode(errors='replace')}"
            for _, attribute in ber.elements(attributes):
                (_, name), (_, values) = ber.first(attribute, 2)
                if len(name) > MAX_ATTRIBUTE_NAME:
                    raise ValueError(f"the name of an attribute has {len(name)} bytes")
                for _, value in ber.elements(values):
                    yield f"{name.decode(errors='replace')}: {value.decode(errors='replace')}"
        except ValueError as error:
            raise _malformed(error) from None


class Reference(NamedTuple):
    """A server that may have more entries."""

    content: bytes


Event = Union[Result, Disconnection, Entry, Reference]


class LdapConnection(Connection[Event]):
    """One request after another; a Result answers each, entries and references precede it for a search."""

    def __init__(self) -> None:
        super().__init__()
        self._asked = ""
        self._number = 0
        self._result_tag = 0
        self._answers = 0

    def start_tls(self) -> bytes:
        """Return the request for StartTLS."""
        return self._ask("StartTLS", 1, EXTENDED_ANSWER, ber.encode(EXTENDED, ber.encode(0x80, START_TLS)))

    def bind(self, user: str, password: str) -> bytes:
        """Return the request to log in; anonymously without a user."""
        credentials = ber.encode(ber.OCTETS, user.encode()), ber.encode(0x80, password.encode())
        operation = ber.encode(BIND, ber.integer(VERSION), *credentials)
        return self._ask(f"bind as {user}" if user else "anonymous bind", 2, BIND_ANSWER, operation)

    def search(self, search: Search, attributes: Sequence[str], seconds: int) -> bytes:
        """Return the request for matching entries, with these attributes; the server has this many seconds for it."""
        operation = ber.encode(
            SEARCH,
            ber.encode(ber.OCTETS, search.base.encode()),
            ber.integer(search.scope, ber.ENUMERATED),
            ber.integer(NEVER_ALIASES, ber.ENUMERATED),
            ber.integer(MAX_ENTRIES),
            ber.integer(seconds),
            ber.boolean(False),
            search.filter,
            ber.encode(ber.SEQUENCE, *(ber.encode(ber.OCTETS, name.encode()) for name in attributes)),
        )
        return self._ask("search", 3, DONE, operation)

    def unbind(self) -> bytes:
        """Return the end of the session, which the server does not answer."""
        return _message(4, ber.encode(UNBIND))

    def _ask(self, what: str, number: int, result_tag: int, operation: bytes) -> bytes:
        self._asked, self._number, self._result_tag, self._answers = what, number, result_tag, 0
        return _message(number, operation)

    @property
    def asked(self) -> str:
        """The last request, in words."""
        return self._asked

    def next_event(self) -> Event | None:
        """Return the next answer to the last request. Raises ProtocolError."""
        if self._answers == MAX_ANSWERS:
            raise ProtocolError(f"the {self._asked} has more than {MAX_ANSWERS} results")
        try:
            content = self._content()
            return None if content is None else self._event(content)
        except ValueError as error:
            raise _malformed(error) from None

    def _content(self) -> bytes | None:
        """Return the content of the next message, None until it has arrived. Raises ValueError."""
        head = self._incoming.peek(HEAD)
        if head is None:
            return None
        tag, size = head
        if tag != ber.SEQUENCE:
            raise ValueError("not a message")
        count = ber.length_bytes(size)
        if count:
            head = self._incoming.peek(HEAD + count)
            if head is None:
                return None
            size = int.from_bytes(head[HEAD:], "big")
        if size > MAX_MESSAGE:
            raise ValueError(f"a message of {size} bytes")
        message = self._incoming.take(HEAD + count + size)
        return None if message is None else message[HEAD + count :]

    def _event(self, message: bytes) -> Event:
        (number_tag, digits), (tag, content) = ber.first(message, 2)
        number = int.from_bytes(digits, "big")
        if number == 0 and tag == EXTENDED_ANSWER:
            return Disconnection(_result(content))
        if number_tag != ber.INTEGER or number != self._number:
            raise ProtocolError("the answer belongs to another request")
        self._answers += 1
        if tag == self._result_tag:
            return _result(content)
        if self._result_tag == DONE and tag == ENTRY:
            return Entry(content)
        if self._result_tag == DONE and tag == REFERENCE:
            return Reference(content)
        raise ProtocolError(f"unexpected LDAP message in reply to the {self._asked}")


def _message(number: int, operation: bytes) -> bytes:
    return ber.encode(ber.SEQUENCE, ber.integer(number), operation)


def _result(content: bytes) -> Result:
    """Decode an LDAPResult. Raises ValueError."""
    (tag, code), _, (_, text) = ber.first(content, 3)
    if tag != ber.ENUMERATED or not code:
        raise ValueError("a result without a code")
    if len(code) > MAX_CODE_BYTES:
        raise ValueError(f"a result code of {len(code)} bytes")
    return Result(int.from_bytes(code, "big"), text)


def _malformed(error: ValueError) -> ProtocolError:
    return ProtocolError(f"not an LDAP answer: {error}")
