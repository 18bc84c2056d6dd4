"""Regular expressions that come to an end: one that does not must not hold up all other checks, and the monitor."""

from __future__ import annotations

import re
import signal
import threading

from ocfpy.checks.errors import CheckFailed

LIMIT_S = 0.1
"""Of processor time for one search; a mebibyte takes a good pattern 5 to 30 milliseconds."""
AT_ONCE = 32
"""So many characters are tried as the beginning of a match before signals are looked at, at the latest."""
_FLAGS = re.compile(r"(?:\(\?[aimsux]+\)|\(\?#[^)]*\))*")
"""What applies to all of an expression, and may be at its beginning only; comments among it."""


class _TimeIsUp(Exception):
    """Raised by the signal's handler, out of the midst of a search."""


class Pattern:
    """A compiled expression, searched for in no more than LIMIT_S. The constructor raises re.error and the like.

    Python's re keeps the interpreter to itself while it backtracks, so no thread could put an end to it. It does look for
    signals, once in 4096 steps (MAYBE_CHECK_SIGNALS in Modules/_sre/sre_lib.h), and gives up when a handler raises. But it
    counts them anew for each beginning of a match, and `.*` is one step however far it goes: a search for `.*ok` would look
    at the rest of the text from each character of it, for minutes, and at no signal. So it is done in parts, by matches that
    may begin at so many characters. The timer is one of processor time: a node that has other things to do fails no server.
    """

    def __init__(self, expression: str) -> None:
        self._expression = expression
        flags = re.compile(expression, re.MULTILINE).flags  # as it is, for the errors and what the flags in it come to
        rest = _FLAGS.sub("", expression, count=1)
        end = "\n)" if flags & re.VERBOSE else ")"  # of a comment
        self._part = re.compile(f"(?s:.{{0,{AT_ONCE - 1}}})(?:{rest}{end}", flags)
        self._searching = False

    def found_in(self, text: str) -> bool:
        """Whether the expression matches some part of `text`. Raises CheckFailed when that cannot be told in time."""
        if threading.current_thread() is not threading.main_thread():
            return self._search(text)  # handlers run in the main thread, where the daemon's checks are
        signal.signal(signal.SIGVTALRM, self._ring)
        try:
            self._searching = True
            signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)
            try:
                return self._search(text)
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
                self._searching = False
        except _TimeIsUp:
            raise CheckFailed(
                f"'re:{self._expression}' takes more than {1000 * LIMIT_S:g} ms for {len(text)} characters:"
                " has it one repetition within another?"
            ) from None

    def _search(self, text: str) -> bool:
        match = self._part.match
        return any(match(text, begin) for begin in range(0, len(text) + 1, AT_ONCE))

    def _ring(self, number: int, frame: object) -> None:
        if self._searching:  # else it comes too late
            raise _TimeIsUp
