"""Sysctls that affect clients of a removed server, and the warnings we log about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ocfpy.pool.spec import PoolSpec, ServiceSpec

SYSCTL = "/proc/sys/net/ipv4/vs"


def advice(spec: PoolSpec, sysctl: str = SYSCTL) -> list[str]:
    """One sentence for each setting that does not fit the pool."""
    found = []
    persistent = [str(one.virtual) for one in spec.services if one.settings.persistence_timeout]
    if persistent and _is_off(f"{sysctl}/expire_quiescent_template"):
        found.append(
            f"clients of {', '.join(persistent)} come back to a server at weight 0, also a dead one, for"
            " persistence_timeout after each visit: sysctl net.ipv4.vs.expire_quiescent_template=1 sends them elsewhere"
        )
    removing = [str(one.virtual) for one in spec.services if not one.quiesce or one.drain_timeout == 0 or _lasts(one)]
    if removing and _is_off(f"{sysctl}/expire_nodest_conn"):
        found.append(
            f"clients of {', '.join(removing)} that were with a server when it was removed get no answer until their"
            " connection times out: sysctl net.ipv4.vs.expire_nodest_conn=1 ends it at once"
        )
    return found


def _lasts(service: ServiceSpec) -> bool:
    """Whether a client may keep a connection forever: one of UDP that keeps asking from the same port."""
    return service.virtual.proto == "udp" and not service.settings.one_packet


def persistence_pins_clients(sysctl: str = SYSCTL) -> bool:
    """Whether persistent clients come back to a server at weight 0 (net/netfilter/ipvs/ip_vs_conn.c, ip_vs_check_template)."""
    return _is_off(f"{sysctl}/expire_quiescent_template")


def _is_off(path: str) -> bool:
    """Whether the kernel has the setting, and it is 0."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip() == "0"
    except OSError:
        return False
