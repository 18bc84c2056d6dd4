"""How a check says that the server is not fine."""

from __future__ import annotations


class CheckFailed(Exception):
    """The server answered, and wrongly; the message is the reason."""
