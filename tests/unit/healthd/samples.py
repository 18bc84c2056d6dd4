"""A pool to test with."""

from __future__ import annotations

from typing import Any

from ocfpy.checks.settings import CheckSettings
from ocfpy.ipvs.model import ServiceSettings, by_key, parse_real_server, parse_virtual
from ocfpy.pool.backends import members
from ocfpy.pool.spec import PoolSpec, ServiceSpec

DNS = "udp/192.0.2.53:53"
WEB = "tcp/192.0.2.53:80"
WEB6 = "tcp/[2001:db8::53]:80"


def pool(
    virtual: str = DNS,
    reals: str = "10.0.0.11 10.0.0.12",
    check: CheckSettings | None = None,
    settings: ServiceSettings | None = None,
    **more: Any,
) -> PoolSpec:
    """A specification with the same servers behind each service, from texts as users write them.

    `more` are fields of each ServiceSpec.
    """
    servers = list(map(parse_real_server, reals.split()))
    services = tuple(
        ServiceSpec(
            one,
            by_key(members(one, servers)),
            settings or ServiceSettings(),
            check or CheckSettings(interval=2.0, timeout=1.0, rise=2, fall=3),
            **more,
        )
        for one in map(parse_virtual, virtual.split())
    )
    return PoolSpec("dns", services, "healthy-dns")
