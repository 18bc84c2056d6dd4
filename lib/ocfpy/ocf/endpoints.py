"""Endpoints, an address and a port with options: the parameter type of agents that connect to servers."""

from __future__ import annotations

from ocfpy.ocf.addresses import Address, parse_address, shown
from ocfpy.ocf.parameters import ListParam

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MAX_PORT = 65535


class Endpoint:
    """An address, a port (None if missing) and the options that follow: `10.0.0.1:53,weight=2`."""

    __slots__ = ("address", "options", "port")

    def __init__(self, address: Address, port: int | None, options: dict[str, str]) -> None:
        self.address = address
        self.port = port
        self.options = options

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.family == 6 else str(self.address)
        port = "" if self.port is None else f":{self.port}"
        return f"{host}{port}" + "".join(f",{name}={value}" for name, value in self.options.items())

    def __repr__(self) -> str:
        return f"Endpoint({self})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Endpoint) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


def parse_endpoint(text: str) -> Endpoint:
    """Parse `192.0.2.1`, `192.0.2.1:53`, `[2001:db8::1]:53` and `192.0.2.1:53,weight=2`. Raises ValueError.

    Host names are refused: their meaning may change while the configuration stays the same.
    """
    place, *words = text.split(",")
    host, port = _split(place)
    address = parse_address(host)
    if "/" in host:
        raise ValueError(f"{shown(text)} has a prefix length: write one address")
    options: dict[str, str] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name or not value:
            raise ValueError(f"{shown(text)}: {shown(word)} is not an option such as weight=2")
        if name in options:
            raise ValueError(f"{shown(text)} has {name} twice")
        options[name] = value
    return Endpoint(address, port, options)


def _split(place: str) -> tuple[str, int | None]:
    if place.startswith("["):
        host, bracket, rest = place[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"{shown(place)} is not of the form [ADDRESS]:PORT")
        return host, _port(place, rest[1:]) if rest else None
    if place.count(":") != 1:  # IPv6 without brackets has no port
        return place, None
    host, _, port = place.partition(":")
    return host, _port(place, port)


def _port(place: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= MAX_PORT):
        raise ValueError(f"{shown(place)}: the port must be 1 to {MAX_PORT}")
    return int(text)


class EndpointListParam(ListParam[Endpoint]):
    """Endpoints separated by white space; options names the permitted options."""

    def __init__(self, shortdesc: str, longdesc: str, *, options: tuple[str, ...] = (), **common: Any) -> None:
        super().__init__(shortdesc, longdesc, parse=self._endpoint, **common)
        self.options = options

    def _endpoint(self, text: str) -> Endpoint:
        endpoint = parse_endpoint(text)
        for name in endpoint.options:
            if name not in self.options:
                raise ValueError(f"{shown(text)}: there is no option {shown(name)}")
        return endpoint
