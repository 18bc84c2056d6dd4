"""The part of ASN.1's basic encoding rules that LDAP uses: definite lengths, tags of one byte (RFC 4511, 5.1).

Our own, because the packaged alternatives do not suit a daemon: ldap3 and pyasn1 take 0.2 s to import, and decode nested
elements by recursion, as deeply as the server nests them. The tests compare this module with them.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

INTEGER, OCTETS, ENUMERATED, SEQUENCE = 0x02, 0x04, 0x0A, 0x30
_LONG = 0x80
_MAX_LENGTH_BYTES = 4


def encode(tag: int, *contents: bytes) -> bytes:
    """Encode one element."""
    content = b"".join(contents)
    size = len(content)
    if size < _LONG:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, _LONG | len(length))) + length + content


def integer(number: int, tag: int = INTEGER) -> bytes:
    """Encode a number from 0 on."""
    return encode(tag, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def boolean(value: bool, tag: int = 0x01) -> bytes:
    """Encode true or false."""
    return encode(tag, b"\xff" if value else b"\0")


def length_bytes(first: int) -> int:
    """Return how many bytes of length follow the first one. Raises ValueError."""
    if first < _LONG:
        return 0
    count = first - _LONG
    if not 1 <= count <= _MAX_LENGTH_BYTES:
        raise ValueError("a length that LDAP does not use")
    return count


def elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the elements in `data`, one level of them: tag and content. Raises ValueError."""
    at = 0
    while at < len(data):
        if len(data) - at < 2:
            raise ValueError("an element ends in its head")
        tag, size = data[at], data[at + 1]
        at += 2
        count = length_bytes(size)
        if count:
            size = int.from_bytes(data[at : at + count], "big")
            at += count
        if len(data) - at < size:
            raise ValueError("an element is longer than its message")
        yield tag, data[at : at + size]
        at += size


def first(data: bytes, count: int) -> list[tuple[int, bytes]]:
    """Return the first `count` elements in `data`; the rest is ignored. Raises ValueError when there are fewer."""
    found = list(islice(elements(data), count))
    if len(found) < count:
        raise ValueError("an element is missing")
    return found
