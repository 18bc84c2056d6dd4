"""What follows from verdicts, without I/O: the table that is wanted, and how many backends are alive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Optional

if TYPE_CHECKING:
    from ocfpy.health.kernel import Adopted
    from ocfpy.health.spec import CheckSettings, PoolSpec, ServiceSpec
    from ocfpy.ipvs.model import RealServer, Table, VirtualService
    from ocfpy.ocf.addresses import Address

    IsUp = Callable[[ServiceSpec, RealServer], Optional[bool]]
    WatchKey = tuple[Address, int, CheckSettings]


def watch_key(service: ServiceSpec, real: RealServer) -> WatchKey:
    """What is checked for a real server, and how; those with the same key share a check."""
    check = service.check_of(real)
    return real.address, check.port_of(real.port), check


def wanted_table(spec: PoolSpec, is_up: IsUp, adopted: Adopted) -> Table:
    """The table that the verdicts ask for.

    1. A server that is up has its weight.
    2. One that is down has weight 0, so that its connections may end; without `quiesce` it is not there.
    3. One without a verdict is as we found it: in service if it was, else not there.
    """
    table: Table = {}
    for service in spec.services:
        reals = {}
        for key, real in service.reals.items():
            up = is_up(service, real)
            weight = real.weight if up else 0 if service.quiesce else None
            if up is None:
                weight = adopted.get((service.virtual, key))
            if weight is not None:
                reals[key] = real if weight == real.weight else real.replace(weight=weight)
        table[service.virtual] = service.settings, reals
    return table


def alive(spec: PoolSpec, is_up: IsUp) -> dict[VirtualService, int]:
    """How many servers of each virtual service get traffic: up, and with a weight in the configuration."""
    return {
        service.virtual: sum(1 for real in service.reals.values() if real.weight and is_up(service, real))
        for service in spec.services
    }
