"""Notices which services of a pool another program changes, and says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ocfpy.ipvs.model import VirtualService
    from ocfpy.ipvs.plan import Change
    from ocfpy.ocf.context import Log

DRIFTS_UNTIL_CONTESTED = 3
"""Reverts of the same service in a row after which another program counts as fighting over it."""
CHANGES_NAMED = 5
"""Changes that one line of the log names."""


class Drift:
    """Counts the comparisons in a row that found a service changed. `contested` are the services that another program manages."""

    def __init__(self, log: Log) -> None:
        self.contested: frozenset[VirtualService] = frozenset()
        self._log = log
        self._times: dict[VirtualService, int] = {}

    def note(self, reverted: list[Change]) -> None:
        """Take in what one comparison had to revert: nothing, as a rule."""
        touched = {change.virtual for change in reverted}
        self._times = {virtual: self._times.get(virtual, 0) + 1 for virtual in touched}
        contested = frozenset(one for one, times in self._times.items() if times >= DRIFTS_UNTIL_CONTESTED)
        for virtual in sorted(contested - self.contested, key=str):
            self._log.warning(f"another program keeps changing {virtual}: stop the other daemon that manages it")
        self.contested = contested
        news = [change for change in reverted if change.virtual not in contested]
        if news:
            more = f" (and {len(news) - CHANGES_NAMED} more)" if len(news) > CHANGES_NAMED else ""
            self._log.warning(f"IPVS table was changed externally, reverted: {'; '.join(map(str, news[:CHANGES_NAMED]))}{more}")
