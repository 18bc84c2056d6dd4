"""Checks at the same instants everywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocfpy.healthd.schedule import delay_until_due, delay_until_retry, phase

INTERVALS = st.floats(0.1, 3600)


@given(st.text(max_size=80), INTERVALS)
def test_a_phase_is_within_the_interval_and_always_the_same(identity: str, interval: float) -> None:
    assert 0 <= phase(identity, interval) < interval
    assert phase(identity, interval) == phase(identity, interval)


@given(
    st.floats(1e9, 2e9),
    st.floats(1e9, 2e9),
    st.sampled_from([0.25, 0.5, 1.0, 2.0, 10.0]),
    st.floats(0, 0.999),
)
def test_two_nodes_meet_whenever_they_started(
    one: float, other: float, interval: float, share: float
) -> None:
    offset = share * interval
    instants = []
    for started in (one, other):
        for _ in range(3):
            started += delay_until_due(started, started, interval, offset)
        instants.append((started - offset) / interval)
    for instant in instants:
        assert abs(instant - round(instant)) < 1e-3


@given(st.floats(1e9, 2e9), INTERVALS, st.floats(0, 0.999))
def test_checks_are_at_least_half_and_at_most_one_and_a_half_intervals_apart(
    started: float, interval: float, share: float
) -> None:
    delay = delay_until_due(started, started, interval, share * interval)
    assert 0.499 * interval <= delay <= 1.501 * interval


def test_in_step_it_is_one_interval() -> None:
    assert delay_until_due(100.5, 100.5, 2.0, 0.5) == 2.0


def test_a_timer_that_fires_early_does_not_check_twice() -> None:
    assert delay_until_due(100.499, 100.499, 2.0, 0.5) == pytest.approx(2.001)


def test_what_is_overdue_is_done_at_once() -> None:
    assert delay_until_due(100.5, 102.6, 2.0, 0.5) == 0.0


def test_a_clock_set_back_by_a_day_suspends_nothing() -> None:
    assert delay_until_due(100000.5, 13600.5, 2.0, 0.5) == 3.0


def test_a_retry_counts_from_the_beginning_of_the_check_before() -> None:
    assert delay_until_retry(100.5, 100.5, 0.25) == 0.25
    assert delay_until_retry(100.5, 100.625, 0.25) == 0.125
    assert delay_until_retry(100.5, 101.5, 0.25) == 0.0
    assert delay_until_retry(100000.5, 13600.5, 0.25) == 0.25, "a clock set back by a day suspends nothing"
