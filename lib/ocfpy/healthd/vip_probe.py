"""Leads a check to one real server the way its clients go: through the virtual service's address and IPVS.

Packets of the check carry a firewall mark, and IPVS has a virtual service for the mark with that real server only. So a check
notices what a client would: a real server without the address, a tunnel without its other end.
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
    """The path to one real server of a virtual service that has an address."""

    def __init__(self, netlink: GenericNetlink, mark: int, service: ServiceSpec, real: RealServer) -> None:
        virtual = service.virtual
        assert virtual.address is not None
        self.address: Address = virtual.address
        self.mark = mark
        self.real = real
        self.private = VirtualService(fwmark=mark, family=virtual.family)
        # One-packet scheduling: else an entry that another check left for the same port of ours, up to five minutes ago, would
        # lead the datagram to another server. Not with NAT, which could not translate the reply.
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
        """Add it to the kernel; return False if another program has a service for the mark. Raises IpvsError."""
        if self._netlink.request(self._requests[:1]).get(0) == EEXIST:
            return False
        self.open()
        return True

    def open(self) -> None:
        """Add it to the kernel again, where another program may have removed it. Raises IpvsError."""
        failed = self._netlink.request(self._requests)
        failures = [(self._changes[place], errno) for place, errno in failed.items() if errno != EEXIST]
        if failures:
            raise IpvsError(failures)

    def source(self) -> str:
        """Return the address of this node to send from: on the active node the kernel would choose the virtual service's.

        Raises OSError.
        """
        return source_towards(self.real.address)

    def hint(self) -> str:
        """What to check when no reply comes."""
        who, vip = self.real.address, self.address
        if self.real.forward == "dr":
            return f"is {vip} on the loopback of {who}?"
        if self.real.forward == "tunnel":
            return f"does {who} have a device for {self.real.tunnel_type}, and {vip} on it or on its loopback?"
        return f"does {who} send its replies through this node?"


class VipPaths:
    """All paths of one pool. Calls block, but for no longer than the kernel takes."""

    def __init__(self, marks: FwmarkAllocator, connect: Callable[[], GenericNetlink] = connection.connect) -> None:
        self._marks = marks
        self._connect = connect
        self._ways: dict[str, VipPath] = {}
        self._netlink: GenericNetlink | None = None

    def open(self, spec: PoolSpec) -> None:
        """Open the paths that `spec` needs, beside the open ones. Raises OcfError, OSError."""
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
        """Return the path to a real server, None for one that is checked at its own address."""
        return self._ways.get(path_key(service, real))

    def keep(self, spec: PoolSpec | None) -> None:
        """Close paths that `spec` does not need; all, without one. Raises OcfError, OSError."""
        needed = {path_key(service, real) for service, real in vip_checked(spec.services)} if spec else set()
        gone = [key for key in self._ways if key not in needed]
        if gone and self._netlink is not None:
            _remove(self._netlink, [self._ways.pop(key).mark for key in gone])
            self._marks.set(self._ways)


def remove_paths(marks: FwmarkAllocator) -> None:
    """Remove the paths that a dead daemon left. Raises OcfError, OSError."""
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
    """The real servers that are checked through their virtual service."""
    for service in services:
        for real in service.reals.values():
            if path_key(service, real):
                yield service, real
