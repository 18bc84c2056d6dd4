"""Validate an IPVS table: what the kernel would reject, or accept and ignore."""

from __future__ import annotations

from ocfpy.ipvs.model import ONE_PACKET_PROTOCOLS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.ipvs.model import RealKey, RealServer, ServiceSettings, VirtualService
    from ocfpy.ocf.addresses import Address


def problems(
    virtual: VirtualService, settings: ServiceSettings, reals: dict[RealKey, RealServer]
) -> list[str]:
    """Return everything that the kernel would reject, or accept and ignore, one sentence each."""
    found = []
    if virtual.address is not None and (wrong := _no_host(virtual.address)):
        found.append(f"{virtual}: {virtual.address} is {wrong}")
    if virtual.address is not None and not virtual.port and not settings.persistence_timeout:
        found.append(f"{virtual}: port 0 (every port) needs a persistence_timeout")
    if settings.engine and not settings.persistence_timeout:
        found.append(f"{virtual}: the persistence engine {settings.engine} needs a persistence_timeout")
    if settings.one_packet and virtual.proto not in ONE_PACKET_PROTOCOLS:
        found.append(f"{virtual}: one_packet is for udp")
    for real in reals.values():
        found += [f"{virtual}: real server {real}: {problem}" for problem in real_problems(virtual, real, settings.one_packet)]
    return found


def real_problems(virtual: VirtualService, real: RealServer, one_packet: bool = False) -> list[str]:
    """Return what the kernel rejects, or should reject, about a real server of a virtual service."""
    found = []
    wrong = _no_host(real.address)
    if wrong:
        found.append(f"{real.address} is {wrong}")
    if real.address == virtual.address and real.forward != "nat":
        found.append(
            f"it is the virtual service itself, and forward={real.forward} would lead back to it:"
            f" this node is {'[::1]' if virtual.family == 6 else '127.0.0.1'}"
        )
    if real.address.family != virtual.family and real.forward != "tunnel":
        found.append(f"IPv{real.address.family} behind IPv{virtual.family} needs forward=tunnel")
    if virtual.address is not None and real.forward != "nat" and real.port not in (0, virtual.port):
        found.append(
            f"forward={real.forward} keeps the port, which is {virtual.port}: forward=nat changes it"
        )
    if one_packet and real.forward == "nat":
        # ip_vs_conn_hash (net/netfilter/ipvs/ip_vs_conn.c) skips them; seen in the lab: no client gets an answer.
        found.append("forward=nat does not work with one_packet: without a connection the kernel cannot translate replies")
    if real.upper and real.lower > real.upper:
        found.append(f"lower={real.lower} is above upper={real.upper}")
    if real.forward == "tunnel" and real.tunnel_type == "gue" and not real.tunnel_port:
        found.append("tunnel_type=gue needs a tunnel_port")
    return found


def _no_host(address: Address) -> str:
    """Why an address cannot be that of one host: the kernel's own list (ip_vs_add_dest) and the broadcast address.

    A loopback address is this node, which may serve itself.
    """
    first = address.packed[0]
    if 0 < first < (224 if address.family == 4 else 0xFE):
        return ""  # as good as every one, in every monitor
    if str(address) == "255.255.255.255":
        return "the broadcast address"
    wrong = address.special
    return "" if wrong.endswith(("loopback address", "reserved address")) else wrong
