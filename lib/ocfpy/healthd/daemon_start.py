"""What the health daemon does before it serves: take its lock, close descriptors, and report how the start went."""

from __future__ import annotations

import fcntl
import os
import resource
import sys
from typing import Callable

from ocfpy.ocf.errors import one_line


def close_inherited(keep: set[int | None]) -> None:
    """Close descriptors inherited from the action that starts the daemon, such as its own locks."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:
                pass  # the directory that was just read


def hold_lock(path: str, inherited: int | None) -> None:
    """Take the lock for the life of this process, and write its pid there.

    Raises BlockingIOError if another process holds it.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600) if inherited is None else inherited
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.set_inheritable(fd, False)
    os.ftruncate(fd, 0)
    os.pwrite(fd, b"%d\n" % os.getpid(), 0)


def reporter(fd: int | None) -> Callable[[str], None]:
    """Report once how the start went: to the agent, or on standard error."""
    if fd is None:
        return lambda text: print(text, file=sys.stderr, flush=True)
    os.set_inheritable(fd, False)
    open_fds = [fd]

    def report(text: str) -> None:
        for pipe in open_fds:
            try:
                os.write(pipe, f"{one_line(text)}\n".encode())
            except OSError:
                pass  # the agent has been killed; Pacemaker handles that
            os.close(pipe)
        open_fds.clear()

    return report


def raise_file_limit() -> None:
    """Raise the limit of descriptors: every check in progress has a socket, and a large pool has thousands."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
