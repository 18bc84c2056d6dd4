"""The servers that somebody took out by hand: files in a directory, named after them.

`DIRECTORY/10.0.0.11` takes a server out of all pools, `DIRECTORY/10.0.0.11:53` one port of it, and both in
`DIRECTORY/POOL/` out of one pool. What is in them is for people. Files outlive the daemon, however it ends,
and the node.
"""

from __future__ import annotations

import os

from ocfpy.ipvs.model import endpoint, parse_endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.ipvs.model import RealServer


class Drained:
    """The names in the directory of a pool, as they were when they were read last."""

    def __init__(self, directory: str, resource: str) -> None:
        self.names: frozenset[str] = frozenset()
        self._directories = (directory, f"{directory}/{resource}") if directory else ()

    def read(self) -> bool:
        """Reads the directory; whether something has changed. One that is not there is empty."""
        names = frozenset(name for directory in self._directories for name in _list(directory))
        changed = names != self.names
        self.names = names
        return changed

    def __contains__(self, real: RealServer) -> bool:
        return bool(self.names) and not self.names.isdisjoint((endpoint(real.address, 0), str(real)))


def canonical(text: str) -> str:
    """The name of the file that takes out the server written as `text`. Raises ValueError."""
    bare = f"[{text}]" if text.count(":") > 1 and not text.startswith("[") else text
    address, port = parse_endpoint(bare)
    return endpoint(address, port or 0)


def _list(directory: str) -> list[str]:
    found = []
    try:
        for name in os.listdir(directory):
            try:
                found.append(canonical(name))
            except ValueError:
                pass  # a pool's directory, or none of ours
    except OSError:
        pass
    return found
