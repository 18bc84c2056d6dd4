"""The monitor's answer about an adopted pool that has no verdict on every real server in time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocfpy.healthd.client import DEGRADED, FAILED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocfpy.healthd.engine import Engine

SPARE_S = 30.0
"""Seconds that an adopted pool has for its verdicts, besides the longest time that its checks may take: the new daemon starts
checkers and adopts other pools at the same time."""
NAMED = 4
"""Real servers that a sentence names."""


def patience_s(engine: Engine | None) -> float:
    """Seconds after which an adopted pool should have a verdict on every real server."""
    return SPARE_S + (engine.spec.first_verdict_s if engine is not None else 0.0)


def overdue_line(engine: Engine | None, seconds: float) -> str:
    """Return the answer to monitor, `seconds` after the pool was adopted.

    Failed while a check has given no result at all: then the server is not checked. Degraded when checks were made or tried
    but do not tell whether the server is alive; it keeps its traffic.
    """
    replaced = f"{seconds:.0f} s after the health daemon was replaced"
    if engine is None:
        return f"{FAILED} the pool does not run yet, {replaced}"
    undecided = [
        (str(real), state)
        for service in engine.spec.services
        for real in service.reals.values()
        for state in [engine.watch_of(service, real)]
        if state.verdict.up is None
    ]
    silent = [name for name, state in undecided if state.result is None]
    if silent:
        return f"{FAILED} no check of {_named(silent)} has given a result, {replaced}"
    if not undecided:
        return f"{FAILED} the pool's real servers are checked, but it does not run, {replaced}: see the system log"
    reason = next((state.reason for _, state in undecided if state.reason), "the checks contradict each other")
    names = _named([name for name, _ in undecided])
    return f"{DEGRADED} no verdict on {names}, {replaced}, so the traffic stays as it was: {reason}"


def _named(names: Sequence[str]) -> str:
    unique = list(dict.fromkeys(names))
    more = f" and {len(unique) - NAMED} more" if len(unique) > NAMED else ""
    return ", ".join(unique[:NAMED]) + more
