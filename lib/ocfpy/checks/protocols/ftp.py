"""FTP (RFC 959, RFC 2428), the client's side: what a line of a server means, and where its data are to be had."""

from __future__ import annotations

import re

_LAST_LINE = re.compile(rb"\d{3}( |$)")
_PASV = re.compile(rb"(?:\d{1,3},){4}(\d{1,3}),(\d{1,3})")
_EPSV = re.compile(rb"\((.)\1\1(\d{1,5})\1\)")


def is_last(line: bytes) -> bool:
    """Whether a line ends a reply (RFC 959, 4.2)."""
    return _LAST_LINE.match(line) is not None


def passive_port(line: bytes) -> int:
    """The port that the reply to PASV names, 0 for none."""
    found = _PASV.search(line)
    return int(found.group(1)) * 256 + int(found.group(2)) if found else 0


def extended_passive_port(line: bytes) -> int:
    """The port that the reply to EPSV names, 0 for none."""
    found = _EPSV.search(line)
    return int(found.group(2)) if found else 0
