"""Rise and fall."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocfpy.pool.hysteresis import Verdict, step


def verdicts(results: str, start: Verdict, rise: int = 2, fall: int = 3) -> str:
    """The verdict after each result, "+" up, "-" down, "?" none yet."""
    shown = ""
    for result in results:
        start = step(start, result == "+", rise, fall)
        shown += {True: "+", False: "-", None: "?"}[start.up]
    return shown


@pytest.mark.parametrize(
    ("start", "results", "expected"),
    [
        (Verdict(), "+", "+"),
        (Verdict(), "-", "-"),
        (Verdict(True), "---", "++-"),
        (Verdict(True), "--+---", "+++++-"),
        (Verdict(False), "++", "-+"),
        (Verdict(False), "+-++", "---+"),
        (Verdict(trusted=True), "+", "+"),
        (Verdict(trusted=True), "---", "??-"),
        (Verdict(trusted=True), "--+---", "??+++-"),
    ],
)
def test_the_rules(start: Verdict, results: str, expected: str) -> None:
    assert verdicts(results, start) == expected


@given(st.text("+-", max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_a_verdict_only_changes_after_enough_results_in_a_row(results: str, rise: int, fall: int) -> None:
    shown = verdicts("+" + results, Verdict(), rise, fall)
    for position in range(1, len(shown)):
        if shown[position] != shown[position - 1]:
            needed = rise if shown[position] == "+" else fall
            assert ("+" + results)[: position + 1].endswith(shown[position] * needed)


@given(st.booleans(), st.integers(1, 9), st.integers(1, 9))
def test_no_verdict_survives_enough_results_to_the_contrary(up: bool, rise: int, fall: int) -> None:
    verdict = Verdict(up)
    for _ in range(fall if up else rise):
        verdict = step(verdict, not up, rise, fall)
    assert verdict == Verdict(not up)
