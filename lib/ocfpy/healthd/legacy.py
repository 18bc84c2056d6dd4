"""Takes a pool over from a daemon of version 0.1.0, which had a process for each pool: ends that process, keeps the table."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ocfpy.healthd.lifecycle import Holder
from ocfpy.healthd.orphans import kill_orphans

if TYPE_CHECKING:
    from ocfpy.healthd.client import Paths
    from ocfpy.ocf.context import Log


def end_old_daemon(paths: Paths, log: Log) -> None:
    """Kill the pool's own daemon, if there is one, with the commands of its checks; remove its lock and its socket."""
    lock = f"{paths.base}.lock"
    if not os.path.exists(lock):
        return
    holder = Holder(lock)
    if holder.pid:
        log.info(f"taking over from the pool's own health daemon of version 0.1.0 ({holder.pid})")
    holder.kill()
    kill_orphans(paths.base)
    for path in (lock, f"{paths.base}.sock"):
        try:
            os.unlink(path)
        except OSError:
            pass
