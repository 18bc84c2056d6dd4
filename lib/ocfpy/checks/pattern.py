"""Regular expressions that come to an end: one that does not must not hold up all other checks, and the monitor."""

from __future__ import annotations

import re

from ocfpy.checks import budget
from ocfpy.checks.errors import CheckFailed

ROUNDING_S = 1e-6
AT_ONCE = 32
"""So many characters are tried as the beginning of a match before signals are looked at, at the latest."""
_FLAGS = re.compile(r"(?:\(\?[aimsux]+\)|\(\?#[^)]*\))*")
"""What applies to all of an expression, and may be at its beginning only; comments among it."""


class Pattern:
    """A compiled expression, searched for in the time that an attempt's budget has for it. The constructor raises re.error etc.

    Python's re keeps the interpreter to itself while it backtracks, so no thread could put an end to it. It does look for
    signals, once in 4096 steps (MAYBE_CHECK_SIGNALS in Modules/_sre/sre_lib.h), and gives up when a handler raises. But it
    counts them anew for each beginning of a match, and `.*` is one step however far it goes: a search for `.*ok` would look
    at the rest of the text from each character of it, for minutes, and at no signal. So it is done in parts, by matches that
    may begin at so many characters. The time is processor time: a node that has other things to do fails no server. It is
    for all of an answer: one that comes in a thousand rows or lines has no more of it.
    """

    def __init__(self, expression: str) -> None:
        self._expression = expression
        flags = re.compile(expression, re.MULTILINE).flags  # as it is, for the errors and what the flags in it come to
        rest = _FLAGS.sub("", expression, count=1)
        end = "\n)" if flags & re.VERBOSE else ")"  # of a comment
        self._part = re.compile(f"(?s:.{{0,{AT_ONCE - 1}}})(?:{rest}{end}", flags)

    def found_in(self, text: str) -> bool:
        """Whether the expression matches some part of `text`. Raises CheckFailed when that cannot be told in time."""
        left = budget.current()
        try:
            return left.search(lambda: self._search(text))
        except budget.OutOfTime:
            if left.search_s > ROUNDING_S:
                raise  # it is the attempt as a whole that has no more time
            raise CheckFailed(
                f"'re:{self._expression}' takes more than {1000 * budget.SEARCH_S:g} ms for the answer:"
                " has it one repetition within another?"
            ) from None

    def _search(self, text: str) -> bool:
        match = self._part.match
        return any(match(text, begin) for begin in range(0, len(text) + 1, AT_ONCE))
