"""One check of one server, and what is believed because of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocfpy.pool.hysteresis import step

if TYPE_CHECKING:
    from typing import Protocol

    from ocfpy.checks.result import Result
    from ocfpy.checks.settings import CheckSettings
    from ocfpy.pool.hysteresis import Verdict

    class Handle(Protocol):
        """A check that has begun."""

        def end(self) -> None:
            """No further result reaches the state."""


class CheckState:
    """One check and what it says. Real servers of several virtual services that are checked alike share one.

    `since` and `next_at` are seconds since the epoch, `failed_at` is of a clock that does not jump, 0 for never. `run` is the
    check at work, None for a server that is not checked.
    """

    def __init__(self, name: str, settings: CheckSettings, verdict: Verdict, now: float) -> None:
        self.name = name
        self.settings = settings
        self.verdict = verdict
        self.since = now
        self.failed_at = 0.0
        self.result: Result | None = None
        self.next_at = now
        self.run: Handle | None = None

    @property
    def reason(self) -> str:
        """Why the last check failed or could not be made, or empty."""
        return self.result.reason if self.result else ""

    @property
    def percent(self) -> int:
        """The share of its weight that the server asks for."""
        return 100 if self.result is None or self.result.weight is None else self.result.weight

    def take(self, result: Result) -> None:
        """Take in the result of one attempt. One that this node could not make leaves verdict and weight as they are."""
        if result.ok is None:
            self.result = result._replace(weight=self.result.weight if self.result else None)
            return
        self.result = result
        self.verdict = step(self.verdict, result.ok, self.settings.rise, self.settings.fall)
