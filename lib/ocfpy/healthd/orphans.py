"""Commands of checks that outlive their daemon: it was killed with SIGKILL, and so could not kill them.

Each command has a variable in its environment that says whose it is, and so has whatever it starts. That needs no book-keeping
while the daemon runs, and no number of a process is ever believed that may be another's by now.
"""

from __future__ import annotations

import os

MARK = "OCF_ANYCAST_POOL"
"""The variable. Its value is the path of the pool's files, without a suffix."""
SIGKILL = 9
"""As in signal, whose import takes longer than all the rest of this."""


def kill_orphans(base: str) -> None:
    """Kills those of the pool whose files are at `base`, and their process groups; nobody may run a daemon for it."""
    mark = f"{MARK}={base}".encode()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if mark in file.read().split(b"\0"):
                    os.killpg(os.getpgid(int(name)), SIGKILL)
        except OSError:
            pass  # it has ended, or was killed with another one's group
