"""Turns verdicts into placement, without I/O: which servers of a virtual service get traffic, and which are alive.

The rules, for each virtual service separately:

1. A server drained by hand gets no traffic, even if its check succeeds.
2. A server that is up has its weight, or the percentage of it that its check asks for. If the scheduler drops the clients of a
   server at weight 0, it is removed at 0 %.
3. A server without a verdict stays as it was found: in service, or absent.
4. A server that is down gets weight 0, or without `quiesce` is removed; unless fewer than `min_up` servers would
   have traffic. Then those stay that failed last, "down but pooled".
5. When no server has traffic the sorry servers have it.

So, for any verdicts (tests/unit/pool/test_placement.py has the same numbers):

P0. A server with traffic is up, or down but pooled, or was found in service, or is a sorry server.
P1. A server that is up and not drained by hand has traffic, unless its weight is 0.
P2. At least `min_up` servers have traffic, or all that are not drained by hand.
P3. No server is down but pooled if `min_up` servers have traffic without it.
P4. Sorry servers have traffic exactly when no other server has.
P5. Alive are the servers that are up and have traffic, and only they count, also for the cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ocfpy.checks.registry import kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Optional

    from ocfpy.checks.settings import CheckSettings
    from ocfpy.ipvs.model import RealKey, RealServer, VirtualService
    from ocfpy.ocf.addresses import Address
    from ocfpy.pool.spec import ServiceSpec

    CheckKey = tuple[Address, int, CheckSettings, Optional[VirtualService], str]

VIP = "vip"
"""The value of check_via with which a check connects to the address of the virtual service."""

UP = "up"
DOWN = "down"
POOLED = "down but pooled"
DRAINED = "drained"
UNKNOWN = "unknown"


class Observation(NamedTuple):
    """What is known of a real server.

    `up` is the verdict, None before the first; `failed_at` when it last went down, on any clock, 0 if it
    never was up; `percent` the share of its weight that the check asks for; `drained` that an operator drained
    it; `found` its weight in the kernel, None when it is not there.
    """

    up: bool | None
    failed_at: float = 0.0
    percent: int = 100
    drained: bool = False
    found: int | None = None


class Place(NamedTuple):
    """Where a real server is placed: one of the states above, and its weight, None to be removed."""

    state: str
    weight: int | None


def check_key(service: ServiceSpec, real: RealServer) -> CheckKey:
    """The identity of a real server's check; servers with the same key share a check."""
    check = service.check_of(real)
    virtual = service.virtual if kind_of(check.type).per_service else None
    return real.address, check.port_of(real.port), check, virtual, path_key(service, real)


def path_key(service: ServiceSpec, real: RealServer) -> str:
    """The identity of the clients' path to a real server; empty if its check connects to the server itself."""
    check = service.check_of(real)
    if check["via"] != VIP or service.virtual.address is None:
        return ""
    tunnel = f" {real.tunnel_type} {real.tunnel_port} {real.tunnel_checksum}" if real.forward == "tunnel" else ""
    port = check.port_of(real.port)
    return f"{service.virtual} {real} {port} {service.settings.scheduler} {real.forward}{tunnel}"


def places(service: ServiceSpec, seen: Mapping[RealKey, Observation]) -> dict[RealKey, Place]:
    """Place every real server of a service; see the rules above."""
    found = {key: _place(service, real, seen[key]) for key, real in service.reals.items()}
    missing = service.min_up - sum(1 for place in found.values() if place.weight)
    if missing > 0:
        for key in _latest_to_fail(service, seen, found)[:missing]:
            found[key] = Place(POOLED, service.reals[key].weight)
    return found


def kernel_members(service: ServiceSpec, found: Mapping[RealKey, Place]) -> dict[RealKey, RealServer]:
    """Return the real servers wanted in the kernel, with their weights, sorry servers included."""
    reals = {}
    for key, place in found.items():
        if place.weight is not None:
            real = service.reals[key]
            reals[key] = real if real.weight == place.weight else real.replace(weight=place.weight)
    if not any(place.weight for place in found.values()):
        reals.update(service.sorry)
    return reals


def alive(found: Mapping[RealKey, Place]) -> int:
    """Return how many servers are up and have traffic."""
    return sum(1 for place in found.values() if place.state == UP and place.weight)


def has_quorum(service: ServiceSpec, alive: int, had: bool) -> bool:
    """Whether enough servers are alive for the quorum; keeping it takes fewer than regaining it."""
    return alive >= quorum_needed(service, had)


def quorum_needed(service: ServiceSpec, had: bool) -> int:
    """Return how many servers have to be alive for the service to have its quorum."""
    return service.quorum if had else max(service.quorum, service.quorum_up)


def _place(service: ServiceSpec, real: RealServer, seen: Observation) -> Place:
    out = Place(DOWN, 0 if service.quiesce else None)
    if seen.drained:
        return Place(DRAINED, None) if service.drain_timeout is not None else out
    if seen.up is None:
        return Place(UNKNOWN, seen.found)
    if not seen.up:
        return out
    # A small percentage is rounded up: only the check can ask for none at all.
    share = max(1, real.weight * seen.percent // 100) if real.weight and seen.percent else 0
    asks_for_nobody = real.weight and not share
    return Place(UP, None if asks_for_nobody and service.settings.drops_at_zero else share)


def _latest_to_fail(
    service: ServiceSpec, seen: Mapping[RealKey, Observation], found: Mapping[RealKey, Place]
) -> list[RealKey]:
    """Return the servers that are down and could be pooled: the latest to fail first, then those found in service.

    The server that failed last is the likeliest to have failed by mistake, or to answer some clients. Otherwise the order is
    that of the configuration, so that it is the same after every change.
    """
    down = [
        key
        for key, place in found.items()
        if place.state == DOWN and service.reals[key].weight and not seen[key].drained
    ]
    return sorted(down, key=lambda key: (-seen[key].failed_at, not seen[key].found))
