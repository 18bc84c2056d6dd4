"""SMTP (RFC 5321), the client's side: what a line of a server means, and what it offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ocfpy.checks.errors import ProtocolError
from ocfpy.checks.words import said

READY, BYE, LOGGED_IN, FINE, GO_ON = 220, 221, 235, 250, 334


class ReplyLine(NamedTuple):
    """One line of a reply (RFC 5321, 4.2.1); all of its lines have the same code, and one of them is the last."""

    code: int
    text: str
    last: bool


def parse_reply_line(line: bytes) -> ReplyLine:
    """A line, without its end. Raises ProtocolError."""
    text = line.decode(errors="replace")
    if not (text[:3].isascii() and text[:3].isdigit() and text[3:4] in ("", " ", "-")):
        raise ProtocolError(f"not an SMTP answer: {said(line) or 'an empty line'}")
    return ReplyLine(int(text[:3]), text[4:], text[3:4] != "-")


def offers_in(texts: Sequence[str]) -> dict[str, list[str]]:
    """What a reply to EHLO offers, each with its parameters, in capitals; the first text is the greeting."""
    words = [text.upper().replace("=", " ").split() for text in texts[1:]]
    return {offer[0]: offer[1:] for offer in words if offer}


def hello(host: str) -> str:
    """EHLO with an address literal (RFC 5321, 4.1.3): the one name that a node has for certain."""
    return f"EHLO [{'IPv6:' if ':' in host else ''}{host}]"
