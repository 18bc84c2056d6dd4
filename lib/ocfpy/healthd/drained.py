"""The servers that somebody took out by hand: files in a directory, named after them.

`DIRECTORY/10.0.0.11` takes a server out of all pools, `DIRECTORY/10.0.0.11:53` one port of it, and both in
`DIRECTORY/POOL/` out of one pool. What is in them is for people. Files outlive the daemon, however it ends,
and the node.
"""

from __future__ import annotations

from ocfpy.ipvs.model import endpoint, parse_endpoint
from ocfpy.ocf.state import names_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocfpy.ipvs.model import RealServer


class Drained:
    """The names in the directory of a pool, as they were when they were read last.

    `hosts` are names, each with an address (IPv6 in brackets), that a file may be called by instead.
    """

    def __init__(self, directory: str, resource: str, hosts: Iterable[tuple[str, str]] = ()) -> None:
        self.names: frozenset[str] = frozenset()
        self._hosts: dict[str, list[str]] = {}
        for host, address in hosts:
            self._hosts.setdefault(host, []).append(address)
        self._directories = (directory, f"{directory}/{resource}") if directory else ()

    def read(self) -> bool:
        """Reads the directory; whether something has changed. One that is not there is empty.

        What cannot be read now (too many open files, a disk that fails) is as it was: that puts nobody back.
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
        """The servers that a file takes out: one, or all of the host that it is called by; none if it is something else."""
        try:
            return [canonical(file)]
        except ValueError:
            host, colon, port = file.partition(":")
            return [f"{address}{colon}{port}" for address in self._hosts.get(host, ())]

    def __contains__(self, real: RealServer) -> bool:
        return bool(self.names) and not self.names.isdisjoint((endpoint(real.address, 0), str(real)))


def canonical(text: str) -> str:
    """The name of the file that takes out the server written as `text`. Raises ValueError."""
    bare = f"[{text}]" if text.count(":") > 1 and not text.startswith("[") else text
    address, port = parse_endpoint(bare)
    return endpoint(address, port or 0)
