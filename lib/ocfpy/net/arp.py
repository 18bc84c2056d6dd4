"""Find interfaces that would answer ARP or ND for an anycast address, which only BGP should advertise.

Sources: arp_ignore() in the kernel's net/ipv4/arp.c, Documentation/networking/ip-sysctl.rst; ndisc_recv_ns() in
net/ipv6/ndisc.c, which answers for the addresses of the receiving interface only.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.ocf.addresses import Address

CONF = "/proc/sys/net/ipv4/conf"
LINKS = "/sys/class/net"

# linux/if.h
IFF_UP = 0x1
IFF_LOOPBACK = 0x8
IFF_NOARP = 0x80

# Values of arp_ignore. The address has scope host (ocfpy.net.loopback).
IGNORE_UNLESS_ON_THE_INTERFACE = 1
ANNOUNCE_BEST = 2


def exposure(address: Address, nic: str, conf: str = CONF, links: str = LINKS) -> str:
    """The sentence about interfaces that would claim the address on their network, or "" if there are none."""
    if address.family == 6:
        if not _speaks(nic, links):
            return ""
        return f"{nic} answers neighbor discovery for {address}: put it on lo"
    answering = [name for name in _interfaces(conf) if _speaks(name, links) and _answers(name, name == nic, conf)]
    if not answering:
        return ""
    names = " ".join(answering)
    if nic in answering:
        return f"{names} would answer ARP for {address}, which only the routers should know: put it on lo"
    return (
        f"{names} would answer ARP for {address}, or send requests from it: set net.ipv4.conf.all.arp_ignore=1 and "
        "net.ipv4.conf.all.arp_announce=2"
    )


def _answers(name: str, has_it: bool, conf: str) -> bool:
    ignore = _effective(name, "arp_ignore", conf)
    if has_it:
        return ignore <= IGNORE_UNLESS_ON_THE_INTERFACE
    return ignore < IGNORE_UNLESS_ON_THE_INTERFACE or _effective(name, "arp_announce", conf) < ANNOUNCE_BEST


def _effective(name: str, setting: str, conf: str) -> int:
    """The effective value: the kernel uses the higher one of the interface's and that of all (IN_DEV_MAXCONF)."""
    return max(_number(f"{conf}/{place}/{setting}") for place in ("all", name))


def _speaks(name: str, links: str) -> bool:
    flags = _number(f"{links}/{name}/flags", base=16)
    return bool(flags & IFF_UP) and not flags & (IFF_LOOPBACK | IFF_NOARP)


def _interfaces(conf: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(conf) if name not in ("all", "default"))
    except OSError:
        return []


def _number(path: str, base: int = 10) -> int:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read(), base)
    except (OSError, ValueError):
        return 0  # an interface that went away
