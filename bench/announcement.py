"""How long a route takes to its peer: announced by the agent, by its own library, and by hand with vtysh, in turn."""
from __future__ import annotations

import statistics
import time
from typing import Any, Callable

from tests.frr.harness import Frr, Resource, Site, wait_for

ROUNDS = 15
PREFIX = "192.0.2.53/32"
LATER_S = 0.010
POLL_S = 0.001


def run() -> dict[str, Any]:
    """Rows: median milliseconds from the call until the router's bgpd has the route, and until it has lost it."""
    with Site() as site:
        site.lb.namespace.ip("address", "add", PREFIX, "dev", "lo", "scope", "host")
        ways = {"vtysh": _Vtysh(site.lb), "socket": _Socket(site.lb), "agent": _Agent(site.lb)}
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, way in ways.items():
                took[name].append((_seen(site, True, way.announce), _seen(site, False, way.withdraw)))
                way.finish()
    rows = [
        {
            "by": name,
            "announced_ms": 1000 * statistics.median(up for up, _ in seconds),
            "withdrawn_ms": 1000 * statistics.median(down for _, down in seconds),
        }
        for name, seconds in took.items()
    ]
    by = {str(row["by"]): row for row in rows}
    limit = 1000 * LATER_S
    return {
        "rows": rows,
        "bars": {
            f"the agent's route at most {limit:.0f} ms later than a hand-typed line's": (
                float(str(by["agent"]["announced_ms"])) <= float(str(by["vtysh"]["announced_ms"])) + limit
            ),
        },
    }


def _seen(site: Site, wanted: bool, change: Callable[[], None]) -> float:
    wait_for("the route is as before", lambda: bool(site.r1.paths(PREFIX)) != wanted)
    begun = time.monotonic()
    change()
    wait_for("the router has heard", lambda: bool(site.r1.paths(PREFIX)) == wanted, every=POLL_S)
    return time.monotonic() - begun


class _Way:
    """A way to announce; a call returns before the peer has heard if it can."""

    def __init__(self, node: Frr) -> None:
        self.node = node

    def announce(self) -> None:
        raise NotImplementedError

    def withdraw(self) -> None:
        raise NotImplementedError

    def finish(self) -> None:
        """Wait for what announce and withdraw left running."""


class _Vtysh(_Way):
    def announce(self) -> None:
        self._type(f"network {PREFIX}")

    def withdraw(self) -> None:
        self._type(f"no network {PREFIX}")

    def _type(self, line: str) -> None:
        self.node.vtysh(f"configure terminal\nrouter bgp\naddress-family ipv4 unicast\n{line}")


class _Socket(_Way):
    def announce(self) -> None:
        self._configure(f"network {PREFIX}")

    def withdraw(self) -> None:
        self._configure(f"no network {PREFIX}")

    def _configure(self, line: str) -> None:
        self.node.configure("router bgp", "address-family ipv4 unicast", line)


class _Agent(_Way):
    def __init__(self, node: Frr) -> None:
        super().__init__(node)
        self._resource = Resource(node, "bench", prefix=PREFIX, allowed_prefixes="192.0.2.0/24", settle="0")
        self._running: list[Any] = []

    def announce(self) -> None:
        self._running.append(self._resource.popen("start"))

    def withdraw(self) -> None:
        self._wait()
        self._running.append(self._resource.popen("stop"))

    def finish(self) -> None:
        self._wait()

    def _wait(self) -> None:
        for process in self._running:
            outcome = self._resource.finish(process)
            assert outcome.code == 0, outcome
        self._running.clear()
