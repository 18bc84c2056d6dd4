"""One node with nothing on it but the package, what it depends on and FRR, and a router to announce to: for single agents."""
from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import frrconf, rootfs
from .base import Result
from .frrconf import ANYCAST4, ANYCAST6, Plan
from .network import CONTROL, Fabric
from .router import Router, wait_bgp
from .topology import BOOT
from .uml import Nic, UmlNode

PLAN = Plan("t", 3)
NUMBER = 11
CONTROL_ADDRESS = "10.99.0.31"
AGENTS = "/usr/lib/ocf/resource.d/anycast"


class Bench:
    """`node` and `router`, on their own segment of a given fabric."""

    def __init__(
        self, fabric: Fabric, directory: Path, deb: Path | None = None, packages: Sequence[str] = rootfs.MINIMAL
    ) -> None:
        self.fabric = fabric
        self.images = rootfs.prepare(deb or rootfs.find_deb(), packages)
        lan = f"lan-{PLAN.name}"
        fabric.segment(lan)
        namespace = fabric.namespace(f"router-{PLAN.name}")
        fabric.plug(namespace, "lan", lan, f"{PLAN.lan4(1)}/24", f"{PLAN.lan6(1)}/64")
        self.router = Router(namespace, frrconf.single_router(PLAN), {PLAN.lan4(NUMBER): "bench"}, directory)
        nics = [
            Nic(lan, "02:00:00:01:03:11", [f"{PLAN.lan4(NUMBER)}/24", f"{PLAN.lan6(NUMBER)}/64"]),
            Nic(CONTROL, "02:00:00:99:03:11", [f"{CONTROL_ADDRESS}/24"]),
        ]
        self.node = UmlNode("bench", fabric, self.images, directory / "bench/shared", nics, CONTROL_ADDRESS, boot=BOOT)
        self.node.provide("frr/frr.conf", frrconf.load_balancer(PLAN, "bench", NUMBER))
        self.node.provide("frr/daemons", "bgpd=yes\nbfdd=yes\nvtysh_enable=yes\n")
        self.node.provide("anycast/allowed-prefixes", f"{ANYCAST4}\n{ANYCAST6}\n")

    def start(self) -> None:
        """Boot, and return when BGP is up."""
        self.router.start()
        self.node.power_on()
        wait_bgp([self.router])

    def agent(self, name: str, action: str, instance: str = "test", **parameters: str) -> Result:
        """Call an agent as Pacemaker does; "probe" is a monitor with interval 0, "monitor" one with 10 s."""
        return self.node.run(agent_command(name, action, instance, parameters), timeout=60)

    def close(self) -> None:
        """Power off; the wiring is the fabric's to remove."""
        self.node.power_off()
        self.router.close()


def agent_command(name: str, action: str, instance: str, parameters: Mapping[str, str], timeout_s: int = 20) -> str:
    """The shell command that calls an agent in a node as Pacemaker does; for the actions see Bench.agent()."""
    environment = {
        "OCF_ROOT": "/usr/lib/ocf", "OCF_RA_VERSION_MAJOR": "1", "OCF_RA_VERSION_MINOR": "1",
        "OCF_RESOURCE_INSTANCE": instance, "OCF_RESOURCE_PROVIDER": "anycast", "OCF_RESOURCE_TYPE": name,
        "OCF_RESKEY_CRM_meta_timeout": f"{timeout_s}000",
        "OCF_RESKEY_CRM_meta_interval": "10000" if action == "monitor" else "0",
        **{f"OCF_RESKEY_{key}": value for key, value in parameters.items()},
    }
    words = " ".join(f"{key}={shlex.quote(value)}" for key, value in environment.items())
    return f"env {words} {AGENTS}/{name} {'monitor' if action == 'probe' else action}"
