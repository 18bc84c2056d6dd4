"""What the process of the health daemon does before it serves: its lock, its descriptors, and word of how the start went."""

from __future__ import annotations

import fcntl
import os
import resource
import sys
from typing import Callable

from ocfpy.ocf.errors import one_line


def close_inherited(keep: set[int | None]) -> None:
    """Closes what the action that starts the daemon has open, such as locks of its own."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:
                pass  # the directory that was just read


def hold_lock(path: str, inherited: int | None) -> None:
    """Holds the lock for as long as this process lives, and writes its number there.

    BlockingIOError: another does.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600) if inherited is None else inherited
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.set_inheritable(fd, False)
    os.ftruncate(fd, 0)
    os.pwrite(fd, b"%d\n" % os.getpid(), 0)


def reporter(fd: int | None) -> Callable[[str], None]:
    """Says once how the start went: to the agent, or to whoever reads standard error."""
    if fd is None:
        return lambda text: print(text, file=sys.stderr, flush=True)
    os.set_inheritable(fd, False)
    open_fds = [fd]

    def report(text: str) -> None:
        for pipe in open_fds:
            try:
                os.write(pipe, f"{one_line(text)}\n".encode())
            except OSError:
                pass  # the agent has been killed meanwhile; Pacemaker sees to the rest
            os.close(pipe)
        open_fds.clear()

    return report


def raise_file_limit() -> None:
    """Every check in progress has a socket, and a large pool has thousands."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
