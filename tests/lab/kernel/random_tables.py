"""Random tables and sync daemons, of every kind that the kernel takes and ipvsadm can say: what ipvs_roundtrip.py plays with."""

from __future__ import annotations

import random

from ipvsadm_words import FLAG_NAMES  # type: ignore[import-not-found]  # beside this file
from ocfpy.ipvs.model import (
    FORWARDS,
    MAX_THRESHOLD,
    PROTOCOLS,
    SCHEDULER_FLAGS,
    TUNNEL_CHECKSUMS,
    TUNNEL_TYPES,
    RealServer,
    ServiceSettings,
    SyncDaemon,
    Table,
    VirtualService,
)
from ocfpy.ocf.addresses import Address, parse_address

BITS = {4: 32, 6: 128}
# What ipvsadm can write and read again: no mark above this, and no third flag for sh and mh.
MAX_FWMARK = 2**31 - 1


def random_table(rng: random.Random, schedulers: list[str]) -> Table:
    """Up to eight services of every kind, with up to six real servers each."""
    table: Table = {}
    for _ in range(rng.randint(0, 8)):
        virtual = random_virtual(rng)
        reals = [random_real(rng, virtual) for _ in range(rng.randint(0, 6))]
        table[virtual] = random_settings(rng, virtual, schedulers), {real.key: real for real in reals}
    return table


def random_virtual(rng: random.Random) -> VirtualService:
    """Out of few, so that a table and the next one share some."""
    family = rng.choice((4, 6))
    if rng.random() < 0.3:
        return VirtualService(fwmark=rng.choice((1, 7, MAX_FWMARK)), family=family)
    address = Address(
        family, bytes([10] * (BITS[family] // 8 - 1)) + bytes([rng.randint(1, 3)]), BITS[family]
    )
    return VirtualService(rng.choice(PROTOCOLS), address, rng.choice((53, 443, 65535)))


def random_settings(rng: random.Random, virtual: VirtualService, schedulers: list[str]) -> ServiceSettings:
    """Any real servers that the kernel accepts for this service."""
    timeout = rng.choice((0, 0, 1, 300, 86400))
    one_packet = virtual.proto in ("udp", None) and rng.random() < 0.3
    engine = "sip" if timeout and virtual.proto == "udp" and not one_packet and rng.random() < 0.5 else ""
    scheduler = rng.choice(schedulers)
    flags = SCHEDULER_FLAGS[:2] if scheduler in FLAG_NAMES else SCHEDULER_FLAGS
    return ServiceSettings(
        scheduler=scheduler,
        flags=tuple(flag for flag in flags if rng.random() < 0.3),
        persistence_timeout=timeout,
        netmask=rng.choice((None, rng.randint(1, BITS[virtual.family] - 1))) if timeout else None,
        engine=engine,
        one_packet=one_packet,
    )


def random_real(rng: random.Random, virtual: VirtualService) -> RealServer:
    """Out of few; of the other family only through a tunnel, with another port only through NAT."""
    forward = rng.choice(FORWARDS)
    tunnel = forward == "tunnel"
    family = rng.choice((4, 6)) if tunnel else virtual.family
    upper = rng.choice((0, 1, 1000, MAX_THRESHOLD))
    kind = rng.choice(TUNNEL_TYPES) if tunnel else "ipip"
    return RealServer(
        Address(family, bytes([172] * (BITS[family] // 8 - 1)) + bytes([rng.randint(1, 8)]), BITS[family]),
        rng.choice((80, 8080)) if forward == "nat" else virtual.port,
        weight=rng.choice((0, 1, 2, 65535)),
        forward=forward,
        lower=rng.randint(0, upper),
        upper=upper,
        tunnel_type=kind,
        tunnel_port=rng.randint(1, 65535) if kind == "gue" else 0,
        tunnel_checksum=rng.choice(TUNNEL_CHECKSUMS[: 2 if kind == "gre" else 3])
        if kind != "ipip"
        else "nocsum",
    )


def random_daemon(rng: random.Random, role: str) -> SyncDaemon:
    """Any table that the kernel accepts."""
    group = rng.choice(("224.0.0.81", "239.255.1.2", "ff02::81", "ff15::7"))
    return SyncDaemon(
        role, "sync0", rng.randint(1, 255), parse_address(group), rng.choice((1024, 8848, 65535)), rng.randint(1, 255),
        rng.choice((1024, 1472, 9000)),
    )  # fmt: skip
