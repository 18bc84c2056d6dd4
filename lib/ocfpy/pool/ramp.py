"""Slow start: the weight of a server that is back grows in a few steps of equal length, without I/O."""

from __future__ import annotations

MAX_STEPS = 10
"""More would touch the table more often, and nobody could tell the difference."""


def weight_after(weight: int, elapsed: float, duration: float) -> int:
    """The weight, of `weight` in the end, of a server that is back for `elapsed` seconds of `duration`.

    It is never 0, never shrinks, and is whole at the end.
    """
    steps = min(weight, MAX_STEPS)
    ended = sum(1 for end in _ends(steps, duration) if end <= elapsed)
    return weight * min(ended + 1, steps) // steps if steps else 0


def next_step(weight: int, elapsed: float, duration: float) -> float:
    """Seconds from the beginning to the next change of the weight, or to the end."""
    return min((end for end in _ends(min(weight, MAX_STEPS), duration) if end > elapsed), default=duration)


def _ends(steps: int, duration: float) -> list[float]:
    """When each step ends. Both functions go by these instants, so that they cannot differ by a rounding."""
    return [(n + 1) * duration / steps for n in range(steps)]
