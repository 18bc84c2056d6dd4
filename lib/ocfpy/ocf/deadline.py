"""The time an action has left, and waiting that never outlasts it."""

from __future__ import annotations

import os
import time

from ocfpy.ocf.errors import DeadlineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

POLL_S = 0.02
_STARTTIME = 19  # of the fields of /proc/PID/stat behind the name (proc(5))


def process_age(pid: int | str = "self") -> float:
    """Return the age of this process in seconds, precise to a clock tick; 0.0 if the kernel does not tell.

    It includes the time before an exec, and is how long Pacemaker has been waiting for an action.
    """
    try:
        # Not open(), which asks about the file five times before it reads.
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            ticks = int(os.read(fd, 4096).rpartition(b")")[2].split()[_STARTTIME])
        finally:
            os.close(fd)
    except (OSError, IndexError, ValueError):
        return 0.0
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))


class Deadline:
    """A point in time, `seconds` after its creation; step names what the action waits for."""

    __slots__ = ("_clock", "_end", "_sleep", "seconds", "step")

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.seconds = seconds
        self.step = ""
        self._clock = clock
        self._sleep = sleep
        self._end = clock() + seconds

    def remaining(self) -> float:
        """Return the seconds left, at least 0.0."""
        return max(0.0, self._end - self._clock())

    def check(self, what: str) -> None:
        """Raise DeadlineError, naming the awaited step, when no time is left."""
        self.step = what
        if self.remaining() <= 0:
            raise self.error(what)

    def error(self, what: str) -> DeadlineError:
        """Return the error that names the awaited step."""
        return DeadlineError(f"timed out after {self.seconds:.1f} s waiting for {what}")

    def sleep(self, seconds: float) -> None:
        """Sleep, but not past the deadline."""
        self._sleep(min(seconds, self.remaining()))

    def poll(self, fn: Callable[[], T], what: str, every: float = POLL_S) -> T:
        """Call fn every `every` seconds until it returns something true, and return that.

        Raises DeadlineError when time is up; fn is called at least once, and once more at the very end.
        """
        self.step = what
        while True:
            expired = self.remaining() <= 0
            value = fn()
            if value:
                return value
            if expired:
                raise self.error(what)
            self.sleep(every)
