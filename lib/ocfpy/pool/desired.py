"""Compute the wanted table from one moment to the next, without I/O: placement, drains, slow starts, quorum.

Times are seconds of any clock that does not jump. Invariants from one table to the next (test_desired.py):

T0. A server that leaves for another reason than a failed check has weight 0 until its connections have ended,
    `drain_timeout` at the longest, and only then is removed.
T1. A service with traffic before and after a change has traffic throughout, in the order in which `plan` makes the changes.
T2. The weight of a server that comes back never shrinks, and is complete after `slow_start`.
T3. No reload takes the last weight of a service that has a live server: a server that is no longer wanted keeps its
    weight as long as it is up, until the new ones have traffic (leaving.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, NamedTuple

from ocfpy.pool.leaving import Handover, handover, leavers, still_needed, with_leavers
from ocfpy.pool.placement import (
    DOWN,
    POOLED,
    UNKNOWN,
    UP,
    Observation,
    Place,
    alive,
    has_quorum,
    kernel_members,
    places,
    quorum_needed,
)
from ocfpy.pool.ramp import next_step, weight_after

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ocfpy.ipvs.model import RealKey, RealServer, Table, VirtualService
    from ocfpy.pool.leaving import Leavers
    from ocfpy.pool.spec import PoolSpec, ServiceSpec

    Where = tuple[VirtualService, RealKey]
    Reals = dict[RealKey, RealServer]
    See = Callable[[ServiceSpec, RealServer], Observation]

NEVER = float("inf")


class Busy(NamedTuple):
    """What keeps a server from being removed: its connections, and the persistent clients that still return to it."""

    connections: int = 0
    clients: int = 0

    def __str__(self) -> str:
        clients = _counted(self.clients, "persistent client") if self.clients else ""
        connections = _counted(self.connections, "connection") if self.connections or not clients else ""
        return " and ".join(filter(None, (connections, clients)))


IDLE = Busy()


class Drain(NamedTuple):
    """A draining server: when the drain began, when it is removed even if busy, and its load at the last look."""

    begun: float
    ends: float
    busy: Busy = IDLE


class Ramp(NamedTuple):
    """A server in slow start: when it came back, its final weight, and the duration in seconds."""

    begun: float
    weight: int
    duration: float

    def weight_at(self, now: float) -> int:
        """Return the weight at this time."""
        return weight_after(self.weight, now - self.begun, self.duration)

    def next_change(self, now: float) -> float:
        """Return when the weight grows next."""
        return self.begun + next_step(self.weight, now - self.begun, self.duration)


class Desired:
    """The wanted table of a pool, and the state that carries over from one table to the next."""

    def __init__(self) -> None:
        self.table: Table = {}
        self.places: dict[VirtualService, dict[RealKey, Place]] = {}
        self.draining: dict[Where, Drain] = {}
        self.ramping: dict[Where, Ramp] = {}
        self.without_quorum: set[VirtualService] = set()
        self.leaving: Leavers = {}
        """The servers that are no longer wanted and serve until the new ones do, by service."""
        self.handovers: dict[VirtualService, Handover] = {}
        """For each service with leaving servers, how far the new ones were at the last update."""
        self.inherited: set[VirtualService] = set()
        """The services that the daemon before had."""
        self.settled = False
        """Whether the pool runs. Before that no server starts slowly: the first ones would get all traffic."""
        self._ended: set[Where] = set()
        self._left_out: set[Where] = set()

    def adopt(self, spec: PoolSpec, found: Table, before: PoolSpec | None = None) -> None:
        """Apply a specification: existing entries of services that are new to us count as ours.

        `before` is the specification that was in force, None for the first.
        """
        self.table = {**{virtual: found[virtual] for virtual in spec.virtual if virtual in found}, **self.table}
        self.leaving = leavers(spec, self.table, before, self.leaving)
        self.handovers = {}

    def update(self, spec: PoolSpec, see: See, now: float) -> Table:
        """Compute the table wanted now. `see` returns the observation of a server, without its weight in the kernel."""
        table: Table = {}
        draining, ramping = self.draining, self.ramping
        self.draining, self.ramping, self.places = {}, {}, {}
        for service in spec.services:
            before = self.table.get(service.virtual, (None, {}))[1]
            seen = _seen(service, before, see)
            found = places(service, seen)
            if self._hold_leavers(service, seen, found):
                leaving = self.leaving[service.virtual]
                service = with_leavers(service, leaving)
                seen = _seen(service, before, see)
                unchecked = {key: seen[key]._replace(up=None) for key, leaver in leaving.items() if leaver.check is None}
                found = places(service, {**seen, **unchecked})
            reals = kernel_members(service, found)
            if service.slow_start:
                self._ramp(service, found, before, reals, ramping, now)
            self._drain(service, found, before, reals, draining, now)
            for key, place in found.items():
                where = service.virtual, key
                if where in self._left_out and (place.state != DOWN or reals.pop(key, None) is None):
                    self._left_out.remove(where)
            self.places[service.virtual] = found
            table[service.virtual] = service.settings, reals
            had = service.virtual not in self.without_quorum
            count = alive(found)
            # Adopted servers without a verdict may be alive: until that is known the quorum stays as it was.
            adopted = sum(1 for place in found.values() if place.state == UNKNOWN and place.weight)
            if has_quorum(service, count, had):
                self.without_quorum.discard(service.virtual)
            elif not has_quorum(service, count + adopted, had):
                self.without_quorum.add(service.virtual)
        self._ended.clear()
        self.table = table
        return table

    def with_leavers(self, spec: PoolSpec) -> PoolSpec:
        """Return the specification with the leaving servers that are to be checked among the real servers."""
        if not self.leaving:
            return spec
        checked = {
            virtual: {key: leaver for key, leaver in leaving.items() if leaver.check is not None}
            for virtual, leaving in self.leaving.items()
        }
        return spec.replace(services=tuple(with_leavers(service, checked.get(service.virtual, {})) for service in spec.services))

    def leaving_servers(self) -> set[Where]:
        """Return the leaving servers that are to serve for as long as they are up."""
        return {(virtual, key) for virtual, leaving in self.leaving.items() for key in leaving}

    def still_serving(self, virtual: VirtualService) -> list[RealServer]:
        """Return the leaving servers of a service that have traffic."""
        found = self.places.get(virtual, {})
        return [leaver.real for key, leaver in self.leaving.get(virtual, {}).items() if key in found and found[key].weight]

    def is_handover_stuck(self, virtual: VirtualService) -> bool:
        """Whether leaving servers serve on because the new ones fail, and not because their checks are still under way."""
        if virtual not in self.handovers or not self.still_serving(virtual):
            return False
        return all(place.state != UNKNOWN for place in self.places[virtual].values())

    def handover(self, virtual: VirtualService) -> Handover:
        """Return how far the new servers of a service are that has leaving ones."""
        return self.handovers.get(virtual, Handover(0, 1))

    def next_change(self, now: float) -> float:
        """Return when a weight grows by itself, or a drain times out."""
        ramps = (ramp.next_change(now) for ramp in self.ramping.values())
        drains = (drain.ends for drain in self.draining.values())
        return min((*ramps, *drains), default=NEVER)

    def quiescent(self, spec: PoolSpec) -> set[Where]:
        """Return servers at weight 0 because they are down, which stay out if an operator removes them."""
        return {
            (service.virtual, key)
            for service in spec.services
            if not service.readd
            for key, place in self.places.get(service.virtual, {}).items()
            if place.state == DOWN and key in self.table[service.virtual][1]
        }

    def leave_out(self, removed: Iterable[Where]) -> None:
        """Keep servers out of the table, from the next update on, for as long as they are down."""
        self._left_out.update(removed)

    def end_drains(self, busy: Mapping[Where, Busy], now: float) -> list[Where]:
        """Return the servers to remove with the next update: those that are idle, and those whose drain timed out."""
        for where, drain in self.draining.items():
            self.draining[where] = drain._replace(busy=busy.get(where, IDLE))
        ended = [where for where, drain in self.draining.items() if drain.busy == IDLE or now >= drain.ends]
        self._ended.update(ended)
        return ended

    def alive(self) -> dict[VirtualService, int]:
        """Return the number of live backends of each virtual service."""
        return {virtual: alive(found) for virtual, found in self.places.items()}

    def pooled(self) -> dict[VirtualService, set[RealKey]]:
        """The servers that are down but pooled."""
        return {
            virtual: {key for key, place in found.items() if place.state == POOLED}
            for virtual, found in self.places.items()
        }

    def for_cluster(self) -> int:
        """Return the attribute's value: the live backends of the service that has the fewest, 0 for one without quorum."""
        return min(0 if virtual in self.without_quorum else count for virtual, count in self.alive().items())

    def _hold_leavers(
        self, service: ServiceSpec, seen: Mapping[RealKey, Observation], found: Mapping[RealKey, Place]
    ) -> bool:
        """Whether leaving servers go on serving; those that do not are forgotten."""
        virtual = service.virtual
        leaving = self.leaving.pop(virtual, {})
        self.handovers.pop(virtual, None)
        quorum = quorum_needed(service, virtual not in self.without_quorum)
        held = still_needed(service, seen, found, leaving, quorum) if leaving else {}
        if held:
            self.leaving[virtual] = held
            self.handovers[virtual] = handover(service, seen, found, quorum)
        return bool(held)

    def _ramp(
        self,
        service: ServiceSpec,
        found: Mapping[RealKey, Place],
        before: Reals,
        reals: Reals,
        ramping: Mapping[Where, Ramp],
        now: float,
    ) -> None:
        """Start servers that are back slowly, as long as another server can take the traffic."""
        others = self.settled and any(
            place.state == UP and key in before and before[key].weight for key, place in found.items()
        )
        for key, place in found.items():
            where, was = (service.virtual, key), before.get(key)
            ramp = ramping.get(where)
            if ramp is not None and place.state == UNKNOWN and now < ramp.begun + ramp.duration:
                self.ramping[where] = ramp  # the previous daemon's, with the weight that it set
            if place.state != UP or not place.weight:
                continue
            if ramp is not None:
                ramp = ramp._replace(weight=place.weight)
            elif others and (was is None or not was.weight):
                ramp = Ramp(now, place.weight, service.slow_start)
            if ramp is not None and now < ramp.begun + ramp.duration:
                self.ramping[where] = ramp
                reals[key] = reals[key].replace(weight=ramp.weight_at(now))

    def _drain(
        self,
        service: ServiceSpec,
        found: Mapping[RealKey, Place],
        before: Reals,
        reals: Reals,
        draining: Mapping[Where, Drain],
        now: float,
    ) -> None:
        """Keep leaving servers at weight 0 until they are drained."""
        for key, real in before.items():
            where = service.virtual, key
            failed = key in found and found[key].state == DOWN
            if key in reals or failed or not service.drain_timeout or where in self._ended:
                continue
            drain = draining.get(where) or Drain(now, now)
            self.draining[where] = drain._replace(ends=drain.begun + service.drain_timeout)
            reals[key] = real.replace(weight=0)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _seen(service: ServiceSpec, before: Reals, see: See) -> dict[RealKey, Observation]:
    seen = {}
    for key, real in service.reals.items():
        weight = before[key].weight if key in before else None
        seen[key] = see(service, real)._replace(found=weight)
    return seen
