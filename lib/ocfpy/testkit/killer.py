"""Runs an action of an agent made with ocfpy and kills it at its n-th step: killer.py WHERE N COUNTED MODULE:CLASS ACTION.

WHERE is "effect", a step being a change outside of the process (as Python's audit events report it), or
"line", a step being a line of the library. With N = 0 nothing is killed. The file COUNTED then holds the number of steps.
The agent itself is unchanged: the hooks are the interpreter's.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

LIBRARY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SIGKILL = 9
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_EFFECTS = {
    "fcntl.flock", "os.chmod", "os.exec", "os.fork", "os.kill", "os.link", "os.mkdir", "os.posix_spawn", "os.remove",
    "os.rename", "os.rmdir", "os.truncate", "socket.bind", "socket.connect", "socket.sendmsg", "socket.sendto",
    "subprocess.Popen",
}  # fmt: skip


class Killer:
    """Counts steps and ends the process before the requested one, like Pacemaker's SIGKILL."""

    def __init__(self, where: str, due: int, counted: str) -> None:
        self._due = due
        self._steps = 0
        self._fd = os.open(counted, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        if where == "effect":
            sys.addaudithook(self._audit)
        else:
            sys.settrace(self._trace)

    def _audit(self, event: str, details: tuple[Any, ...]) -> None:
        if event in _EFFECTS or (event == "open" and isinstance(details[2], int) and details[2] & _WRITES):
            self._step()

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(LIBRARY):
            return None
        if event == "line":
            self._step()
        return self._trace

    def _step(self) -> None:
        self._steps += 1
        os.pwrite(self._fd, b"%d" % self._steps, 0)
        if self._steps == self._due:
            self._due = 0  # the signal is an audit event itself
            os.kill(os.getpid(), SIGKILL)


def main() -> None:
    """Run the action, like bin/agent."""
    sys.path[:] = [path for path in sys.path if path != os.path.dirname(os.path.abspath(__file__))]
    sys.path.insert(0, LIBRARY)
    where, due, counted, target = sys.argv[1:5]
    from ocfpy.ocf.dispatch import run

    module, _, name = target.partition(":")
    agent = getattr(__import__(module, fromlist=[name]), name)
    sys.argv[:] = [agent.name, *sys.argv[5:]]
    Killer(where, int(due), counted)
    run(agent)


if __name__ == "__main__":
    main()
