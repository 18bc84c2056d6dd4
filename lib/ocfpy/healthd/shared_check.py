"""A check that several pools share, and each pool's subscription to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ocfpy.healthd.allowance import allowance_of, attempts_in_a_hurry

if TYPE_CHECKING:
    from typing import Protocol

    from ocfpy.healthd.check_request import CheckRequest, OnChange
    from ocfpy.healthd.check_state import CheckState
    from ocfpy.pool.placement import CheckKey

    class Owner(Protocol):
        """The owner of all subscriptions: RemoteChecks."""

        def end(self, subscription: Subscription) -> None:
            """End a subscription."""

        def fault(self, name: str, error: Exception) -> None:
            """Report an exception of an engine that was told of a change."""


class GroupKey(NamedTuple):
    """Which checks share a checker: commands of one user, "" for all other checks; or those of an isolated pool."""

    user: str
    pool: str = ""


class SharedCheck:
    """One check for all pools that want it, and its state."""

    __slots__ = ("number", "request", "results", "sockets", "state", "subscriptions")

    def __init__(self, number: int, request: CheckRequest, state: CheckState) -> None:
        self.number = number
        self.request = request
        self.state = state
        self.subscriptions: list[Subscription] = []
        self.results, self.sockets = allowance_of(request.settings), allowance_of(request.settings)

    def hurry(self) -> None:
        """Its attempts follow each other without a pause until there is a verdict."""
        attempts = attempts_in_a_hurry(self.request.settings)
        self.results.grant(attempts)
        self.sockets.grant(attempts)


class Subscription:
    """One pool's share of a check."""

    def __init__(self, owner: Owner, state: CheckState, request: CheckRequest, on_change: OnChange) -> None:
        self._owner = owner
        self.state = state
        self.request = request
        self._on_change = on_change
        self.shared: SharedCheck
        self.key: tuple[CheckKey, GroupKey]

    def end(self) -> None:
        """End it; no further result reaches the state."""
        self._owner.end(self)

    def deliver(self) -> None:
        """Copy the state of the shared check."""
        state, known = self.state, self.shared.state
        before, percent = state.verdict, state.percent
        if known.verdict.up is not None or before.up is None:
            state.verdict = known.verdict
        state.result = known.result
        state.next_at = known.next_at
        try:
            self._on_change(state, before, percent)
        except Exception as error:
            self._owner.fault(state.name, error)

    def deliver_late(self, shared: SharedCheck) -> None:
        """The same for a subscription that began later, unless it has ended or moved meanwhile."""
        if self in shared.subscriptions:
            self.deliver()

    def refresh(self) -> None:
        """Copy the values that are not news."""
        self.state.next_at = self.shared.state.next_at
        result = self.shared.state.result
        if self.state.result is not None and result is not None:
            self.state.result = self.state.result._replace(seconds=result.seconds)
