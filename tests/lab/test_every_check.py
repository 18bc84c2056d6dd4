"""Every check in a pool of its own: the agent, its daemon and real IPVS in a node, against the servers of tests/checks."""
from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import pytest
from ocfpy.checks.registry import SECRETS, TYPES

from tests.checks.cases import CASES, COMMAND, SERVERS, Case
from tests.checks.observe import TIMEOUT_S, files, filled
from tests.checks.server import Server
from tests.checks.table import documented
from tests.checks.world import NODE4, NODE6, World
from tests.frr.namespace import run
from tests.lab.services import at_once
from tests.lab.testbed import LabError, UmlNode, rootfs, wait_for
from tests.lab.testbed.bench import agent_command
from tests.lab.testbed.network import CONTROL, Fabric, sweep
from tests.lab.testbed.uml import Nic

POOLS = (*CASES, Case("on", "nginx", {"check": "on"}), Case("off", "nginx", {"check": "off"}))
LIMIT = 300.0
"""Seconds for anything to happen; on an idle machine it takes ten."""
LAN = "lan"
HOST4, HOST6 = "10.77.255.2", "fd77::ff02"
CONTROL_ADDRESS = "10.99.0.41"
BOOT = "cat /usr/lib/modules-load.d/*.conf | xargs -n1 modprobe"
MEMORY_MIB = 1024
AT_ONCE = 6
"""So many agents start side by side, each with an interpreter of its own."""
FILES = "/etc/anycast-checks"
SECRET_PARAMETERS = tuple(f"check_{name}" for name in SECRETS)
PATIENCE_S = 2
TIMES = {"check_interval": "3s", "check_timeout": f"{PATIENCE_S}s", "rise": "1", "fall": "2"}
NO_PING = f"timed out after {PATIENCE_S} s, waiting for the reply to a ping"
QUEUED = f"timed out after {PATIENCE_S} s, connecting"
"""What is said of a server that hangs once its kernel has as many connections waiting for it as it takes."""
_REAL = re.compile(r"^-a -([tu]) (\S+) -r \S+ .*-w (\d+)", re.MULTILINE)


def wanted(case: Case, mode: str) -> tuple[int, set[str]]:
    """The weight of a server in that mode, and why it is out if it is: what the document has."""
    check = case.params["check"]
    if check in ("on", "off"):
        return int(check == "on"), {""}
    cell = documented()[case.name, mode]
    if check == "ping" and mode == "refused":
        cell = f"down: {NO_PING}"  # its host has been silenced, too
    reason = cell.partition(": ")[2].replace(f"timed out after {TIMEOUT_S} s", f"timed out after {PATIENCE_S} s")
    return int(cell == "up"), {reason, QUEUED} if mode == "hangs" and reason else {reason}


@dataclass(frozen=True)
class Ground:
    """The servers, all on one host, and the node that checks them over a wire."""

    world: World
    node: UmlNode

    @property
    def servers(self) -> list[Server]:
        """All of them."""
        return list(self.world.servers.values())

    def serve(self) -> None:
        """Have every server serve, and its host answer pings."""
        at_once([server.start for server in self.servers])
        self._set("net.ipv4.icmp_echo_ignore_all=0", "net.ipv6.icmp.echo_ignore_all=0")

    def hang(self) -> None:
        """Have every server stand still."""
        at_once([server.freeze for server in self.servers])

    def end(self) -> None:
        """End every server, and have their host leave pings without an answer."""
        at_once([server.stop for server in self.servers])
        self._set("net.ipv4.icmp_echo_ignore_all=1", "net.ipv6.icmp.echo_ignore_all=1")

    def wire(self, fabric: Fabric) -> None:
        """Put the servers' host on the node's network."""
        fabric.plug(self.world.namespace, LAN, LAN, f"{HOST4}/16", f"{HOST6}/64")
        # A host says only now and then that a port is closed, unless it is asked to say so always.
        self._set("net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")

    def _set(self, *settings: str) -> None:
        run(*self.world.namespace.command("sysctl", "-qw", *settings))

    def start_pools(self) -> None:
        """Start all of them, a few at a time; secrets are in files, as the manual has it."""
        for name, path in files(self.world).items():
            # Files with secrets are root's alone; the command is run by a user without privileges.
            self.node.put(f"{FILES}/{name}", path.read_text(), 0o755 if path == COMMAND else 0o600)
        for secret in {case.params[name] for case in POOLS for name in SECRET_PARAMETERS if name in case.params}:
            self.node.put(f"{FILES}/{secret}", f"{secret}\n", 0o600)
        commands = "\n".join(self._start(number, case) for number, case in enumerate(POOLS, 1))
        self.node.run(f"xargs -d '\\n' -n 1 -P {AT_ONCE} sh -c", timeout=LIMIT, stdin=commands).check()

    def _start(self, number: int, case: Case) -> str:
        """The command that starts a case's pool."""
        server = self.world.servers[case.server]
        port = case.port or server.port
        params = filled(case.params, {name: f"{FILES}/{name}" for name in files(self.world)})
        params.update({name: f"{FILES}/{params[name]}" for name in SECRET_PARAMETERS if name in params})
        given = {
            "virtual": " ".join(self._services(number, case)),
            "real_servers": f"{server.address4}:{port} [{server.address6}]:{port}",
            **TIMES,
            **params,
        }
        return agent_command("ipvs-pool", "start", f"pool-{number}", given, timeout_s=round(LIMIT))

    def _services(self, number: int, case: Case) -> list[str]:
        """The virtual services of a case's pool, one of each family."""
        proto, port = "udp" if case.udp else "tcp", case.port or self.world.servers[case.server].port
        return [f"{proto}/{vip}:{port}" for vip in (f"198.51.100.{number}", f"[2001:db8:100::{number:x}]")]

    def wait(self, mode: str) -> None:
        """Return when the node has of every server what the document has of one in that mode."""
        began = time.monotonic()
        wait_for(partial(self._is_seen, mode), LIMIT, f"servers in the mode {mode!r} are taken for that", every=1.0)
        print(f"{mode}: all are taken for that after {time.monotonic() - began:.1f} s")

    def _is_seen(self, mode: str) -> bool:
        faults = list(self._faults(mode))
        if faults:
            raise LabError("\n".join(faults))
        return True

    def _faults(self, mode: str) -> Iterator[str]:
        """What is not as it should be in the kernel; if all is, in what the daemons say."""
        expected = {
            service: (case, *wanted(case, mode))
            for number, case in enumerate(POOLS, 1)
            for service in self._services(number, case)
        }
        table = {
            f"{'tcp' if proto == 't' else 'udp'}/{service}": int(weight)
            for proto, service, weight in _REAL.findall(self.node.run("ipvsadm -Sn").check().out)
        }
        wrong = [service for service, (_, weight, _) in expected.items() if table.get(service) != weight]
        if wrong:
            yield from (f"{service} ({expected[service][0]}) in the kernel: weight {table.get(service)}" for service in wrong)
            return
        # Its exit code is 1, as the servers of some pools are down on purpose.
        said = json.loads(self.node.run("anycastctl status --json", timeout=LIMIT).out)
        real_servers = {
            service["service"]: service["real_servers"] for pool in said["pools"] for service in pool.get("virtual", ())
        }
        for service, (case, weight, reasons) in expected.items():
            for real in real_servers.get(service) or [{"state": "not there"}]:
                if real.get("weight") != weight or real.get("reason") not in reasons:
                    yield f"{service} ({case}): {real}, and not {weight} {reasons}"


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    """Servers that serve, and a pool for each case on a node that has nothing else to do."""
    used = {case.server for case in POOLS}
    sweep()
    with ExitStack() as stack:
        world = stack.enter_context(World(tuple(kind for kind in SERVERS if kind.name in used)))
        fabric = Fabric()
        stack.callback(fabric.close)
        fabric.segment(LAN)
        directory = rootfs.CACHE / fabric.run
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        nics = [
            Nic(LAN, "02:00:00:77:ff:01", [f"{NODE4}/16", f"{NODE6}/64"]),
            Nic(CONTROL, "02:00:00:99:77:01", [f"{CONTROL_ADDRESS}/24"]),
        ]
        node = UmlNode(
            "checker", fabric, rootfs.prepare(rootfs.find_deb(), rootfs.MINIMAL), directory / "checker/shared", nics,
            CONTROL_ADDRESS, routes=[f"fd77::/120 via {HOST6}"], boot=BOOT, memory_mib=MEMORY_MIB,
        )
        stack.callback(node.power_off)
        ground = Ground(world, node)
        ground.wire(fabric)
        node.power_on(wait=False)
        ground.serve()
        node.wait()
        began = time.monotonic()
        ground.start_pools()
        print(f"{len(POOLS)} pools started within {time.monotonic() - began:.1f} s")
        try:
            yield ground
        finally:
            for server in ground.servers:
                print(f"{server.log}:\n{server.log.read_text(errors='replace')[-1000:]}")


def test_every_check(ground: Ground) -> None:
    """Of a server that serves, hangs, is gone and serves again, each says through IPVS what docs/checks.md has."""
    ground.serve()
    ground.wait("works")
    try:
        ground.hang()
        ground.wait("hangs")
    finally:
        ground.end()
    ground.wait("refused")
    ground.serve()
    ground.wait("works")


def test_no_check_is_left_out() -> None:
    assert {case.params["check"] for case in POOLS} == set(TYPES)
