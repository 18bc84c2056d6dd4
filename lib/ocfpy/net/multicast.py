"""Whether this host hears a multicast group, as /proc and /sys show it: cheap enough for every monitor."""

from __future__ import annotations

from sys import byteorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.ocf.addresses import Address

PROC_NET = "/proc/net"
SYS_NET = "/sys/class/net"


def is_member(group: Address, nic: str, proc_net: str = PROC_NET) -> bool:
    """Whether any process on this host has joined the group on that interface."""
    return _is_member6(group, nic, proc_net) if group.family == 6 else _is_member4(group, nic, proc_net)


def is_down(nic: str, sys_net: str = SYS_NET) -> bool:
    """Whether an interface is down, or has no carrier (operstate of RFC 2863)."""
    return any(line in ("down", "lowerlayerdown") for line in _lines(f"{sys_net}/{nic}/operstate"))


def _is_member4(group: Address, nic: str, proc_net: str) -> bool:
    # igmp_mc_seq_show in net/ipv4/igmp.c: a line for the interface, then one for each of its groups, which are
    # printed as numbers of the host's byte order.
    wanted = f"{int.from_bytes(group.packed, byteorder):08X}"
    here = False
    for line in _lines(f"{proc_net}/igmp"):
        words = line.split()
        if not line.startswith("\t"):
            here = words[1].rstrip(":") == nic
        elif here and words[0] == wanted:
            return True
    return False


def _is_member6(group: Address, nic: str, proc_net: str) -> bool:
    # igmp6_mc_seq_show in net/ipv6/mcast.c: index, interface, group, users, flags.
    wanted = [nic, group.packed.hex()]
    return any(line.split()[1:3] == wanted for line in _lines(f"{proc_net}/igmp6"))


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().splitlines()
    except FileNotFoundError:
        return []
