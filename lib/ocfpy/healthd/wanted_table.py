"""Works out the wanted table of a pool, and logs what becomes of its servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocfpy.ipvs.model import endpoint
from ocfpy.pool.desired import IDLE, NEVER, Desired

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocfpy.healthd.ipvs_worker import Connections
    from ocfpy.ipvs.model import VirtualService
    from ocfpy.ocf.context import Log
    from ocfpy.pool.desired import See, Where
    from ocfpy.pool.spec import PoolSpec


class WantedTable:
    """`desired` is the pure part; `due` the instant of the loop's clock at which it changes by itself."""

    def __init__(self, desired: Desired, log: Log) -> None:
        self.desired = desired
        self.due = NEVER
        self._log = log
        self._said_of_leaving: dict[VirtualService, str] = {}

    def update(self, spec: PoolSpec, see: See, now: float) -> bool:
        """Work out the table; return whether leaving servers have handed over to new ones."""
        desired = self.desired
        pooled, draining, leaving = desired.pooled(), set(desired.draining), desired.leaving_servers()
        desired.update(spec, see, now)
        self.due = desired.next_change(now)
        self._log_leaving(spec)
        for virtual, servers in desired.pooled().items():
            if servers - pooled.get(virtual, set()):
                names = ", ".join(endpoint(*key) for key in sorted(servers, key=str))
                self._log.warning(f"min_up keeps servers of {virtual} in service that are down: {names}")
        for virtual, key in desired.draining.keys() - draining:
            self._log.info(f"draining {endpoint(*key)} of {virtual}: weight 0 until its connections have ended")
        return bool(leaving - desired.leaving_servers())

    def end_drains(self, busy: Connections, now: float) -> bool:
        """Remove servers that have drained with the next update; return whether there are any."""
        ended = self.desired.end_drains(busy, now)
        for virtual, key in ended:
            left = busy.get((virtual, key), IDLE)
            how = "has drained" if left == IDLE else f"is removed with {left}: drain_timeout is over"
            self._log.info(f"{endpoint(*key)} of {virtual} {how}")
        return bool(ended)

    def leave_out(self, removed: Iterable[Where]) -> None:
        """Keep servers out, from the next update on, that are down and that an operator removed from the kernel."""
        self.desired.leave_out(removed)
        for virtual, key in sorted(removed, key=str):
            self._log.info(f"{endpoint(*key)} of {virtual} is down and was removed by hand: it stays out until it is up")

    def _log_leaving(self, spec: PoolSpec) -> None:
        """Log which servers keep serving although they are leaving: when that begins, and when the new ones are not up."""
        lines: dict[VirtualService, str] = {}
        for virtual in spec.virtual:
            names = ", ".join(map(str, self.desired.still_serving(virtual)))
            if not names:
                continue
            is_stuck = self.desired.is_handover_stuck(virtual)
            until = f": {self.desired.handover(virtual)}" if is_stuck else " until the new servers have been checked"
            lines[virtual] = f"{names} of {virtual} leaving, still serving{until}"
            if lines[virtual] != self._said_of_leaving.get(virtual):
                (self._log.warning if is_stuck else self._log.info)(lines[virtual])
        self._said_of_leaving = lines
