"""Logs one line for each change that neighbors see, and remembers the last one."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocfpy.ocf.context import Context

TOLD, SINCE, TROUBLE = "told", "since", "trouble"
"""Keys of the state file: the neighbors that had the route, when it was announced (seconds since the epoch), the last failure."""


class Journal:
    """The log of one announcement. If it cannot be remembered, the line is logged again."""

    __slots__ = ("_context",)

    def __init__(self, context: Context) -> None:
        self._context = context

    def announced(self, prefix: str, told: Sequence[str]) -> None:
        """Log the end of a start."""
        names = " ".join(told)
        self._context.log.info(f"{self._context.action}: announced {prefix} to {names or 'no neighbor'}")
        self._remember({TOLD: names, SINCE: str(int(time.time())), TROUBLE: ""})

    def seen(self, prefix: str, told: Sequence[str], causes: Callable[[], Sequence[str]]) -> None:
        """Log what a monitor found; causes is called only when a neighbor has lost the route."""
        record = self._context.state.read()
        if record is None or TOLD not in record or self._context.is_probe:
            return
        before = record[TOLD].split()
        lost = [name for name in before if name not in told]
        gained = [name for name in told if name not in before]
        if lost:
            why = "; ".join(causes()) or "bgpd does not say why"
            self._context.log.warning(f"{prefix} is gone from {' '.join(lost)}, {len(told)} neighbors have it: {why}")
        if gained:
            self._context.log.info(f"{prefix} is sent to {' '.join(gained)}, {len(told)} neighbors have it")
        if lost or gained:
            self._remember({TOLD: " ".join(told)})

    def failed(self, reason: str) -> None:
        """Remember that a monitor failed: the stop that follows logs why."""
        record = self._context.state.read()
        if record is not None and record.get(TROUBLE) != reason and not self._context.is_probe:
            self._remember({TROUBLE: reason})

    def withdrawn(self, prefix: str, told: Sequence[str], drained_s: float, claim: dict[str, str]) -> None:
        """Log that a stop has withdrawn the route."""
        words = [f"stop: withdrew {prefix} from {' '.join(told) or 'no neighbor'}"]
        since = claim.get(SINCE, "")
        if since.isascii() and since.isdigit():
            words.append(f"announced for {max(0, int(time.time()) - int(since))} s")
        if drained_s:
            words.append(f"drained for {drained_s:.1f} s")
        trouble = claim.get(TROUBLE)
        words.append(f"after a monitor failed: {trouble}" if trouble else "as the cluster asked")
        self._context.log.info(", ".join(words))

    def _remember(self, entries: dict[str, str]) -> None:
        try:
            self._context.state.update(entries)
        except (OSError, ValueError) as error:
            self._context.log.debug(f"{self._context.state.path}: {error}")
