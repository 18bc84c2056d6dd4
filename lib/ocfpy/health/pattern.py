"""Regular expressions that come to an end: one that does not must not hold up all other checks, and the monitor."""

from __future__ import annotations

import re
import signal
import threading

from ocfpy.health.checks.errors import CheckFailed

LIMIT_S = 0.05
"""Of processor time for one search; a mebibyte takes a good pattern a few milliseconds."""


class _TimeIsUp(Exception):
    """Raised by the signal's handler, out of the midst of a search."""


class Pattern:
    """A compiled expression, searched for in no more than LIMIT_S. The constructor raises re.error and the like.

    Python's re keeps the interpreter to itself while it backtracks, so no thread could put an end to it. It does look for
    signals, once in 4096 steps (MAYBE_CHECK_SIGNALS in Modules/_sre/sre_lib.h), and gives up when a handler raises. The timer
    is one of processor time: a node that has other things to do fails no server.
    """

    def __init__(self, expression: str) -> None:
        self._pattern = re.compile(expression, re.MULTILINE)
        self._searching = False

    def found_in(self, text: str) -> bool:
        """Whether the expression matches some part of `text`. Raises CheckFailed when that cannot be told in time."""
        if threading.current_thread() is not threading.main_thread():
            return self._pattern.search(text) is not None  # handlers run in the main thread, where the daemon's checks are
        signal.signal(signal.SIGVTALRM, self._ring)
        try:
            self._searching = True
            signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)
            try:
                return self._pattern.search(text) is not None
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
                self._searching = False
        except _TimeIsUp:
            raise CheckFailed(
                f"'re:{self._pattern.pattern}' takes more than {1000 * LIMIT_S:g} ms for {len(text)} characters:"
                " has it one repetition within another?"
            ) from None

    def _ring(self, number: int, frame: object) -> None:
        if self._searching:  # else it comes too late
            raise _TimeIsUp
