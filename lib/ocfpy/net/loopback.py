"""Addresses of this host's interfaces over rtnetlink: finding, adding and removing one.

Monitors run this every few seconds, and importing pyroute2 would cost each of them 150 ms. Numbers and
layouts are those of linux/rtnetlink.h and linux/if_addr.h.
"""

from __future__ import annotations

import os

# The C module behind socket, which itself pulls in enum and selectors.
from _socket import (
    AF_INET,
    AF_INET6,
    AF_NETLINK,
    SOCK_CLOEXEC,
    SOCK_RAW,
    if_indextoname,
    if_nametoindex,
    socket,
)
from _struct import Struct  # the module struct is a file that has nothing but this
from errno import EACCES, EADDRNOTAVAIL, EEXIST, EPERM

from ocfpy.net import netlink
from ocfpy.ocf.addresses import Address
from ocfpy.ocf.errors import HostError, PermissionDeniedError, ServiceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocfpy.ocf.errors import OcfError

NETLINK_ROUTE = 0
RTM_NEWADDR = 20
RTM_DELADDR = 21
RTM_GETADDR = 22

IFA_ADDRESS = 1
IFA_LOCAL = 2
IFA_CACHEINFO = 6
IFA_F_NODAD = 0x02
RT_SCOPE_UNIVERSE = 0
RT_SCOPE_HOST = 254
FOREVER = 0xFFFFFFFF

_IFADDRMSG = Struct("=BBBBI")  # family, prefix length, flags, scope, interface
_CACHEINFO = Struct("=IIII")  # preferred, valid (seconds), created, updated

_AF = {4: AF_INET, 6: AF_INET6}


def locate(address: Address) -> list[tuple[str, int]]:
    """Return every interface that has this address, with its prefix length there."""
    found = []
    for body in _dump(_IFADDRMSG.pack(_AF[address.family], 0, 0, 0, 0)):
        family, length, _, _, index = _IFADDRMSG.unpack_from(body)
        get = netlink.attributes(body[_IFADDRMSG.size :])
        # IFA_ADDRESS is the peer where there is one; IPv6 has no IFA_LOCAL where there is none.
        own = get.get(IFA_LOCAL) or get.get(IFA_ADDRESS)
        if family == _AF[address.family] and own == address.packed:
            try:
                found.append((if_indextoname(index), length))
            except OSError:
                continue  # the interface went away meanwhile
    return found


def find_address(address: Address) -> list[str]:
    """Return the interfaces that have this address, with any prefix length."""
    return [nic for nic, _ in locate(address)]


def has_interface(nic: str) -> bool:
    """Whether this network namespace has a network interface of that name."""
    try:
        if_nametoindex(nic)
    except OSError:
        return False
    return True


def add_address(address: Address, nic: str) -> None:
    """Add the address to the interface; it may be there already.

    The host never picks it as the source of its own connections: IPv4 gets scope host, IPv6 is deprecated
    from the start (preferred lifetime 0). There is no duplicate address detection, because an anycast address has
    duplicates.
    Raises HostError, PermissionDeniedError or ServiceError.
    """
    body = _ifaddrmsg(address, nic) + netlink.attribute(IFA_LOCAL, address.packed)
    body += netlink.attribute(IFA_ADDRESS, address.packed)
    if address.family == 6:
        body += netlink.attribute(IFA_CACHEINFO, _CACHEINFO.pack(0, FOREVER, 0, 0))
    try:
        list(_exchange(RTM_NEWADDR, netlink.NLM_F_ACK | netlink.NLM_F_CREATE | netlink.NLM_F_EXCL, body))
    except OSError as error:
        if error.errno != EEXIST:
            raise _refused("add", address, nic, error) from None


def remove_address(address: Address, nic: str) -> None:
    """Remove the address from the interface; either may be gone already.

    Raises PermissionDeniedError or ServiceError.
    """
    try:
        body = _ifaddrmsg(address, nic) + netlink.attribute(IFA_LOCAL, address.packed)
    except HostError:
        return
    try:
        list(_exchange(RTM_DELADDR, netlink.NLM_F_ACK, body))
    except OSError as error:
        if error.errno != EADDRNOTAVAIL:
            raise _refused("remove", address, nic, error) from None


def _ifaddrmsg(address: Address, nic: str) -> bytes:
    try:
        index = if_nametoindex(nic)
    except OSError:
        raise HostError(f"there is no network interface {nic}") from None
    flags, scope = (IFA_F_NODAD, RT_SCOPE_UNIVERSE) if address.family == 6 else (0, RT_SCOPE_HOST)
    return _IFADDRMSG.pack(_AF[address.family], address.prefixlen, flags, scope, index)


def _refused(verb: str, address: Address, nic: str, error: OSError) -> OcfError:
    what = f"cannot {verb} {address.cidr} on {nic}"
    if error.errno == EPERM:
        return PermissionDeniedError(f"{what}: this requires root (CAP_NET_ADMIN)")
    if error.errno == EACCES and address.family == 6:
        # addrconf.c, inet6_addr_add, for an interface with disable_ipv6 set.
        return HostError(f"{what}: IPv6 is switched off there (sysctl net.ipv6.conf.{nic}.disable_ipv6)")
    return ServiceError(f"{what}: {error.strerror}")


def _dump(request: bytes) -> list[bytes]:
    """Return all addresses; repeated until none came or went meanwhile, because the kernel then skips others."""
    while True:
        try:
            return list(_exchange(RTM_GETADDR, netlink.NLM_F_DUMP, request))
        except InterruptedError:
            continue


def _exchange(kind: int, flags: int, body: bytes) -> Iterator[bytes]:
    """Return the kernel's answers to one request, each without its header; OSError if it refuses.

    Raises InterruptedError when a dump is unreliable.
    """
    connection = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)
    try:
        connection.sendto(netlink.message(kind, flags | netlink.NLM_F_REQUEST, 1, body), (0, 0))
        while True:
            received = connection.recv(netlink.RECEIVE_BYTES)
            if netlink.is_interrupted(received):
                raise InterruptedError
            for answer, _, content in netlink.messages(received):
                if answer in (netlink.NLMSG_ERROR, netlink.NLMSG_DONE):
                    errno = netlink.errno_of(content)
                    if errno:
                        raise OSError(errno, os.strerror(errno))
                    return
                yield content
    finally:
        connection.close()
