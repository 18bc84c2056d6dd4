"""Start a checker; the keeper runs this file as `checker_launch.py UID GID GROUPS CHANGE`, with its descriptors in place.

All imports go through the directory descriptor of the library, so that they still work when the process has become a user
that cannot reach the path. ssl stays unimported until a check needs it; asyncio would import it.
"""

from __future__ import annotations

import importlib
import sys

LIBRARY_FD = 6


def main() -> None:
    """Start the checker. Never returns."""
    sys.path.insert(0, f"/proc/self/fd/{LIBRARY_FD}")
    sys.modules["ssl"] = None  # type: ignore[assignment]
    importlib.import_module("asyncio")
    del sys.modules["ssl"]
    importlib.import_module("ocfpy.healthd.checker").main(sys.argv)


if __name__ == "__main__":
    main()
