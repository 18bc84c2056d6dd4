"""The way of a client to one real server: through the virtual service's address, and IPVS, to that one and no other.

What a check sends has a firewall mark, and IPVS has a virtual service for the mark with the one real server behind
it. So a check meets what a client meets: a real server that does not have the address, a tunnel with no other end.
"""

from __future__ import annotations

from errno import EEXIST, ESRCH
from typing import TYPE_CHECKING, Callable

from ocfpy.ipvs import connection, messages
from ocfpy.ipvs.model import ServiceSettings, VirtualService
from ocfpy.ipvs.plan import ADD, DELETE, Change
from ocfpy.ipvs.table import IpvsError
from ocfpy.net.source import source_towards
from ocfpy.pool.placement import path_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ocfpy.healthd.fwmarks import FwmarkAllocator
    from ocfpy.ipvs.model import RealServer
    from ocfpy.net.genetlink import GenericNetlink
    from ocfpy.ocf.addresses import Address
    from ocfpy.pool.spec import PoolSpec, ServiceSpec


class VipPath:
    """To one real server of a virtual service that has an address."""

    def __init__(self, netlink: GenericNetlink, mark: int, service: ServiceSpec, real: RealServer) -> None:
        virtual = service.virtual
        assert virtual.address is not None
        self.address: Address = virtual.address
        self.mark = mark
        self.real = real
        self.private = VirtualService(fwmark=mark, family=virtual.family)
        # Each datagram by itself: an entry that another check left for the same port of ours, five minutes ago at the most, would
        # lead it to another server. Not with NAT, which would not know the answer.
        settings = ServiceSettings(service.settings.scheduler, one_packet=real.forward != "nat")
        port = service.check_of(real).port_of(real.port)
        alone = real.replace(port=port, weight=1, lower=0, upper=0)
        self._netlink = netlink
        self._changes = [Change(ADD, self.private, settings), Change(ADD, self.private, real=alone)]
        self._requests = [
            messages.message(messages.CMD_NEW_SERVICE, self.private, settings),
            messages.message(messages.CMD_NEW_DEST, self.private, real=alone),
        ]

    def begin(self) -> bool:
        """Put it into the kernel; False when somebody else has a service for the mark. Raises IpvsError."""
        if self._netlink.request(self._requests[:1]).get(0) == EEXIST:
            return False
        self.open()
        return True

    def open(self) -> None:
        """Have it in the kernel, where somebody may have removed it since it was opened last. Raises IpvsError."""
        failed = self._netlink.request(self._requests)
        failures = [(self._changes[place], errno) for place, errno in failed.items() if errno != EEXIST]
        if failures:
            raise IpvsError(failures)

    def source(self) -> str:
        """The address of this node to send from: on the active node the virtual service's would be taken else.

        Raises OSError.
        """
        return source_towards(self.real.address)

    def hint(self) -> str:
        """What to look at when there is no answer."""
        who, vip = self.real.address, self.address
        if self.real.forward == "dr":
            return f"is {vip} on the loopback of {who}?"
        if self.real.forward == "tunnel":
            return f"does {who} have a device for {self.real.tunnel_type}, and {vip} on it or on its loopback?"
        return f"does {who} send its answers through this node?"


class VipPaths:
    """All of one pool. Calls block, but for no longer than the kernel takes."""

    def __init__(self, marks: FwmarkAllocator, connect: Callable[[], GenericNetlink] = connection.connect) -> None:
        self._marks = marks
        self._connect = connect
        self._ways: dict[str, VipPath] = {}
        self._netlink: GenericNetlink | None = None

    def open(self, spec: PoolSpec) -> None:
        """Open those that `spec` needs, beside those that there are. Raises OcfError, OSError."""
        wanted = {path_key(service, real): (service, real) for service, real in vip_checked(spec.services)}
        new = [key for key in wanted if key not in self._ways]
        leftovers = [mark for key, mark in self._marks.held().items() if key not in self._ways]
        if not new and not leftovers:
            return
        if self._netlink is None:
            self._netlink = self._connect()
        _remove(self._netlink, leftovers)
        if not new:
            self._marks.set(self._ways)
        foreign: set[int] = set()
        while new:
            marks = self._marks.set([*self._ways, *new], foreign)
            for key in new:
                way = VipPath(self._netlink, marks[key], *wanted[key])
                if way.begin():
                    self._ways[key] = way
                else:
                    foreign.add(marks[key])
            new = [key for key in new if key not in self._ways]

    def way(self, service: ServiceSpec, real: RealServer) -> VipPath | None:
        """The one to a real server, None for one that is checked at its own address."""
        return self._ways.get(path_key(service, real))

    def keep(self, spec: PoolSpec | None) -> None:
        """Close those that `spec` does not need; all, without one. Raises OcfError, OSError."""
        needed = {path_key(service, real) for service, real in vip_checked(spec.services)} if spec else set()
        gone = [key for key in self._ways if key not in needed]
        if gone and self._netlink is not None:
            _remove(self._netlink, [self._ways.pop(key).mark for key in gone])
            self._marks.set(self._ways)


def remove_paths(marks: FwmarkAllocator) -> None:
    """Remove what a daemon that is gone has left of its ways. Raises OcfError, OSError."""
    held = marks.held()
    if held:
        netlink = connection.connect()
        _remove(netlink, held.values())
        netlink.close()
        marks.set(())


def _remove(netlink: GenericNetlink, marks: Iterable[int]) -> None:
    services = [VirtualService(fwmark=mark, family=family) for mark in marks for family in (4, 6)]
    failed = netlink.request([messages.message(messages.CMD_DEL_SERVICE, service) for service in services])
    failures = [(Change(DELETE, services[at]), errno) for at, errno in failed.items() if errno != ESRCH]
    if failures:
        raise IpvsError(failures)


def vip_checked(services: Iterable[ServiceSpec]) -> Iterator[tuple[ServiceSpec, RealServer]]:
    """The real servers that are checked by way of their virtual service."""
    for service in services:
        for real in service.reals.values():
            if path_key(service, real):
                yield service, real
