"""The environment variable that says which checker started a command: what a killed daemon leaves is found by it."""

from __future__ import annotations

MARK = "OCF_ANYCAST_POOL"
"""Its value is the path of the daemon's files, without a suffix, and the number of the checker after a #."""
