"""Makes installed packages importable in an agent, whose interpreter starts without them to be quick."""

from __future__ import annotations

import sys

_enabled = False


def enable() -> None:
    """Put dist-packages on sys.path, once; nothing that a monitor imports may need it."""
    global _enabled
    if not _enabled and sys.flags.no_site:
        import site

        site.main()
    _enabled = True
