"""Quotes what a server sent, for a reason."""

from __future__ import annotations

from ocfpy.ocf.errors import one_line

MAX_SHOWN = 100
"""Most characters of a server's own words in a reason."""


def said(data: bytes | str) -> str:
    """Return one printable line, shortened, of what a server has sent."""
    text = data[: 4 * MAX_SHOWN]
    line = one_line(text.decode(errors="replace") if isinstance(text, bytes) else text)
    return line if len(line) <= MAX_SHOWN else line[: MAX_SHOWN - 3] + "..."
