"""Many services on one pair: their configuration, real servers that all die and return at once, and what is seen of it.

Everything is measured from outside of the code under test: from the log of the nodes, the kernel's tables, the routes of the
site's router. Only what changes a service goes through the cluster.
"""
from __future__ import annotations

import re
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .base import LabError, wait_for
from .topology import Site
from .uml import UmlNode

FIRST_HOST = 100
"""Service N has the address 192.0.2.(FIRST_HOST + N)."""
FIRST_PORT = 9000
WATCHER = "/opt/lab/tablewatch"
AGENTS = {
    "anycast": ("ocf:anycast:ipvs-pool", "ocf:anycast:anycast-vip", "ocf:anycast:bgp-announce"),
    "dummy": ("ocf:pacemaker:Dummy", "ocf:pacemaker:Dummy", "ocf:pacemaker:Dummy"),
}
STILL_S = 1.5
"""For so long the DC has to be idle before a phase counts as over: between two transitions it is for a moment."""
_IDLE = re.compile(r"State transition (\S+) -> (\S+)")
_ATTRIBUTE = re.compile(r"pacemaker-attrd\S* +notice: Setting healthy-(\S+)-pool\[(\S+?)\].*?: (\S+) -> (\S+)")


@dataclass(frozen=True)
class Service:
    """One service of many."""

    name: str
    vip: str
    port: int

    @property
    def attribute(self) -> str:
        return f"healthy-{self.name}-pool"


def services(count: int) -> list[Service]:
    """So many, by name s0, s1, ..."""
    return [Service(f"s{number}", f"192.0.2.{FIRST_HOST + number}", FIRST_PORT + number) for number in range(count)]


def composition(many: Sequence[Service], agents: str, reals: Sequence[str], gated: bool) -> str:
    """The composition of many-services.crm for these services, of this suite's agents or of Dummy ones.

    `gated`: bgp-announce has the parameter `attribute`, as in the examples that are installed with it.
    """
    pool, vip, bgp = AGENTS[agents]
    ours = agents == "anycast"
    checks = "params check=tcp check_interval=1s check_timeout=500ms dampen=200ms" if ours else ""
    lines = [
        "property stonith-enabled=false",
        "rsc_defaults resource-stickiness=100 migration-threshold=3 failure-timeout=60s",
        f"rsc_template scale-pool {pool} {checks} "
        "op start timeout=60s interval=0 op stop timeout=30s interval=0 op monitor interval=10s timeout=20s",
        f"rsc_template scale-vip {vip} meta allow-migrate=true "
        "op start timeout=20s interval=0 op stop timeout=20s interval=0 op monitor interval=5s timeout=20s",
        f"rsc_template scale-bgp {bgp} meta allow-migrate=true "
        "op start timeout=30s interval=0 op stop timeout=30s interval=0 op monitor interval=5s timeout=10s "
        "op migrate_to timeout=20s interval=0 op migrate_from timeout=30s interval=0",
    ]
    for one in many:
        name, real_servers = one.name, " ".join(f"{address}:{one.port}" for address in reals)
        virtual = f'params virtual="tcp/{one.vip}:{one.port}" real_servers="{real_servers}"' if ours else ""
        gate = f"attribute={one.attribute}" if gated else ""
        lines += [
            f"primitive {name}-pool @scale-pool {virtual}",
            f"primitive {name}-vip @scale-vip" + (f" params ip={one.vip} attribute={one.attribute}" if ours else ""),
            f"primitive {name}-bgp @scale-bgp" + (f" params prefix={one.vip}/32 {gate}" if ours else ""),
            f"clone {name}-pool-clone {name}-pool meta interleave=true",
            f"location {name}-where-alive {name}-vip rule -inf: not_defined {one.attribute} or {one.attribute} lt 1",
            f"colocation {name}-vip-with-pool inf: {name}-vip {name}-pool-clone",
            f"colocation {name}-bgp-with-vip inf: {name}-bgp {name}-vip",
            f"order {name}-pool-then-vip Mandatory: {name}-pool-clone {name}-vip",
            f"order {name}-vip-then-bgp Mandatory: {name}-vip {name}-bgp",
        ]
    return "\n".join(lines) + "\n"


class RealServers:
    """A TCP server for each service on each of a site's real servers; all of them die and return at the same moment."""

    def __init__(self, site: Site, many: Sequence[Service]) -> None:
        self.addresses = [site.plan.lan4(21 + index) for index in range(len(site.backends))]
        self._places = list(zip((server.namespace for server in site.backends), self.addresses))
        self._ports = [one.port for one in many]
        self._serving: _Serving | None = None

    def start(self) -> float:
        """Listen on all ports; returns when (time.time()) the last of them did."""
        sockets = [
            place.within(lambda address=address, port=port: socket.create_server((address, port), backlog=512))  # type: ignore[misc]
            for place, address in self._places
            for port in self._ports
        ]
        self._serving = _Serving(sockets)
        return time.time()

    def stop(self) -> float:
        """From now on all ports refuse; returns when (time.time()) the first of them did."""
        serving, self._serving = self._serving, None
        return serving.close() if serving else time.time()


class _Serving(threading.Thread):
    """Takes connections, and closes each when the other side has."""

    def __init__(self, sockets: Sequence[socket.socket]) -> None:
        super().__init__(daemon=True)
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._sockets = sockets
        for one in sockets:
            one.setblocking(False)
            self._selector.register(one, selectors.EVENT_READ, one)
        self.start()

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._woken:
                    return
                if key.data is not None:
                    self._take(key.data)
                else:
                    self._hang_up(key.fileobj)

    def _take(self, listening: socket.socket) -> None:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        connection.setblocking(False)
        self._selector.register(connection, selectors.EVENT_READ)

    def _hang_up(self, connection: Any) -> None:
        try:
            if connection.recv(4096):
                return
        except OSError:
            pass
        self._selector.unregister(connection)
        connection.close()

    def close(self) -> float:
        self._wake.send(b"x")
        self.join()
        at = time.time()
        for one in self._sockets:
            one.close()
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        return at


class Mark:
    """A moment: what the nodes have logged since, and what they have cost."""

    def __init__(self, nodes: Sequence[UmlNode]) -> None:
        self._nodes = nodes
        self.at = time.time()
        self._sizes = [_size(node) for node in nodes]
        self._cpu = [node.cpu_s() for node in nodes]

    def lines(self) -> Iterator[tuple[float, str, str]]:
        """When, which node, what it logged; one node after the other."""
        for node, size in zip(self._nodes, self._sizes):
            with (node.shared / "log/syslog").open("rb") as file:
                file.seek(size)
                for line in file.read().decode(errors="replace").splitlines():
                    at, _, text = line.partition(" ")
                    try:
                        yield float(at), node.name, text
                    except ValueError:  # half a line
                        continue

    def transitions(self) -> int:
        """How many transitions Pacemaker has computed."""
        return sum(1 for _, _, text in self.lines() if "alculated transition" in text)

    def cpu_s(self) -> float:
        """Processor seconds of all nodes."""
        return sum(node.cpu_s() - before for node, before in zip(self._nodes, self._cpu))

    def attributes(self, value: Callable[[int], bool]) -> list[tuple[float, str, str]]:
        """When attrd of a node had such a value of one of its attributes; service and node."""
        found = []
        for at, node, text in self.lines():
            match = _ATTRIBUTE.search(text)
            if match and match[2] == node and match[4].isdigit() and value(int(match[4])):
                found.append((at, match[1], node))
        return sorted(found)

    def idle_since(self) -> float | None:
        """Since when the DC has been idle, None while it is not; it was at this moment, if it has said nothing since."""
        last = (self.at, "S_IDLE")
        for at, _, text in sorted(self.lines()):
            match = _IDLE.search(text)
            if match and "S_IDLE" in (match[1], match[2]):
                last = (at, match[2])
        return last[0] if last[1] == "S_IDLE" else None


def _size(node: UmlNode) -> int:
    path = node.shared / "log/syslog"
    return path.stat().st_size if path.exists() else 0


class Pair:
    """A site's pair that carries many services. `load` and `unload` them; `routes`, `tables` and `Mark` tell what happened."""

    def __init__(self, site: Site, count: int, agents: str = "anycast") -> None:
        self.site = site
        self.agents = agents
        self.services = services(count)
        self.reals = RealServers(site, self.services)
        self.gated = agents == "anycast" and 'name="attribute"' in site.nodes[0].run(
            "/usr/lib/ocf/resource.d/anycast/bgp-announce meta-data"
        ).check().out
        self._before = "/run/before-scale.xml"
        self._watchers = {node.name: f"{node.shared}/log/tablewatch" for node in site.nodes}
        site.router.watch(one.vip for one in self.services)

    # -- what is done

    def load(self) -> Mark:
        """Start the real servers and load the configuration; returns the moment before the latter. It starts nothing yet."""
        self.reals.start()
        if self.agents == "dummy":
            self.set_attributes(2)
        cluster = self.site.cluster
        cluster.run(f"cibadmin --query --scope configuration > {self._before}").check()
        mark = self.mark()
        cluster.answering().put("/run/scale.crm", composition(self.services, self.agents, self.reals.addresses, self.gated))
        cluster.crm("configure load update /run/scale.crm", timeout=300)
        return mark

    def unload(self, limit: float) -> None:
        """Stop the services, in order, and give the cluster the configuration of before."""
        cluster = self.site.cluster
        stop = "crm_resource --meta --set-parameter target-role --parameter-value Stopped --resource"
        mark = self.mark()
        cluster.run("; ".join(f"{stop} {one.name}-pool-clone" for one in self.services), timeout=300)
        self.settle(mark, lambda: not self.running(), limit, "no service runs")
        cluster.run(f"cibadmin --replace --scope configuration --xml-file {self._before}").check()
        cluster.wait_idle(limit)
        self.reals.stop()
        names = " ".join(one.attribute for one in self.services)
        for node in self.site.nodes:
            node.run(f"pkill -f /opt/lab/[t]ablewatch; for name in {names}; do attrd_updater -n $name -D; done", timeout=300)

    def standby(self, node: str, on: bool) -> Mark:
        """Put a node into standby, or take it back; returns the moment before."""
        mark = self.mark()
        self.site.cluster.run(f"crm_attribute -N {node} -n standby " + ("-v on" if on else "-D")).check()
        return mark

    def set_attributes(self, value: int) -> None:
        """Set the attributes of all pools on both nodes as fast as it can be done: for agents that do not do so."""
        names = " ".join(one.attribute for one in self.services)
        create = f"printf '%s\\n' {names} | xargs -P4 -I@ attrd_updater -n @ -U {value} -d 200ms"
        pattern = "|".join(one.attribute for one in self.services)
        command = create if value == 2 and not self._known else f"attrd_updater --pattern '^({pattern})$' -U {value}"
        self._known = True
        threads = [threading.Thread(target=node.run, args=(command, 300)) for node in self.site.nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    _known = False

    def watch_tables(self) -> None:
        """Have both nodes write down the changes of their IPVS tables from now on."""
        for node in self.site.nodes:
            node.run(f"setsid {WATCHER} /lab/log/tablewatch </dev/null >/dev/null 2>&1 &").check()

    # -- what is seen

    def mark(self) -> Mark:
        """This moment."""
        return Mark(self.site.nodes)

    def announced(self) -> dict[str, list[str]]:
        """Who announces each service, by its name; those that the router has no route to are left out."""
        found = {one.name: self.site.router.route_to(one.vip) for one in self.services}
        return {name: nodes for name, nodes in found.items() if nodes}

    def routes(self, since: float) -> dict[str, list[tuple[float, tuple[str, ...]]]]:
        """Changes of the router's route to each service since then: when, and who announces it now."""
        names = {one.vip: one.name for one in self.services}
        found: dict[str, list[tuple[float, tuple[str, ...]]]] = {one.name: [] for one in self.services}
        for event in self.site.router.events:
            if event.at >= since and event.prefix in names:
                found[names[event.prefix]].append((event.at, event.next_hops))
        return found

    def tables(self, since: float) -> dict[tuple[str, str], list[tuple[float, int]]]:
        """Changes of how many real servers of a service have a weight, by service and node."""
        names = {one.vip: one.name for one in self.services}
        found: dict[tuple[str, str], list[tuple[float, int]]] = {}
        for node, path in self._watchers.items():
            with open(path, encoding="ascii") as file:
                for line in file:
                    at, vip, alive = line.split()
                    if float(at) >= since and vip in names:
                        found.setdefault((names[vip], node), []).append((float(at), int(alive)))
        return found

    def running(self) -> list[str]:
        """Names of the announcements that the cluster believes to run."""
        names = {f"{one.name}-bgp" for one in self.services}
        out = self.site.cluster.run("crm_mon -1 --output-as=xml --include=none,resources", timeout=60).check().out
        found = re.findall(r'<resource id="([^":]+)"[^>]* role="Started" active="true"', out)
        return [name for name in found if name in names]

    def settle(self, mark: Mark, done: Callable[[], bool], limit: float, what: str) -> float:
        """Wait until the DC is idle and done() is true; returns when (time.time()) it became idle for the last time.

        The log is read from outside: nothing is asked of a node until it has been idle for STILL_S.
        """

        def over() -> float | None:
            since = mark.idle_since()
            if since is None or time.time() - since < STILL_S:
                raise LabError("the DC is at work")
            return since if done() and mark.idle_since() == since else None

        return wait_for(over, limit, what, every=0.5) or 0.0
