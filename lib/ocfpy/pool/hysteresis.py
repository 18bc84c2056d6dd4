"""Turns results into a verdict: `rise` and `fall` as one step without I/O."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Verdict:
    """The state of a real server by its checks.

    `up` is None before the first verdict. `against` counts the consecutive results that contradict `up`.
    `trusted` says that the kernel already sent traffic to the server when this daemon started: see `step`.
    """

    up: bool | None = None
    against: int = 0
    trusted: bool = False


def step(verdict: Verdict, ok: bool, rise: int, fall: int) -> Verdict:
    """Return the verdict after one more result.

    1. The first result decides about a new server, so that a pool starts within one check.
    2. A server that was already in service (the daemon was restarted) keeps its place until `fall` results in
       a row are bad: one lost packet at a restart must not take it out.
    3. From then on `rise` good results in a row bring a server back, `fall` bad ones take it out.
    """
    if verdict.up == ok:
        return Verdict(ok)
    against = verdict.against + 1
    needed = rise if ok else fall
    if verdict.up is None and not (verdict.trusted and not ok):
        needed = 1
    return Verdict(ok) if against >= needed else Verdict(verdict.up, against, verdict.trusted)
