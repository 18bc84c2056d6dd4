"""Slow start."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from ocfpy.pool.ramp import MAX_STEPS, next_step, weight_after

from tests.unit.ipvs.tables import bounded


def test_in_ten_steps() -> None:
    assert [weight_after(100, at, 30.0) for at in (0, 2.9, 3, 15, 29.9, 30, 99)] == [10, 10, 20, 60, 100, 100, 100]
    assert [next_step(100, at, 30.0) for at in (0, 3, 28)] == [3.0, 6.0, 30.0]


def test_small_weights_have_few_steps() -> None:
    assert [weight_after(3, at, 30.0) for at in (0, 9, 11, 21, 30)] == [1, 1, 2, 3, 3]
    assert weight_after(1, 0, 30.0) == 1
    assert weight_after(0, 0, 30.0) == 0


@bounded
@given(st.integers(1, 65535), st.floats(0.1, 3600))
def test_it_grows_in_few_steps_and_is_whole_at_the_end(weight: int, duration: float) -> None:
    at, seen = 0.0, []
    while at < duration:
        seen.append(weight_after(weight, at, duration))
        after = next_step(weight, at, duration)
        assert after > at
        at = after
    seen.append(weight_after(weight, at, duration))
    assert seen == sorted(seen)
    assert seen[0] >= 1
    assert seen[-1] == weight
    assert len(seen) <= MAX_STEPS + 2
