"""Slow start: the weight of a server that is back grows in a few steps of equal length, without I/O."""

from __future__ import annotations

MAX_STEPS = 10
"""Steps of a slow start. More would change the table more often without a visible difference."""


def weight_after(weight: int, elapsed: float, duration: float) -> int:
    """Return the current weight of a server that is back for `elapsed` seconds of `duration`; `weight` is the final one.

    It is never 0, never shrinks, and is complete at the end.
    """
    steps = min(weight, MAX_STEPS)
    ended = sum(1 for end in _ends(steps, duration) if end <= elapsed)
    return weight * min(ended + 1, steps) // steps if steps else 0


def next_step(weight: int, elapsed: float, duration: float) -> float:
    """Return the seconds from the beginning to the next change of the weight, or to the end."""
    return min((end for end in _ends(min(weight, MAX_STEPS), duration) if end > elapsed), default=duration)


def _ends(steps: int, duration: float) -> list[float]:
    """Return when each step ends. Both functions use these instants, so that rounding cannot make them differ."""
    return [(n + 1) * duration / steps for n in range(steps)]
