"""One check of one server, and what is believed because of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ocfpy.checks.base import Result
    from ocfpy.checks.settings import CheckSettings
    from ocfpy.healthd.check_loop import Run
    from ocfpy.pool.hysteresis import Verdict


class CheckState:
    """One check and what it says. Real servers of several virtual services that are checked alike share one.

    `since` and `next_at` are seconds since the epoch, `failed_at` is of a clock that does not jump, 0 for never.
    """

    def __init__(self, name: str, settings: CheckSettings, verdict: Verdict, now: float) -> None:
        self.name = name
        self.settings = settings
        self.verdict = verdict
        self.since = now
        self.failed_at = 0.0
        self.result: Result | None = None
        self.next_at = now
        self.run: Run | None = None

    @property
    def reason(self) -> str:
        """Why the last check failed, or empty."""
        return self.result.reason if self.result else ""

    @property
    def percent(self) -> int:
        """The share of its weight that the server asks for."""
        return 100 if self.result is None or self.result.weight is None else self.result.weight
