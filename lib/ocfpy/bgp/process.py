"""Finds the process behind bgpd's socket, and tells a busy one from one that hangs.

A bgpd that is busy with a full table, or with an answer of a hundred megabytes to an operator, takes seconds to answer and uses
the processor meanwhile; one that hangs (stopped, dead-locked, waiting for a disk) does not. The main thread serves the vty, so
only that thread counts: the thread that sends keepalives goes on.
"""

from __future__ import annotations

import os

PROCESS_NAME = "bgpd"
# Fields of /proc/PID/stat behind the name (proc(5)).
_STATE, _UTIME, _STIME = 0, 11, 12
_RUNNABLE = b"R"  # it works, or waits for a processor


def pid_from_file(vty_path: str) -> int:
    """Return the pid in bgpd.pid, by default beside bgpd.vty; 0 if that is not a bgpd."""
    try:
        with open(os.path.join(os.path.dirname(vty_path), "bgpd.pid"), encoding="ascii") as file:
            return if_bgpd(int(file.read()))
    except (OSError, ValueError):
        return 0


def if_bgpd(pid: int) -> int:
    """Return the pid if that is a bgpd, otherwise 0: a pid file may be old, and the pid reused."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return pid if file.read().strip() == PROCESS_NAME else 0
    except OSError:
        return 0


class Progress:
    """Watches a process; pid 0 is an unknown one, which never makes progress.

    This process itself counts as unknown too, because it works while it looks.
    """

    __slots__ = ("_pid", "_ticks")

    def __init__(self, pid: int) -> None:
        self._pid = 0 if pid == os.getpid() else pid
        self._ticks = self._read()[0]

    def is_made(self) -> bool:
        """Return whether its main thread used the processor since the last look, or waits only for a processor."""
        before = self._ticks
        self._ticks, state = self._read()
        return self._ticks != before or state == _RUNNABLE

    def _read(self) -> tuple[int, bytes]:
        try:
            with open(f"/proc/{self._pid}/task/{self._pid}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
            return int(fields[_UTIME]) + int(fields[_STIME]), fields[_STATE]
        except (OSError, IndexError, ValueError):
            return 0, b""
