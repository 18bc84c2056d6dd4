"""The format of netlink messages, as far as addresses and IPVS need it (linux/netlink.h)."""

from __future__ import annotations

from _struct import Struct  # the module struct is a file that has nothing but this

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_REQUEST = 0x001
NLM_F_ACK = 0x004
NLM_F_DUMP_INTR = 0x010
NLM_F_EXCL = 0x200
NLM_F_DUMP = 0x300
NLM_F_CREATE = 0x400

RECEIVE_BYTES = 65536
"""The kernel puts at most 32 KiB of a dump into one message."""

_HEADER = Struct("=IHHII")  # length, type, flags, sequence number, port
_ATTRIBUTE = Struct("=HH")  # length, type
_ERROR = Struct("=i")


def message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """A message, padded so that another can follow it."""
    return _padded(_HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body)


def messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Type, sequence number and body of each message received."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _, sequence, _ = _HEADER.unpack_from(data, offset)
        yield kind, sequence, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def is_interrupted(data: bytes) -> bool:
    """Whether the dumped objects changed meanwhile: then the kernel may have left out others."""
    return bool(_HEADER.unpack_from(data)[2] & NLM_F_DUMP_INTR)


def errno_of(body: bytes) -> int:
    """The errno in the body of an NLMSG_ERROR or NLMSG_DONE; 0 is success."""
    return -int(_ERROR.unpack_from(body)[0])


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute, padded so that another can follow it; its value may be a row of attributes."""
    return _padded(_ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value)


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes in a row of them, by type."""
    found = {}
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        found[kind] = data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return found


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
