"""A catalogue as typed data: what services.yaml says, with the place of each value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ocfpy.services.problems import Position

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocfpy.ocf.addresses import Address


@dataclass(frozen=True)
class Setting:
    """A value as the CIB will have it, and the place of its key."""

    value: str
    position: Position




@dataclass(frozen=True)
class Scope:
    """What is said at one level: in defaults, in a service, or for an address family of one of these.

    parameters are those of ipvs-pool and anycast-vip. announce are those of bgp-announce. is_announced is None where the
    level leaves it open, and False for `announce: none`.
    """

    parameters: Mapping[str, Setting] = field(default_factory=dict)
    announce: Mapping[str, Setting] = field(default_factory=dict)
    is_announced: bool | None = None
    operations: Mapping[str, Mapping[str, Mapping[str, Setting]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Level:
    """A scope with those of its address families, 4 and 6."""

    whole: Scope = field(default_factory=Scope)
    families: Mapping[int, Scope] = field(default_factory=dict)


@dataclass(frozen=True)
class ServiceAddress:
    """An address of a service. Its prefix length matters only where IPaddr2 holds it."""

    address: Address
    has_length: bool
    position: Position

    @property
    def family(self) -> int:
        """The address family, 4 or 6."""
        return self.address.family


@dataclass(frozen=True)
class Port:
    """What clients connect to, such as udp/53."""

    protocol: str
    number: int

    def at(self, address: Address) -> str:
        """The virtual service, as ipvs-pool spells it: udp/192.0.2.53:53, tcp/[2001:db8::53]:53."""
        host = f"[{address}]" if address.family == 6 else str(address)
        return f"{self.protocol}/{host}:{self.number}"


@dataclass(frozen=True)
class Service:
    """A service. is_apart: a pool for each address family. is_both: active on both nodes. prefer is a node, or empty."""

    name: str
    position: Position
    addresses: tuple[ServiceAddress, ...]
    ports: tuple[Port, ...]
    level: Level
    is_apart: bool
    is_both: bool
    prefer: str

    def families(self) -> list[int]:
        """The address families of its addresses, in the order in which these stand in the file."""
        return list(dict.fromkeys(address.family for address in self.addresses))


@dataclass(frozen=True)
class Catalogue:
    """The whole file. sync is None without ipvs-sync."""

    defaults: Level
    sync: Mapping[str, Setting] | None
    sync_position: Position
    services: tuple[Service, ...]
