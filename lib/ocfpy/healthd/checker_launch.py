"""Starts a checker: what the keeper runs as `checker_launch.py UID GID GROUPS CHANGE`, with its descriptors in place.

Everything is imported through the directory descriptor of the library, so that it goes on when the process has become a user
that cannot reach the path; ssl is for checks that speak it, and asyncio would import it for nobody.
"""

from __future__ import annotations

import importlib
import sys

LIBRARY_FD = 6


def main() -> None:
    """Never returns."""
    sys.path.insert(0, f"/proc/self/fd/{LIBRARY_FD}")
    sys.modules["ssl"] = None  # type: ignore[assignment]
    importlib.import_module("asyncio")
    del sys.modules["ssl"]
    importlib.import_module("ocfpy.healthd.checker").main(sys.argv)


if __name__ == "__main__":
    main()
