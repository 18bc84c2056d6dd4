"""The state of one check of one server: its last result and the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocfpy.pool.hysteresis import step

if TYPE_CHECKING:
    from typing import Protocol

    from ocfpy.checks.result import Result
    from ocfpy.checks.settings import CheckSettings
    from ocfpy.pool.hysteresis import Verdict

    class Handle(Protocol):
        """A check that is being repeated."""

        def end(self) -> None:
            """End the check; no further result reaches the state."""


class CheckState:
    """The state of one check. Real servers of several virtual services with the same check share one.

    `since` and `next_at` are seconds since the epoch, `failed_at` is on a clock that does not jump, 0 for never. `run` is the
    running check, None for a server that is not checked.
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
        """Why the last check failed or could not be made; empty after a success."""
        return self.result.reason if self.result else ""

    @property
    def percent(self) -> int:
        """The percentage of its weight that the server asks for."""
        return 100 if self.result is None or self.result.weight is None else self.result.weight

    def take(self, result: Result) -> None:
        """Apply the result of one attempt. An attempt that this node could not make leaves verdict and weight unchanged."""
        if result.ok is None:
            self.result = result._replace(weight=self.result.weight if self.result else None)
            return
        self.result = result
        self.verdict = step(self.verdict, result.ok, self.settings.rise, self.settings.fall)
