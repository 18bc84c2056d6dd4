"""The servers that a reload takes out and that keep serving until the new ones take over, without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ocfpy.pool.placement import UNKNOWN, UP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocfpy.checks.settings import CheckSettings
    from ocfpy.ipvs.model import RealKey, RealServer, Table, VirtualService
    from ocfpy.pool.placement import Observation, Place
    from ocfpy.pool.spec import PoolSpec, ServiceSpec


class Leaver(NamedTuple):
    """A server that is no longer wanted, with its former weight, and how it is checked: None if no configuration tells."""

    real: RealServer
    check: CheckSettings | None = None


class Handover(NamedTuple):
    """How many of the new servers of a service are up, and how many have to be before the leaving ones go."""

    up: int
    needed: int

    def __str__(self) -> str:
        return f"only {self.up} of {self.needed} new servers that it needs are up" if self.up else "no new server is up"


Leavers = dict["VirtualService", dict["RealKey", Leaver]]


def candidates(spec: PoolSpec, before: PoolSpec | None, known: Leavers) -> Leavers:
    """Return the servers of `before`, and those that were leaving already, that `spec` does not want or gives weight 0."""
    former = {service.virtual: service for service in before.services} if before is not None else {}
    found: Leavers = {}
    for service in spec.services:
        old = former.get(service.virtual)
        leavers = dict(known.get(service.virtual, {}))
        if old is not None:
            leavers.update({key: Leaver(real, old.check_of(real)) for key, real in old.reals.items() if real.weight})
        found[service.virtual] = {key: one for key, one in leavers.items() if not _stays(service, key)}
    return found


def leavers(spec: PoolSpec, table: Table, before: PoolSpec | None, known: Leavers) -> Leavers:
    """Return the servers that serve in `table` and that `spec` takes out, and those of `known` that it still does not want.

    Servers that neither `before` nor `known` explains, such as another daemon's, are among them; sorry servers are not.
    """
    former = {service.virtual: service for service in before.services} if before is not None else {}
    found: Leavers = {}
    possible = candidates(spec, before, known)
    for service in spec.services:
        virtual = service.virtual
        if not service.reals:
            continue  # no server is to come: the operator wants the service without any
        old, already = former.get(virtual), known.get(virtual, {})
        those = {key: one for key, one in possible[virtual].items() if key in already}
        for key, real in table.get(virtual, (None, {}))[1].items():
            if not real.weight:
                continue
            if key in possible[virtual]:
                those[key] = possible[virtual][key]
            elif old is None and key not in service.reals and key not in service.sorry:
                those[key] = Leaver(real)
        if those:
            found[virtual] = those
    return found


def with_candidates(spec: PoolSpec, before: PoolSpec | None, known: Leavers) -> PoolSpec:
    """Return `spec` with all servers among the real servers that may be leaving ones once it is in force."""
    possible = candidates(spec, before, known)
    return spec.replace(services=tuple(with_leavers(service, possible[service.virtual]) for service in spec.services))


def with_leavers(service: ServiceSpec, leavers: Mapping[RealKey, Leaver]) -> ServiceSpec:
    """Return the service with its leaving servers as real servers, each checked as before."""
    if not leavers:
        return service
    return service.replace(
        reals={**service.reals, **{key: leaver.real for key, leaver in leavers.items()}},
        checks={**service.checks, **{key: one.check for key, one in leavers.items() if one.check is not None}},
    )


def handover(
    service: ServiceSpec, seen: Mapping[RealKey, Observation], found: Mapping[RealKey, Place], quorum: int
) -> Handover:
    """Count the new servers that are up and have traffic, and how many have to be: as many as min_up and quorum ask for.

    `seen` and `found` are those of the configured servers. Fewer are needed where fewer can have traffic at all.
    """
    possible = sum(1 for key, real in service.reals.items() if real.weight and not seen[key].drained)
    up = sum(1 for place in found.values() if place.state == UP and place.weight)
    return Handover(up, max(1, min(max(service.min_up, quorum), possible)))


def still_needed(
    service: ServiceSpec,
    seen: Mapping[RealKey, Observation],
    found: Mapping[RealKey, Place],
    leavers: Mapping[RealKey, Leaver],
    quorum: int,
) -> dict[RealKey, Leaver]:
    """Return the leaving servers that go on serving: all, until the handover.

    One that is only set to weight 0 does so only if another server can take its place. One whose check is unknown does until
    every new server has its first verdict.
    """
    up, needed = handover(service, seen, found, quorum)
    if up >= needed:
        return {}
    replaceable = any(real.weight and not seen[key].drained for key, real in service.reals.items())
    undecided = any(place.state == UNKNOWN for place in found.values())
    return {
        key: leaver
        for key, leaver in leavers.items()
        if (replaceable or key not in service.reals) and (undecided or leaver.check is not None)
    }


def _stays(service: ServiceSpec, key: RealKey) -> bool:
    real = service.reals.get(key)
    return key in service.sorry if real is None else real.weight > 0
