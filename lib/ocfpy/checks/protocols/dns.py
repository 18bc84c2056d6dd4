"""Parses a DNS answer as far as a check needs it: header, question, and the records of one type in the answer section.

Our own, because dnspython's from_wire parses the whole message, and a name can cost it half a millisecond: 64 KiB of
compression pointers to a long name take it 32 s. Here unneeded names are skipped, wherever they point.
"""

from __future__ import annotations

from typing import NamedTuple

HEAD = 12
"""Bytes of the header, RFC 1035, 4.1.1."""
RESPONSE, TRUNCATED = 0x8000, 0x0200
OPCODE, RCODE = 0x7800, 0x000F
CLASS_IN = 1
MAX_NAME = 255
"""Bytes of a name with the lengths of its labels, RFC 1035, 2.3.4."""
MAX_RECORDS = 200
"""Most records of the wanted type that are read. A record with a hostile name costs dnspython half a millisecond."""
_POINTER = 0xC0
_RECORD_HEAD = 10
"""Bytes of type, class, TTL and length, between the name of a record and its data."""


class Header(NamedTuple):
    """The first 12 bytes of a message: `number` identifies the answer, `flags` are as on the wire.

    `others` are the records after the answer section.
    """

    number: int
    flags: int
    questions: int
    answers: int
    others: int

    @property
    def is_response(self) -> bool:
        """Whether it is the answer to a standard query."""
        return bool(self.flags & RESPONSE) and not self.flags & OPCODE

    @property
    def truncated(self) -> bool:
        """Whether it did not fit into a datagram (TC)."""
        return bool(self.flags & TRUNCATED)

    @property
    def rcode(self) -> int:
        """The response code, without the extension in EDNS."""
        return self.flags & RCODE


class Record(NamedTuple):
    """Where a record's data are in the message."""

    start: int
    size: int


def parse_header(wire: bytes) -> Header:
    """Parse the header of a message. Raises ValueError."""
    if len(wire) < HEAD:
        raise ValueError(f"{len(wire)} bytes")
    number, flags, questions, answers, authorities, more = (int.from_bytes(wire[at : at + 2], "big") for at in range(0, HEAD, 2))
    return Header(number, flags, questions, answers, authorities + more)


def same_question(wire: bytes, query: bytes) -> bool:
    """Return whether an answer repeats the one question of `query`, ignoring case. Raises ValueError."""
    end, mine = _end_of_name(wire, HEAD) + 4, _end_of_name(query, HEAD) + 4
    # The bytes of type and class are not letters in our queries, nor are lengths of labels.
    return parse_header(wire).questions == 1 and wire[HEAD:end].lower() == query[HEAD:mine].lower()


def records_of(wire: bytes, rdtype: int) -> list[Record]:
    """Return the first MAX_RECORDS records of a type in the answer section. Raises ValueError for an incomplete message."""
    header = parse_header(wire)
    at = HEAD
    for _ in range(header.questions):
        at = _end_of_name(wire, at) + 4
    found: list[Record] = []
    for number in range(header.answers + header.others):
        at = _end_of_name(wire, at)
        if at + _RECORD_HEAD > len(wire):
            raise ValueError("it ends in the head of a record")
        kind, rdclass = (int.from_bytes(wire[at + start : at + start + 2], "big") for start in (0, 2))
        size = int.from_bytes(wire[at + 8 : at + 10], "big")
        at += _RECORD_HEAD
        if at + size > len(wire):
            raise ValueError("it ends in a record")
        if number < header.answers and kind == rdtype and rdclass == CLASS_IN and len(found) < MAX_RECORDS:
            found.append(Record(at, size))
        at += size
    return found


def _end_of_name(wire: bytes, at: int) -> int:
    """Return where the name that begins at `at` ends; pointers are not followed. Raises ValueError."""
    begun = at
    while True:
        if at >= len(wire):
            raise ValueError("it ends in a name")
        length = wire[at]
        if length >= _POINTER:
            return at + 2
        if length > 63:
            raise ValueError("a name has a label of an unknown kind")
        at += 1 + length
        if not length:
            return at
        if at - begun > MAX_NAME:
            raise ValueError(f"a name has more than {MAX_NAME} bytes")
