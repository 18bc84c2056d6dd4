"""Finds the process behind bgpd's socket, and tells one that works from one that stands still.

A bgpd that is busy with a full table, or with an answer of a hundred megabytes to an operator, takes seconds to answer and uses
the processor meanwhile; one that hangs (stopped, dead-locked, waiting for a disk) does not. Its vty is served by the main
thread, and so that one alone is looked at: the thread that sends keepalives goes on.
"""

from __future__ import annotations

import os

PROCESS_NAME = "bgpd"
# Fields of /proc/PID/stat behind the name (proc(5)).
_STATE, _UTIME, _STIME = 0, 11, 12
_RUNNABLE = b"R"  # it works, or would if it had a processor


def pid_from_file(vty_path: str) -> int:
    """Return the pid in bgpd.pid, which FRR keeps beside bgpd.vty unless it was told otherwise; 0 when that is no bgpd."""
    try:
        with open(os.path.join(os.path.dirname(vty_path), "bgpd.pid"), encoding="ascii") as file:
            return if_bgpd(int(file.read()))
    except (OSError, ValueError):
        return 0


def if_bgpd(pid: int) -> int:
    """Return the pid if that is a bgpd, otherwise 0: a pid file may be old, and its number that of another process by now."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return pid if file.read().strip() == PROCESS_NAME else 0
    except OSError:
        return 0


class Progress:
    """Looks at a process now and then; pid 0 is one that is not known, and makes no progress that could be seen.

    So is this process itself, which works for as long as it looks.
    """

    __slots__ = ("_pid", "_ticks")

    def __init__(self, pid: int) -> None:
        self._pid = 0 if pid == os.getpid() else pid
        self._ticks = self._read()[0]

    def is_made(self) -> bool:
        """Whether its main thread has used the processor since the last look, or waits for nothing but a processor."""
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
