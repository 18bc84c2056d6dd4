"""IMAP4 (RFC 9051), the client's side: what a line of a server means, and what it is capable of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Response(NamedTuple):
    """One line: `tag` is that of the command that it completes, "*" for data and "+" where the server waits for more."""

    tag: bytes
    text: bytes

    @property
    def is_ok(self) -> bool:
        """Whether it says that the command was successful."""
        return self.text.upper().startswith(b"OK")


def parse_response(line: bytes) -> Response:
    """A line, without its end."""
    tag, _, text = line.partition(b" ")
    return Response(tag, text)


def is_greeting(line: bytes) -> bool:
    """Whether a server that takes connections begins like this (RFC 9051, 7.1)."""
    return line.upper().startswith((b"* OK", b"* PREAUTH"))


def capabilities_in(lines: Iterable[bytes]) -> set[str]:
    """What the answer to CAPABILITY lists, in capitals."""
    words = [line.decode(errors="replace").upper().split() for line in lines]
    return {word for line in words if line[:2] == ["*", "CAPABILITY"] for word in line[2:]}


def quoted(text: str) -> str:
    """A quoted string (RFC 9051, 4.3)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
