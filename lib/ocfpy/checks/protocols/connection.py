"""The client's side of a protocol over a stream: it is fed bytes and asked for events, and makes the requests.

In which pieces TCP brings the bytes makes no difference. `Stream.event` (checks/stream.py) is what feeds it.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from ocfpy.checks.errors import ProtocolError

E = TypeVar("E")


class Send(NamedTuple):
    """Bytes that the server waits for, in the middle of an exchange."""

    data: bytes


class Incoming:
    """Bytes that have arrived and are not yet read, in time and memory that are linear in their number."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._searched = 0

    def __len__(self) -> int:
        return len(self._data)

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the connection."""
        self._data += data

    def peek(self, size: int) -> bytes | None:
        """The first `size` bytes, which stay; None until they are there."""
        return bytes(self._data[:size]) if len(self._data) >= size else None

    def take(self, size: int) -> bytes | None:
        """The first `size` bytes; None until they are there."""
        data = self.peek(size)
        if data is not None:
            del self._data[:size]
            self._searched = 0
        return data

    def line(self, longest: int) -> bytes | None:
        """The first line, without its end; None until it is there. Raises ProtocolError when it has more than `longest` bytes."""
        end = self._data.find(b"\n", self._searched, longest + 1)
        if end < 0:
            self._searched = min(len(self._data), longest + 1)
            if self._searched > longest:
                raise ProtocolError(f"no line ends within {longest} bytes")
            return None
        line = bytes(self._data[:end])
        del self._data[: end + 1]
        self._searched = 0
        return line.rstrip(b"\r")


class Connection(Generic[E]):
    """What has arrived on a connection, and how far it was read."""

    def __init__(self) -> None:
        self._incoming = Incoming()

    @property
    def in_message(self) -> bool:
        """Whether the connection would end in the middle of a message if it ended now."""
        return bool(len(self._incoming))

    def receive_data(self, data: bytes) -> None:
        """Take the next bytes of the connection."""
        self._incoming.feed(data)

    def next_event(self) -> E | Send | None:
        """What the server says next, or what it has to be sent; None until more bytes are there. Raises ProtocolError."""
        raise NotImplementedError

    def switch_to_tls(self) -> None:
        """What follows comes over TLS. Raises ProtocolError when the server has said more in the clear."""
        if self.in_message:
            raise ProtocolError("the server went on in the clear before TLS")
