"""The whole lab: a core, a client, and sites with a router, a pair of load balancers and two real servers each."""
from __future__ import annotations

import atexit
import ipaddress
import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Callable

from . import frrconf, rootfs
from .base import LabError, Result, in_order
from .client import Client
from .cluster import Cluster
from .frrconf import ANYCAST4, ANYCAST6, Plan
from .network import CONTROL, Cable, Fabric, Namespace, sweep
from .realserver import Backends, RealServer
from .router import Router, wait_bgp
from .stall import StallWatch
from .uml import MEMORY_MIB, Nic, UmlNode, power_on_all

EXAMPLES = "/usr/share/doc/ocf-anycast/cib-examples"
BOOT = """\
cat /usr/lib/modules-load.d/*.conf | xargs -n1 modprobe
sysctl -qp /usr/share/doc/ocf-anycast/examples/sysctl-lb.conf
/usr/lib/frr/frrinit.sh start >/dev/null
"""
"""What systemd does at the start of a node of flesh and blood: modules that packages ask for, kernel settings, FRR."""
NUMBERS = {"a": 1, "b": 2}


class Site:
    """One site. `router`, `nodes`, `backends`, `cluster`, and `uplink`, the cable between its router and the core."""

    def __init__(self, lab: Lab, plan: Plan) -> None:
        fabric, name = lab.fabric, plan.name
        self.name = name
        self.plan = plan
        wan, lan = f"wan-{name}", f"lan-{name}"
        fabric.segment(wan)
        fabric.segment(lan)
        fabric.plug(lab.core_namespace, wan, wan, f"{plan.wan4(1)}/24", f"{plan.wan6(1)}/64")
        router = fabric.namespace(f"router-{name}")
        self.uplink: Cable = fabric.plug(router, "uplink", wan, f"{plan.wan4(2)}/24", f"{plan.wan6(2)}/64")
        fabric.plug(router, "lan", lan, f"{plan.lan4(1)}/24", f"{plan.lan6(1)}/64")
        node_numbers = {f"lb-{name}{index}": 10 + index for index in (1, 2)}
        neighbours = {plan.wan4(1): "core", plan.wan6(1): "core"}
        for node, number in node_numbers.items():
            neighbours.update({plan.lan4(number): node, plan.lan6(number): node, _link_local(_mac(plan, number)): node})
        self.router = Router(router, frrconf.site_router(plan), neighbours, lab.directory / "routers")
        self.backends = Backends([self._real_server(lab, index) for index in (1, 2)])
        self.nodes = [self._node(lab, node, number, lan) for node, number in node_numbers.items()]
        self.cluster = Cluster(f"site-{name}", self.nodes, [node.control for node in self.nodes])

    def host(self, fabric: Fabric, name: str, number: int) -> Namespace:
        """Another machine on the site's network, without a kernel of its own; `number` ends its addresses."""
        plan = self.plan
        namespace = fabric.namespace(name)
        fabric.plug(namespace, "lan", f"lan-{plan.name}", f"{plan.lan4(number)}/24", f"{plan.lan6(number)}/64")
        namespace.ip("route", "add", "default", "via", plan.lan4(1))
        namespace.ip("-6", "route", "add", "default", "via", plan.lan6(1))
        return namespace

    def _real_server(self, lab: Lab, index: int) -> RealServer:
        namespace = self.host(lab.fabric, f"rs-{self.name}{index}", 20 + index)
        return RealServer(namespace, lab.images, lab.directory / namespace.name)

    def _node(self, lab: Lab, name: str, number: int, lan: str) -> UmlNode:
        plan = self.plan
        control = lab.control_address(name)
        node = UmlNode(
            name, lab.fabric, lab.images, lab.directory / name / "shared",
            [
                Nic(lan, _mac(plan, number), [f"{plan.lan4(number)}/24", f"{plan.lan6(number)}/64"]),
                Nic(CONTROL, f"02:00:00:99:{plan.number:02x}:{number:02x}", [f"{control}/24"]),
            ],
            control,
            hosts={f"lb-{plan.name}{index}": lab.control_address(f"lb-{plan.name}{index}") for index in (1, 2)},
            routes=[f"default via {plan.lan4(1)}", f"default via {plan.lan6(1)}"],
            boot=BOOT,
            memory_mib=lab.memory_mib,
        )
        node.provide("frr/frr.conf", frrconf.load_balancer(plan, name, number))
        node.provide("frr/daemons", "bgpd=yes\nbfdd=yes\nvtysh_enable=yes\n")
        node.provide("anycast/allowed-prefixes", f"{ANYCAST4}\n{ANYCAST6}\n")
        return node

    def dark(self) -> None:
        """The site loses its power: nothing leaves it from one moment to the next."""
        self.uplink.cut()
        for node in self.nodes:
            node.power_off()
        self.router.power_off()

    def light(self, wait: bool = True) -> None:
        """Power is back: routers and nodes boot; with `wait`, return when BGP is up and the cluster, if it had one, online."""
        self.uplink.mend()
        self.router.start()
        power_on_all([node for node in self.nodes if not node.powered])
        if wait:
            wait_bgp([self.router])
            if self.cluster.started:
                self.cluster.wait_online()

    def example(self, name: str = "recommended.crm") -> str:
        """An installed CIB example with its example addresses replaced by this site's real servers."""
        words = {
            address: real
            for index in (1, 2)
            for address, real in (
                (f"10.0.0.1{index}", self.plan.lan4(20 + index)), (f"2001:db8:a::1{index}", self.plan.lan6(20 + index)),
            )
        }
        text = self.nodes[0].get(f"{EXAMPLES}/{name}")
        for address, real in words.items():
            text = text.replace(address, real)
        return text


class Lab:
    """Everything built, wired and booted, FRR and BFD up; Corosync and Pacemaker wait for start_clusters().

    Used as a context manager, or closed by close(); a Python that ends without either closes it on its way out.
    """

    def __init__(self, sites: Sequence[str] = ("a", "b"), deb: Path | None = None, memory_mib: int = MEMORY_MIB) -> None:
        self.memory_mib = memory_mib
        self.images = rootfs.prepare(deb or rootfs.find_deb())
        for run in sweep():
            shutil.rmtree(rootfs.CACHE / run, ignore_errors=True)
        self.fabric = Fabric()
        self.stall_watch = StallWatch()
        atexit.register(self.close)
        self.directory = rootfs.CACHE / self.fabric.run
        shutil.rmtree(self.directory, ignore_errors=True)
        try:
            self._build([Plan(name, NUMBERS[name]) for name in sites])
            self._start()
        except BaseException:
            self.dump(rootfs.CACHE / "logs/start")
            self.close()
            raise

    def _build(self, plans: list[Plan]) -> None:
        fabric = self.fabric
        self.core_namespace = fabric.namespace("core")
        client = fabric.namespace("client")
        fabric.segment("clients")
        fabric.plug(self.core_namespace, "clients", "clients", "10.0.100.1/24", "2001:db8:100::1/64")
        fabric.plug(client, "eth0", "clients", "10.0.100.2/24", "2001:db8:100::2/64")
        client.ip("route", "add", "default", "via", "10.0.100.1")
        client.ip("-6", "route", "add", "default", "via", "2001:db8:100::1")
        self.client = Client(client, self.directory / "client")
        neighbours = {plan.wan4(2): f"router-{plan.name}" for plan in plans}
        neighbours.update({plan.wan6(2): f"router-{plan.name}" for plan in plans})
        self.core = Router(self.core_namespace, frrconf.core(plans), neighbours, self.directory / "routers")
        self.sites: list[Site] = []
        for plan in plans:
            self.sites.append(Site(self, plan))

    def _start(self) -> None:
        started = time.monotonic()
        for site in self.sites:
            site.backends.start(wait=False)
        self.core.start()
        for site in self.sites:
            site.router.start()
        power_on_all(self.nodes)
        for site in self.sites:
            site.backends.start()
        rootfs.say(f"{len(self.nodes)} nodes take commands {time.monotonic() - started:.1f} s after power-on")
        self.wait_bgp()
        rootfs.say(f"every BGP and BFD session is up after {time.monotonic() - started:.1f} s")

    @property
    def site_a(self) -> Site:
        """The site that the core prefers."""
        return self.site("a")

    @property
    def site_b(self) -> Site:
        """The site that takes over."""
        return self.site("b")

    def site(self, name: str) -> Site:
        """A site by its name."""
        return next(site for site in self.sites if site.name == name)

    @property
    def nodes(self) -> list[UmlNode]:
        """The load balancers of all sites."""
        return [node for site in self.sites for node in site.nodes]

    def node(self, name: str) -> UmlNode:
        """A load balancer by its name."""
        return next(node for node in self.nodes if node.name == name)

    @property
    def routers(self) -> list[Router]:
        """The core and every site's router."""
        return [self.core, *(site.router for site in self.sites)]

    @staticmethod
    def control_address(node: str) -> str:
        """Address of a node for corosync and the host's commands."""
        return f"10.99.0.{NUMBERS[node[3]]}{node[4]}"

    def wait_bgp(self, limit: float = 90) -> None:
        """Return when every BGP and BFD session of every router is up."""
        wait_bgp(self.routers, limit)

    def start_clusters(self) -> None:
        """Corosync and Pacemaker on every site; returns when all nodes are online."""
        started = time.monotonic()
        for site in self.sites:
            site.cluster.start()
        for site in self.sites:
            site.cluster.wait_online()
        rootfs.say(f"clusters online {time.monotonic() - started:.1f} s after their start")

    def load_examples(self, name: str = "recommended.crm") -> None:
        """Load an installed CIB example on every site, as a user does, and wait until both sites announce."""
        for site in self.sites:
            site.cluster.load(site.example(name))
        for site in self.sites:
            for resource in ("bgp4", "bgp6"):
                site.cluster.wait_active(resource, limit=90)

    def dump(self, directory: Path) -> None:
        """Write the state and the logs of everything, for the analysis of a failure."""
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        for site in getattr(self, "sites", []):
            for node in site.nodes:
                shutil.copytree(node.shared / "log", directory / node.name, dirs_exist_ok=True)
                (directory / node.name / "state").write_text(_said(partial(node.run, STATE, timeout=40)))
            for server in site.backends:
                for log in (self.directory / server.name).glob("*.log"):
                    shutil.copy(log, directory / f"{server.name}-{log.name}")
        for router in (self.routers if hasattr(self, "sites") else []):
            (directory / f"{router.name}.state").write_text(_said(router.state))
        for log in (self.directory / "routers").glob("*.log"):
            shutil.copy(log, directory)

    def close(self) -> None:
        """End every process, remove every namespace and file of this run; safe to call again."""
        atexit.unregister(self.close)
        steps: list[Callable[[], object]] = []
        if hasattr(self, "client"):
            steps.append(self.client.close)
        if hasattr(self, "sites"):
            steps += [node.power_off for node in self.nodes]
            steps += [backend.stop for site in self.sites for backend in site.backends]
            steps += [router.close for router in self.routers]
        steps += [self.stall_watch.close, self.fabric.close]
        steps.append(lambda: shutil.rmtree(self.directory, ignore_errors=True))
        in_order(*steps)

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


STATE = """
for command in 'crm_mon -1rfA' 'ipvsadm -Ln' 'ip address show lo' 'ip route' 'ps axf -o pid,etimes,args' 'free -m' 'dmesg'
    "vtysh -c 'show bgp summary'" "vtysh -c 'show bfd peers brief'" 'crm configure show' 'ls -l /run/resource-agents/anycast'; do
    echo "=== $command"; sh -c "$command" 2>&1 | tail -200
done
"""


def _said(ask: Callable[[], object]) -> str:
    try:
        answer = ask()
    except LabError as error:
        return str(error)
    return answer.out if isinstance(answer, Result) else str(answer)


def _mac(plan: Plan, number: int) -> str:
    return f"02:00:00:01:{plan.number:02x}:{number:02x}"


def _link_local(mac: str) -> str:
    """The link-local address that the kernel makes of a MAC address (EUI-64); routers learn IPv6 next hops by it."""
    octets = [int(octet, 16) for octet in mac.split(":")]
    octets[0] ^= 2
    words = [octets[0] << 8 | octets[1], octets[2] << 8 | 0xFF, 0xFE00 | octets[3], octets[4] << 8 | octets[5]]
    return str(ipaddress.IPv6Address("fe80::" + ":".join(f"{word:x}" for word in words)))
