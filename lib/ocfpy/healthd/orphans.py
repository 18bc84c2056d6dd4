"""Find and kill commands of checks that outlived their process, because SIGKILL gave it no time to kill them.

A variable in the environment of each command, and of everything that it starts, says which daemon it belongs to. So the daemon
keeps no list of processes, and no pid is trusted that may have been reused. Any user can put the variable into the environment
of a process: so only processes of the users that commands run as are killed, one by one.
"""

from __future__ import annotations

import os

from ocfpy.checks.command_mark import MARK
from ocfpy.ocf.state import remove_file, replace_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

UIDS = "healthd.uids"
"""The file with the users, by number, that commands have run as besides the usual ones. Only root can write to its directory."""
SIGKILL = 9
"""As in signal, whose import takes longer than all the rest of this."""


def kill_orphans(base: str, uids: Collection[int] = ()) -> None:
    """Kill the commands, and their process groups, of the daemon whose files are at `base`; the caller holds its lock.

    `base` may also end in # and the number of a checker: then only that checker's commands are killed. Only processes of the
    users `uids` are killed; by default those of this process's user, of the unprivileged checkers' user, and of the users that
    `record_uid` noted.
    """
    uids = uids or {*_usual_uids(), *_recorded_uids(base)}
    marked = {pid for pid in _processes() if _is_marked(pid, base) and _uid(pid) in uids}
    groups = {group for group in map(_group, marked) if group}
    for pid in _processes():
        if pid in marked or _group(pid) in groups:
            _kill(pid, uids, groups, base)


def record_uid(base: str, uid: int) -> None:
    """Note that commands of the daemon at the directory `base` run as this user, so that they are found. Raises OSError."""
    uids = _recorded_uids(base)
    if uid not in uids:
        replace_file(f"{base}/{UIDS}", "".join(f"{one}\n" for one in sorted({*uids, uid})).encode())


def forget_uids(base: str) -> None:
    """Remove the note: no command is left. Raises OSError."""
    remove_file(f"{base}/{UIDS}")


def _recorded_uids(base: str) -> set[int]:
    try:
        with open(f"{base}/{UIDS}", encoding="ascii", errors="replace") as file:
            return {int(line) for line in file if line.strip().isdigit()}
    except OSError:
        return set()


def _kill(pid: int, uids: Collection[int], groups: set[int], base: str) -> None:
    """Kill a process if it still is what it was found to be."""
    try:
        fd = os.pidfd_open(pid)
    except OSError:
        return  # it has ended
    try:
        # From here on the signal fails if the pid is reused.
        if _uid(pid) in uids and (_is_marked(pid, base) or _group(pid) in groups):
            from signal import pidfd_send_signal

            pidfd_send_signal(fd, SIGKILL)
    except OSError:
        pass
    finally:
        os.close(fd)


def _usual_uids() -> set[int]:
    from ocfpy.healthd.privileges import find_user

    return {os.getuid(), find_user().uid}


def _processes() -> list[int]:
    mine = os.getpid()
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if pid != mine]


def _is_marked(pid: int, base: str) -> bool:
    whole, part = f"{MARK}={base}".encode(), f"{MARK}={base}#".encode()
    return any(word == whole or word.startswith(part) for word in _read(pid, "environ").split(b"\0"))


def _uid(pid: int) -> int:
    """The real user of a process, -1 when it has ended. /proc/PID has another owner if the process does not dump core."""
    for line in _read(pid, "status").splitlines():
        if line.startswith(b"Uid:"):
            return int(line.split()[1])
    return -1


def _group(pid: int) -> int:
    """The process group, 0 when the process has ended."""
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


def _read(pid: int, name: str) -> bytes:
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return b""
