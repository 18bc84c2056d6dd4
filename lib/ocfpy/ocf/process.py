"""Runs other programs so that they neither outlast the action nor inherit an unexpected environment."""

from __future__ import annotations

import os

from ocfpy.ocf.deadline import Deadline
from ocfpy.ocf.errors import NotInstalledError, PermissionDeniedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_REAP_S = 1.0


class Completed:
    """How a program ended: rc as subprocess has it (negative for a signal), out and err as text."""

    __slots__ = ("err", "out", "rc")

    def __init__(self, rc: int, out: str, err: str) -> None:
        self.rc = rc
        self.out = out
        self.err = err


def have_binary(name: str) -> bool:
    """Whether the program is on the fixed PATH; ocf-tester sets a variable that makes every program missing."""
    if os.environ.get("OCF_TESTER_FAIL_HAVE_BINARY"):
        return False
    places = [name] if "/" in name else [f"{directory}/{name}" for directory in PATH.split(":")]
    return any(os.path.isfile(place) and os.access(place, os.X_OK) for place in places)


def has_open(number: str, path: str) -> bool:
    """Return whether the process with that pid has the file open.

    Reads links only: an access to the files themselves could wait for a file server.
    """
    try:
        names = os.listdir(f"/proc/{number}/fd")
    except OSError:
        return False
    for name in names:
        try:
            if os.readlink(f"/proc/{number}/fd/{name}") == path:
                return True
        except OSError:
            pass  # closed meanwhile
    return False


def usage(pid: int) -> tuple[str, float]:
    """State and processor time, in seconds, of a process: proc(5), fields 3, 14 and 15 of stat."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        return fields[0], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return "", 0.0


def run(
    argv: Sequence[str],
    deadline: Deadline | float,
    input: str | None = None,
    env: Mapping[str, str] | None = None,
    package: str | None = None,
) -> Completed:
    """Run argv, without a shell, until it ends.

    deadline is a Deadline or seconds. Raises DeadlineError when time is up, after killing the program and its descendants;
    NotInstalledError, naming the package, for a missing program; PermissionDeniedError.
    It stays in the agent's process group: when Pacemaker kills that, nothing goes on that the next action could meet.
    """
    import subprocess  # 15 ms, which an action that only calls have_binary need not pay

    deadline = deadline if isinstance(deadline, Deadline) else Deadline(deadline)
    what = f"`{' '.join(argv)}`"
    deadline.check(what)
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PATH": PATH, "LC_ALL": "C", **(env or {})},
            text=True,
            encoding="utf-8",
            errors="replace",
        )
    except FileNotFoundError:
        advice = f"install package {package}" if package else "install the package that has it"
        raise NotInstalledError(f"{argv[0]} not found: {advice}") from None
    except PermissionError as error:
        raise PermissionDeniedError(f"{argv[0]} cannot be run: {error.strerror}") from None
    try:
        out, err = process.communicate(input, timeout=deadline.remaining())
    except subprocess.TimeoutExpired:
        _kill(process)
        raise deadline.error(f"{what} to end") from None
    except BaseException:
        _kill(process)
        raise
    return Completed(process.returncode, out, err)


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill the program and its descendants; a process that left may hold the pipes, so reads are bounded."""
    import signal
    import subprocess

    for pid in _family(process.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    try:
        process.communicate(timeout=_REAP_S)
    except (subprocess.TimeoutExpired, ValueError):
        pass


def _family(pid: int) -> list[int]:
    """Return the process and its descendants, parents first."""
    children: dict[int, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(name))
    family = [pid]
    for member in family:
        family += children.get(member, [])
    return family
