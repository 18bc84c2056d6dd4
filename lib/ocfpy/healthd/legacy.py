"""Takes a pool over from a daemon of version 0.1.0, which had a process for each pool: it is ended, the table stays as it is."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from ocfpy.healthd.orphans import kill_orphans
from ocfpy.ocf.process import has_open

if TYPE_CHECKING:
    from ocfpy.healthd.client import Paths
    from ocfpy.ocf.context import Log


def end_old_daemon(paths: Paths, log: Log) -> None:
    """Kills the pool's own daemon, if there is one, with the commands of its checks, and removes its lock and its socket."""
    lock = f"{paths.base}.lock"
    try:
        with open(lock, encoding="ascii", errors="replace") as file:
            number = file.read().strip()
    except OSError:
        return
    if number.isdigit() and has_open(number, lock):
        log.info(f"taking over from the pool's own health daemon of an older version ({number})")
        try:
            pidfd = os.pidfd_open(int(number))
            if has_open(number, lock):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
        except OSError:
            pass
    kill_orphans(paths.base)
    for path in (lock, f"{paths.base}.sock"):
        try:
            os.unlink(path)
        except OSError:
            pass
