"""Network namespaces of this host, and commands in them."""

from __future__ import annotations

import subprocess
from typing import Any


def run(*argv: str, check: bool = True, **options: Any) -> subprocess.CompletedProcess[str]:
    """A command with its output captured; a failure shows that output."""
    done = subprocess.run(argv, capture_output=True, text=True, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Namespace:
    """One network namespace with its loopback up; link() gives it eth0 on a bridge in another namespace."""

    def __init__(self, name: str) -> None:
        self.name = name
        run("ip", "netns", "add", name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """ip(8) inside."""
        return run("ip", "-n", self.name, *words, check=check)

    def command(self, *argv: str) -> list[str]:
        """argv as it has to be started from outside."""
        return ["ip", "netns", "exec", self.name, *argv]

    def bridge(self) -> None:
        """Make this namespace a switch."""
        self.ip("link", "add", "br0", "type", "bridge")
        self.ip("link", "set", "br0", "up")

    def link(self, switch: Namespace, port: str, *addresses: str) -> None:
        """eth0 with these addresses, its other end on the switch's bridge as `port`."""
        switch.ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        switch.ip("link", "set", port, "master", "br0", "up")
        for address in addresses:
            self.ip("addr", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
        self.ip("link", "set", "eth0", "up")

    def delete(self) -> None:
        """Remove it; what still runs inside keeps it alive only until it ends."""
        run("ip", "netns", "del", self.name, check=False)
