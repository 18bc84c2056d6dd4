"""Resolves host names and port names once when the file is read, like ldirectord."""

from __future__ import annotations

import os
import socket
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Protocol

from ocfpy.ipvs.model import MAX_PORT, endpoint
from ocfpy.ocf.addresses import Address, parse_address

if TYPE_CHECKING:
    from collections.abc import Iterable

LOOKUPS = 32
"""Names of addresses that are resolved at the same time."""
LOOKUP_LIMIT_S = 5.0
"""Time limit for all of them; a name server that does not answer must not keep a pool from starting."""


class Names(Protocol):
    """Resolves a file's names; None for an unknown name. `node` is the name of this host."""

    node: str

    def host(self, name: str, family: int) -> Address | None:
        """Return the address of a host, or an address itself, in brackets or not."""

    def port(self, name: str, protocol: str) -> int | None:
        """Return the port of a service, or a number itself. Without a protocol, the first that has the name."""


class SystemNames:
    """The names that this host knows, each resolved once."""

    def __init__(self) -> None:
        self.node = os.uname().nodename
        self._hosts: dict[tuple[str, int], Address | None] = {}

    def host(self, name: str, family: int) -> Address | None:
        """See Names."""
        name = name.strip("[]")
        if (name, family) not in self._hosts:
            self._hosts[name, family] = _look_up(name, family)
        return self._hosts[name, family]

    def port(self, name: str, protocol: str) -> int | None:
        """See Names."""
        if name.isascii() and name.isdigit():
            return int(name) if len(name) < 10 and int(name) <= MAX_PORT else None
        try:
            return socket.getservbyname(name, protocol) if protocol else socket.getservbyname(name)
        except (OSError, ValueError):
            return None


def _look_up(name: str, family: int) -> Address | None:
    try:
        address = parse_address(name)
        return address if address.family == family else None
    except ValueError:
        pass
    try:
        wanted = socket.AF_INET6 if family == 6 else socket.AF_INET
        found = socket.getaddrinfo(name, None, wanted, socket.SOCK_STREAM)
        return parse_address(str(found[0][4][0]))
    except (OSError, ValueError, IndexError):  # UnicodeError, for a label that is too long, is a ValueError
        return None


def host_names(addresses: Iterable[Address]) -> tuple[tuple[str, str], ...]:
    """Return host names, the whole name and its first label, each with the address (IPv6 in brackets).

    Addresses that are not resolved in time have no name.
    """
    todo = dict.fromkeys(addresses)
    pool = ThreadPoolExecutor(LOOKUPS, "names")
    running = {pool.submit(_name_of, str(address)): address for address in todo}
    done, _ = wait(running, LOOKUP_LIMIT_S)
    pool.shutdown(wait=False)
    found = {running[one]: one.result() for one in done}
    return tuple(
        (name, endpoint(address, 0))
        for address in todo
        if found.get(address)
        for name in dict.fromkeys((found[address], found[address].partition(".")[0]))
    )


def _name_of(address: str) -> str:
    try:
        return socket.getnameinfo((address, 0), socket.NI_NAMEREQD)[0]
    except OSError:
        return ""
