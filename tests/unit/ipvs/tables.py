"""Random IPVS tables, of everything the kernel takes."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from ocfpy.ipvs.model import (
    FORWARDS,
    MAX_FWMARK,
    MAX_PORT,
    MAX_THRESHOLD,
    MAX_WEIGHT,
    PROTOCOLS,
    SCHEDULER_FLAGS,
    TUNNEL_CHECKSUMS,
    TUNNEL_TYPES,
    RealServer,
    ServiceSettings,
    Table,
    VirtualService,
)
from ocfpy.ocf.addresses import Address

# How long an example takes is a matter of what else the machine does.
bounded = settings(deadline=None, max_examples=50)

BITS = {4: 32, 6: 128}
THRESHOLDS = st.integers(0, MAX_THRESHOLD)
PORTS = st.integers(1, MAX_PORT)


def addresses(family: int) -> st.SearchStrategy[Address]:
    """Any host address of a family."""
    size = BITS[family] // 8
    return st.binary(min_size=size, max_size=size).map(lambda packed: Address(family, packed, BITS[family]))


@st.composite
def virtual_services(draw: st.DrawFn) -> VirtualService:
    """By address or by mark."""
    family = draw(st.sampled_from((4, 6)))
    if draw(st.booleans()):
        return VirtualService(fwmark=draw(st.integers(1, MAX_FWMARK)), family=family)
    return VirtualService(draw(st.sampled_from(PROTOCOLS)), draw(addresses(family)), draw(PORTS))


@st.composite
def service_settings(draw: st.DrawFn, family: int) -> ServiceSettings:
    """With and without persistence."""
    timeout = draw(st.sampled_from((0, 1, 300, 2**20)))
    return ServiceSettings(
        scheduler=draw(st.sampled_from(("rr", "wlc", "mh", "sh"))),
        flags=tuple(flag for flag in SCHEDULER_FLAGS if draw(st.booleans())),
        persistence_timeout=timeout,
        netmask=draw(st.none() | st.integers(1, BITS[family] - 1)) if timeout else None,
        engine=draw(st.sampled_from(("", "sip"))) if timeout else "",
        one_packet=draw(st.booleans()),
    )


@st.composite
def real_servers(draw: st.DrawFn, family: int) -> RealServer:
    """Of the service's family, or of the other one through a tunnel."""
    forward = draw(st.sampled_from(FORWARDS))
    tunnel = forward == "tunnel"
    return RealServer(
        draw(addresses(draw(st.sampled_from((4, 6))) if tunnel else family)),
        draw(PORTS),
        weight=draw(st.integers(0, MAX_WEIGHT)),
        forward=forward,
        lower=draw(THRESHOLDS),
        upper=draw(THRESHOLDS),
        tunnel_type=draw(st.sampled_from(TUNNEL_TYPES)) if tunnel else "ipip",
        tunnel_port=draw(PORTS) if tunnel else 0,
        tunnel_checksum=draw(st.sampled_from(TUNNEL_CHECKSUMS)) if tunnel else "nocsum",
    )


@st.composite
def tables(draw: st.DrawFn, among: tuple[VirtualService, ...] = ()) -> Table:
    """A few services, out of `among` if that is given, so that two tables have some in common."""
    keys = st.sampled_from(among) if among else virtual_services()
    table: Table = {}
    for virtual in draw(st.lists(keys, unique=True, max_size=4)):
        reals = draw(st.lists(real_servers(virtual.family), max_size=4))
        table[virtual] = draw(service_settings(virtual.family)), {real.key: real for real in reals}
    return table
