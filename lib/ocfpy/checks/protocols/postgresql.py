"""The protocol of PostgreSQL, version 3, the client's side: a login with any authentication method, and a query."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, NamedTuple, Union

from ocfpy.checks.errors import ProtocolError
from ocfpy.checks.protocols.connection import Connection, Send
from ocfpy.checks.protocols.scram import MECHANISM, Scram
from ocfpy.checks.words import said

if TYPE_CHECKING:
    from ocfpy.checks.protocols.scram import Keys

VERSION = 3 << 16
SSL_REQUEST = struct.pack("!II", 8, 80877103)
HEAD = 5
"""Bytes before the content of a message: its kind and length."""
MAX_MESSAGE = 1 << 16
MAX_MESSAGES = 1000
"""Limits of what is read: bytes of a message, number of messages."""

# The authentication codes, in the manual's "Message Formats".
OK, CLEARTEXT, MD5, SASL, SASL_CONTINUE, SASL_FINAL = 0, 3, 5, 10, 11, 12
# The kinds of messages that matter here.
AUTHENTICATION, ERROR, READY, DATA_ROW, PASSWORD, QUERY, TERMINATE = b"R", b"E", b"Z", b"D", b"p", b"Q", b"X"


class TlsAnswer(NamedTuple):
    """Whether the server accepts TLS."""

    accepted: bool


class Asked(NamedTuple):
    """The server asks for a password, or needs none: it accepts connections."""


class Ready(NamedTuple):
    """The server waits for a query: it has accepted the login, or the answer to the last query is complete."""


class Row(NamedTuple):
    """A row of the answer to a query, undecoded."""

    content: bytes

    def text(self) -> str:
        """Return its values, with | between them. Raises ProtocolError."""
        return row(self.content)


class ServerError(NamedTuple):
    """The server refuses the request: SQLSTATE and text."""

    code: str
    text: str


Event = Union[TlsAnswer, Asked, Ready, Row, ServerError]


class PostgresqlConnection(Connection[Event]):
    """The start of a session, then a login, then queries: as far as the caller goes.

    If the password is None, there is no login: the first event after `start` is Asked or ServerError. A server that wants the
    password in the clear gets it only with `over_tls`. `keys` is what Scram remembers from one session to the next.
    """

    def __init__(self, user: str, password: str | None, over_tls: bool, keys: Keys) -> None:
        super().__init__()
        self._user = user
        self._password = password
        self._over_tls = over_tls
        self._scram = Scram(password or "", keys)
        self._received = 0
        self._awaits_tls = False
        self._step = self._ask if password is None else self._judge_login

    def request_tls(self) -> bytes:
        """Return the request for TLS, before `start`."""
        self._awaits_tls = True
        return SSL_REQUEST

    def start(self, database: str) -> bytes:
        """Return the first message of a session."""
        words = ("user", self._user, "database", database, "application_name", "ocf-anycast", "")
        text = b"".join(word.encode() + b"\0" for word in words)
        return struct.pack("!II", 8 + len(text), VERSION) + text

    def query(self, text: bytes) -> bytes:
        """Return a query; its rows are the next events."""
        self._step = self._read_row
        return _message(QUERY, text + b"\0")

    def terminate(self) -> bytes:
        """Return the end of the session, which the server does not answer."""
        return _message(TERMINATE, b"")

    def next_event(self) -> Event | Send | None:
        """Return the event of the next messages. Raises ProtocolError."""
        if self._awaits_tls:
            answer = self._incoming.take(1)
            if answer is None:
                return None
            self._awaits_tls = False
            return TlsAnswer(answer == b"S")
        while (message := self._take_message()) is not None:
            kind, content = message
            event = ServerError(*error_of(content)) if kind == ERROR else self._step(kind, content)
            if event is not None:
                return event
        return None

    def _take_message(self) -> tuple[bytes, bytes] | None:
        """Return kind and content of the next message; None until it has arrived. Raises ProtocolError."""
        head = self._incoming.peek(HEAD)
        if head is None:
            return None
        kind, size = head[:1], int.from_bytes(head[1:], "big") - 4
        if not kind.isalpha() or not 0 <= size <= MAX_MESSAGE:
            raise ProtocolError(f"not a PostgreSQL answer: {said(head)}")
        if self._received >= MAX_MESSAGES:
            raise ProtocolError(f"more than {MAX_MESSAGES} messages")
        message = self._incoming.take(HEAD + size)
        if message is None:
            return None
        self._received += 1
        return kind, message[HEAD:]

    def _ask(self, kind: bytes, content: bytes) -> Event | Send | None:
        if kind != AUTHENTICATION:
            raise ProtocolError("not a PostgreSQL answer")
        return Asked()

    def _judge_login(self, kind: bytes, content: bytes) -> Event | Send | None:
        if kind == READY:
            return Ready()
        if kind != AUTHENTICATION:
            return None  # parameters and notices
        method, data, password = int.from_bytes(content[:4], "big"), content[4:], self._password or ""
        if method == OK:
            return None
        if method == CLEARTEXT:
            if password and not self._over_tls:
                raise ProtocolError("the password is not sent without TLS: the server wants it in the clear (check_starttls)")
            return Send(_message(PASSWORD, password.encode() + b"\0"))
        if method == MD5:
            return Send(_message(PASSWORD, _md5_answer(self._user, password, data[:4])))
        if method == SASL:
            return self._begin_sasl(data.split(b"\0"))
        raise ProtocolError(f"the server requires an authentication method that is not supported ({method})")

    def _begin_sasl(self, mechanisms: list[bytes]) -> Send:
        name = MECHANISM.encode()
        if name not in mechanisms:
            raise ProtocolError(f"the server does not offer {MECHANISM}")
        self._step = self._continue_sasl
        first = self._scram.first()
        return Send(_message(PASSWORD, name + b"\0" + struct.pack("!I", len(first)) + first))

    def _continue_sasl(self, kind: bytes, content: bytes) -> Event | Send | None:
        challenge = _sasl(kind, content, SASL_CONTINUE)
        try:
            answer = self._scram.final(challenge)
        except ValueError as error:
            raise ProtocolError(f"{MECHANISM}: {error}") from None
        self._step = self._end_sasl
        return Send(_message(PASSWORD, answer))

    def _end_sasl(self, kind: bytes, content: bytes) -> Event | Send | None:
        outcome = _sasl(kind, content, SASL_FINAL)
        try:
            self._scram.verify(outcome)
        except ValueError as error:
            raise ProtocolError(f"{MECHANISM}: {error}") from None
        self._step = self._judge_login
        return None

    def _read_row(self, kind: bytes, content: bytes) -> Event | Send | None:
        if kind == DATA_ROW:
            return Row(content)
        return Ready() if kind == READY else None


def error_of(content: bytes) -> tuple[str, str]:
    """Return SQLSTATE and text of an ErrorResponse."""
    fields = {part[:1]: part[1:] for part in content.split(b"\0") if part}
    return fields.get(b"C", b"").decode(errors="replace"), said(fields.get(b"M", b"")) or "an error without a message"


def row(content: bytes) -> str:
    """Return the values of a DataRow, with | between them. Raises ProtocolError."""
    values = []
    at = 2
    for _ in range(int.from_bytes(content[:2], "big")):
        size = int.from_bytes(content[at : at + 4], "big", signed=True)
        at += 4
        if at + max(size, 0) > len(content) or size < -1:
            raise ProtocolError("not a PostgreSQL answer: a row is longer than its message")
        values.append(content[at : at + max(size, 0)].decode(errors="replace"))
        at += max(size, 0)
    return "|".join(values)


def _message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!I", 4 + len(content)) + content


def _sasl(kind: bytes, content: bytes, method: int) -> bytes:
    """Decode a message of this step of SASL. Raises ProtocolError."""
    if kind != AUTHENTICATION or int.from_bytes(content[:4], "big") != method:
        raise ProtocolError("not a PostgreSQL answer")
    return content[4:]


def _md5_answer(user: str, password: str, salt: bytes) -> bytes:
    inner = hashlib.md5((password + user).encode(), usedforsecurity=False).hexdigest()
    return b"md5" + hashlib.md5(inner.encode() + salt, usedforsecurity=False).hexdigest().encode() + b"\0"
