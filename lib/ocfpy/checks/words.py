"""What a server says, as it can be shown in a reason."""

from __future__ import annotations

from ocfpy.ocf.errors import one_line

MAX_SHOWN = 100
"""Characters of a server's own words that are worth repeating."""


def said(data: bytes | str) -> str:
    """One printable line, not too long, of whatever a server has sent."""
    text = data[: 4 * MAX_SHOWN]
    line = one_line(text.decode(errors="replace") if isinstance(text, bytes) else text)
    return line if len(line) <= MAX_SHOWN else line[: MAX_SHOWN - 3] + "..."
