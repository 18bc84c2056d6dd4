"""Regular expressions with a time limit: an endless search must not delay all other checks, and the monitor."""

from __future__ import annotations

import re

from ocfpy.checks import budget
from ocfpy.checks.errors import CheckFailed

ROUNDING_S = 1e-6
AT_ONCE = 32
"""Start positions of a match that are tried before signals are handled, at the latest."""
_FLAGS = re.compile(r"(?:\(\?[aimsux]+\)|\(\?#[^)]*\))*")
"""Flags for the whole expression, which may only be at its beginning; comments among them."""


class Pattern:
    """A compiled expression, searched within the attempt's budget. The constructor raises re.error etc.

    Python's re holds the interpreter lock while it backtracks, so no thread could stop it. It does check for
    signals, once in 4096 steps (MAYBE_CHECK_SIGNALS in Modules/_sre/sre_lib.h), and gives up when a handler raises. But it
    counts steps anew for each start position, and `.*` is one step of any length: a search for `.*ok` would scan
    the rest of the text from each character, for minutes, without checking for a signal. So the search is split into matches
    with a limited number of start positions. The limit is processor time: a busy node fails no server. It covers the whole
    answer, even one of a thousand rows or lines.
    """

    def __init__(self, expression: str) -> None:
        self._expression = expression
        flags = re.compile(expression, re.MULTILINE).flags  # the whole expression, for its errors and its flags
        rest = _FLAGS.sub("", expression, count=1)
        end = "\n)" if flags & re.VERBOSE else ")"  # of a comment
        self._part = re.compile(f"(?s:.{{0,{AT_ONCE - 1}}})(?:{rest}{end}", flags)

    def found_in(self, text: str) -> bool:
        """Return whether the expression matches some part of `text`. Raises CheckFailed when the search takes too long."""
        left = budget.current()
        try:
            return left.search(lambda: self._search(text))
        except budget.OutOfTime:
            if left.search_s > ROUNDING_S:
                raise  # the attempt as a whole is out of time
            raise CheckFailed(
                f"'re:{self._expression}' takes more than {1000 * budget.SEARCH_S:g} ms for the answer:"
                " avoid a repetition within another"
            ) from None

    def _search(self, text: str) -> bool:
        match = self._part.match
        return any(match(text, begin) for begin in range(0, len(text) + 1, AT_ONCE))
