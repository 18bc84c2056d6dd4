"""The client's side of a protocol over a stream: takes received bytes, returns events, and makes the requests.

The result does not depend on how TCP splits the bytes. `Stream.event` (checks/stream.py) feeds it.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

from ocfpy.checks.errors import ProtocolError

E = TypeVar("E")


class Send(NamedTuple):
    """Bytes to send to the server, in the middle of an exchange."""

    data: bytes


class Incoming:
    """Received bytes that have not been parsed, in time and memory that are linear in their number."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._searched = 0

    def __len__(self) -> int:
        return len(self._data)

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._data += data

    def peek(self, size: int) -> bytes | None:
        """Return the first `size` bytes and keep them; None until they have arrived."""
        return bytes(self._data[:size]) if len(self._data) >= size else None

    def take(self, size: int) -> bytes | None:
        """Return the first `size` bytes; None until they have arrived."""
        data = self.peek(size)
        if data is not None:
            del self._data[:size]
            self._searched = 0
        return data

    def line(self, longest: int) -> bytes | None:
        """Return the first line, without its end; None until it has arrived. Raises ProtocolError beyond `longest` bytes."""
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
    """The received bytes of a connection, and how far they were parsed."""

    def __init__(self) -> None:
        self._incoming = Incoming()

    @property
    def in_message(self) -> bool:
        """Whether the connection would end in the middle of a message if it ended now."""
        return bool(len(self._incoming))

    def receive_data(self, data: bytes) -> None:
        """Add received bytes."""
        self._incoming.feed(data)

    def next_event(self) -> E | Send | None:
        """Return the server's next message, or bytes to send; None until more bytes arrive. Raises ProtocolError."""
        raise NotImplementedError

    def switch_to_tls(self) -> None:
        """Note that TLS begins. Raises ProtocolError when the server has sent more plain text."""
        if self.in_message:
            raise ProtocolError("the server sent more plain text before TLS")
