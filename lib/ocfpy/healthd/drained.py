"""Servers that an operator drained by hand: files in a directory, named after the servers.

`DIRECTORY/10.0.0.11` drains a server in all pools, `DIRECTORY/10.0.0.11:53` one port of it; in `DIRECTORY/POOL/` both apply
to one pool. Their content is for people. The files outlive the daemon and a reboot.
"""

from __future__ import annotations

from ocfpy.ipvs.model import endpoint, parse_endpoint
from ocfpy.ocf.state import names_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocfpy.ipvs.model import RealServer


class Drained:
    """The names in the directory of a pool, as last read.

    `hosts` are host names, each with an address (IPv6 in brackets), that a file may use instead.
    """

    def __init__(self, directory: str, resource: str, hosts: Iterable[tuple[str, str]] = ()) -> None:
        self.names: frozenset[str] = frozenset()
        self._hosts: dict[str, list[str]] = {}
        for host, address in hosts:
            self._hosts.setdefault(host, []).append(address)
        self._directories = (directory, f"{directory}/{resource}") if directory else ()

    def read(self) -> bool:
        """Read the directory; return whether anything changed. A missing directory is empty.

        On an error (too many open files, a failing disk) the last list stays, so that no server comes back.
        """
        try:
            files = (file for directory in self._directories for file in names_in(directory))
            names = frozenset(name for file in files for name in self._meant(file))
        except OSError:
            return False
        changed = names != self.names
        self.names = names
        return changed

    def _meant(self, file: str) -> list[str]:
        """The servers that a file drains: one, or all ports of its host; none if the name is not a server's."""
        try:
            return [canonical(file)]
        except ValueError:
            host, colon, port = file.partition(":")
            return [f"{address}{colon}{port}" for address in self._hosts.get(host, ())]

    def __contains__(self, real: RealServer) -> bool:
        return bool(self.names) and not self.names.isdisjoint((endpoint(real.address, 0), str(real)))


def canonical(text: str) -> str:
    """Return the name of the file that drains the server written as `text`. Raises ValueError."""
    bare = f"[{text}]" if text.count(":") > 1 and not text.startswith("[") else text
    address, port = parse_endpoint(bare)
    return endpoint(address, port or 0)
