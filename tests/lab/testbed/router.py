"""Routers: FRR's own daemons in a network namespace of the host, and what their kernel routes where."""
from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Callable

from .base import VIPS, LabError, favour, host, in_order, wait_for
from .network import Namespace

DAEMONS = ("zebra", "bgpd", "bfdd")
FRR_DIRECTORY = Path("/usr/lib/frr")
SOCKETS = Path("/run")
"""The daemons run as user frr, who has to reach their sockets: not below a home directory."""


@dataclass(frozen=True)
class RouteEvent:
    """The kernel's route to a VIP changed: when (time.time()), and the names of its next hops now ([]: no route)."""

    at: float
    prefix: str
    next_hops: tuple[str, ...]


class Router:
    """One router. `neighbours` maps next-hop addresses to names, `log` is where its daemons write."""

    def __init__(self, namespace: Namespace, config: str, neighbours: Mapping[str, str], log: Path) -> None:
        self.name = namespace.name
        self.namespace = namespace
        self._neighbours = neighbours
        self._directory = SOCKETS / namespace.host_name
        self._config = config
        self._log = log
        self._processes: list[subprocess.Popen[bytes]] = []
        self._watch: RouteWatch | None = None
        self._watched = list(VIPS)
        namespace.sysctl(
            net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1,
            # Both nodes of a pair may announce for a moment: a flow sticks to one of them.
            net__ipv4__fib_multipath_hash_policy=1, net__ipv6__fib_multipath_hash_policy=1,
        )

    def start(self) -> None:
        """Start the daemons, give them their configuration, watch the routes."""
        log = self._log
        log.mkdir(parents=True, exist_ok=True)
        self._directory.mkdir(mode=0o755)
        shutil.chown(self._directory, "frr", "frr")
        if self._watch is None:
            self._watch = RouteWatch(self.namespace, self._name_of, self._watched)
        for daemon in DAEMONS:
            self._start_daemon(daemon, log / f"{self.name}-{daemon}.log")
        config = self._directory / "frr.conf"
        config.write_text(self._config)
        self.vtysh("-f", config)

    def _start_daemon(self, daemon: str, log: Path) -> None:
        directory = self._directory
        words = [
            str(FRR_DIRECTORY / daemon), "--vty_socket", str(directory), "-i", str(directory / f"{daemon}.pid"),
            "-z", str(directory / "zserv.api"), "-f", "/dev/null", "-A", "127.0.0.1", "-P", "0", "--log", "stdout",
        ]
        if daemon == "bfdd":
            words += ["--bfdctl", str(directory / "bfdd.sock")]
        if daemon == "zebra":
            words += ["--v6-rr-semantics"]  # or an IPv6 route is deleted and added to change it: docs/bgp.md
        with log.open("ab") as file:
            process = subprocess.Popen(
                self.namespace.enter(*words), stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        favour(process.pid)
        self._processes.append(process)
        socket = directory / f"{daemon}.vty"
        wait_for(lambda: socket.exists() or process.poll() is not None, 15, f"{self.name}: {daemon} is up", every=0.02)
        if process.poll() is not None:
            raise LabError(f"{self.name}: {daemon} ended: {log.read_text(errors='replace')[-500:]}")

    def vtysh(self, *words: object) -> str:
        """Standard output of vtysh WORDS."""
        return host("vtysh", "--vty_socket", self._directory, *map(str, words)).out

    def show(self, command: str) -> Any:
        """What `show COMMAND json` says, parsed."""
        text = self.vtysh("-c", f"show {command} json")
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise LabError(f"{self.name}: show {command} json said {text!r}") from error

    def peers(self) -> dict[str, str]:
        """State of every BGP peer and family, by address: "Established", "Active", ..."""
        found: dict[str, str] = {}
        for family in self.show("bgp summary").values():
            found.update({address: peer["state"] for address, peer in family.get("peers", {}).items()})
        return found

    def bfd(self) -> dict[str, str]:
        """State of every BFD session, by peer: "up", "down", ..."""
        return {session["peer"]: session["status"] for session in self.show("bfd peers")}

    def bfd_downs(self) -> int:
        """How often a BFD session of this router has gone down since its daemons were started."""
        return sum(int(session.get("session-down", 0)) for session in self.show("bfd peers counters"))

    def state(self) -> str:
        """What an operator would look at first, as text."""
        commands = ("show bgp summary", "show bgp ipv4 unicast", "show bgp ipv6 unicast", "show bfd peers brief")
        said = [self.vtysh("-c", command) for command in commands]
        return "\n".join([*said, self.namespace.ip("route"), self.namespace.ip("-6", "route"), *map(str, self.events)])

    def route_to(self, address: str) -> list[str]:
        """Names of the next hops of the kernel's route to an address, sorted; [] when there is none but the default."""
        return next_hops(self._route(address), self._name_of)

    def _route(self, address: str) -> str:
        family = "-6" if ":" in address else "-4"
        return self.namespace.ip(family, "-o", "route", "show", address)

    def wait_route(self, address: str, *wanted: str, limit: float = 30) -> None:
        """Return when the route to an address has exactly these next hops (none: no route)."""
        goal = sorted(wanted)

        def there() -> bool:
            now = self.route_to(address)
            if now != goal:
                raise LabError(f"it routes it to {now or 'no node'}")
            return True

        wait_for(there, limit, f"{self.name} routes {address} to {goal or 'no node'}", every=0.05)

    def watch(self, addresses: Iterable[str]) -> None:
        """Take down changes of the routes to these addresses, too."""
        self._watched += [address for address in addresses if address not in self._watched]

    @property
    def events(self) -> list[RouteEvent]:
        """Every change of the routes to the VIPs, and to what watch() was told of, so far."""
        return list(self._watch.events) if self._watch else []

    def _name_of(self, address: str) -> str:
        return self._neighbours.get(address, address)

    def power_off(self) -> None:
        """SIGKILL for its daemons; what they put into the kernel goes too, as a router without power has no routes."""
        processes, self._processes = self._processes, []
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
        # zebra's routes hang on its next-hop objects and go with them.
        host("ip", "-n", self.namespace.host_name, "nexthop", "flush", check=False)
        shutil.rmtree(self._directory, ignore_errors=True)

    def close(self) -> None:
        """End everything; the namespace itself is the fabric's to remove."""
        steps: list[Callable[[], object]] = [self.power_off]
        if self._watch is not None:
            steps.append(self._watch.close)
        in_order(*steps)


class RouteWatch:
    """`ip monitor route` in a namespace, read live: when the kernel's route to one of `watched` changed."""

    def __init__(self, namespace: Namespace, name_of: Callable[[str], str], watched: Sequence[str] = VIPS) -> None:
        self.events: list[RouteEvent] = []
        self._name_of = name_of
        self._watched = watched
        self._process = subprocess.Popen(
            namespace.enter("ip", "-o", "-ts", "monitor", "route"), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True,
            env={**os.environ, "TZ": "UTC0"},
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            event = parse_event(line, self._name_of, self._watched)
            if event is not None:
                self.events.append(event)

    def close(self) -> None:
        """End the monitor."""
        self._process.kill()
        self._process.wait()
        self._thread.join(5)


_EVENT = re.compile(r"\[(?P<at>[^\]]+)\] (?P<deleted>Deleted )?(?:\S+ )?(?P<prefix>[0-9a-f.:]+)(?:/\d+)? (?P<rest>.*)")


def parse_event(line: str, name_of: Callable[[str], str], watched: Sequence[str] = VIPS) -> RouteEvent | None:
    """One line of `ip -o -ts monitor route` (run in UTC), or None when it is not about an address that is watched."""
    prefix = next((vip for vip in watched if re.search(rf"(^|\s){re.escape(vip)}(/\d+)?\s", line)), None)
    match = _EVENT.match(line)
    if prefix is None or match is None:
        return None
    at = datetime.fromisoformat(f"{match['at']}+00:00").timestamp()
    return RouteEvent(at, prefix, () if match["deleted"] else tuple(next_hops(line, name_of)))


def next_hops(route: str, name_of: Callable[[str], str]) -> list[str]:
    """Names of the next hops in what `ip -o route` prints for one route, or for none."""
    return sorted({name_of(address) for address in re.findall(r"via (?:inet6 )?(\S+)", route)})


def wait_bgp(routers: Sequence[Router], limit: float = 60) -> None:
    """Return when every BGP session and every BFD session of these routers is up."""
    end = time.monotonic() + limit
    for router in routers:

        def all_up(router: Router = router) -> bool:
            states = {**{f"BGP {peer}": state for peer, state in router.peers().items()},
                      **{f"BFD {peer}": state for peer, state in router.bfd().items()}}
            down = {peer: state for peer, state in states.items() if state not in ("Established", "up")}
            if down or not states:
                raise LabError(f"{router.name}: {down or 'no peers'}")
            return True

        wait_for(all_up, max(1.0, end - time.monotonic()), f"{router.name}: all BGP and BFD sessions up")
