"""The environment variable that names the checker of a command, by which a killed daemon's commands are found."""

from __future__ import annotations

MARK = "OCF_ANYCAST_POOL"
"""Its value is the path of the daemon's files, without a suffix, and the number of the checker after a #."""
