"""A pool to test with."""

from __future__ import annotations

from typing import Any

from ocfpy.health.spec import CheckSettings, PoolSpec
from ocfpy.ipvs.model import ServiceSettings, parse_real_server, parse_virtual

DNS = "udp/192.0.2.53:53"
WEB = "tcp/192.0.2.53:80"
WEB6 = "tcp/[2001:db8::53]:80"


def pool(
    virtual: str = DNS, reals: str = "10.0.0.11 10.0.0.12", check: CheckSettings | None = None, **more: Any
) -> PoolSpec:
    """A specification, from texts as users write them."""
    return PoolSpec(
        **{
            "resource": "dns",
            "virtual": tuple(map(parse_virtual, virtual.split())),
            "real_servers": tuple(map(parse_real_server, reals.split())),
            "settings": ServiceSettings(),
            "check": check or CheckSettings(interval=2.0, timeout=1.0, rise=2, fall=3),
            "attribute": "healthy-dns",
            **more,
        }
    )
