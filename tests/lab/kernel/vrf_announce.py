#!/usr/bin/python3
"""bgp-announce and anycast-vip in a VRF: vrf_announce.py. Run as root in a node of the lab, which has FRR and a kernel with VRFs.

Two FRRs in network namespaces: an announcer with a BGP instance in VRF `red` besides the default one, and its peer. The
addresses are on a dummy interface of the VRF. One line a step; the exit code is 1 when one of them failed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hosts import (  # type: ignore[import-not-found]  # beside this file
    AGENTS,
    OCF_ERR_GENERIC,
    OCF_NOT_RUNNING,
    OCF_SUCCESS,
    VIP4,
    StepFailed,
    alone,
    eventually,
    run,
)

FRR = "/usr/lib/frr"
VIP6 = "2001:db8:53::53"  # which the node allows
LIMIT_S = 60
OURS = """\
router bgp 65001
 bgp router-id 10.8.0.1
 no bgp ebgp-requires-policy
exit
router bgp 65001 vrf red
 bgp router-id 10.8.0.1
 no bgp ebgp-requires-policy
 timers bgp 3 9
 neighbor 10.8.0.2 remote-as 65002
 neighbor 10.8.0.2 timers connect 1
 address-family ipv6 unicast
  neighbor 10.8.0.2 activate
 exit-address-family
exit
"""
THEIRS = """\
router bgp 65002
 bgp router-id 10.8.0.2
 no bgp ebgp-requires-policy
 neighbor 10.8.0.1 remote-as 65001
 neighbor 10.8.0.1 timers connect 1
 address-family ipv6 unicast
  neighbor 10.8.0.1 activate
 exit-address-family
exit
"""


class Frr:
    """zebra and bgpd in a namespace, with their sockets in a directory of their own."""

    def __init__(self, namespace: str, directory: Path) -> None:
        self.namespace = namespace
        self.directory = directory / namespace
        self.directory.mkdir()
        shutil.chown(self.directory, "frr", "frr")
        self.processes: list[subprocess.Popen[bytes]] = []

    def inside(self, *argv: str) -> str:
        return str(run("ip", "netns", "exec", self.namespace, *argv))

    def start(self, config: str) -> None:
        for name in ("mgmtd", "zebra", "bgpd"):
            place = str(self.directory)
            argv = [f"{FRR}/{name}", "--vty_socket", place, "-i", f"{place}/{name}.pid"]
            argv += [] if name == "mgmtd" else ["-z", f"{place}/zserv.api", "-P", "0"]
            argv += ["-f", "/dev/null"] if name == "bgpd" else []
            with (self.directory / f"{name}.log").open("wb") as log:
                self.processes.append(
                    subprocess.Popen(
                        ["ip", "netns", "exec", self.namespace, *argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log
                    )
                )
            eventually((self.directory / f"{name}.vty").exists, LIMIT_S, f"{name} to listen")
        path = self.directory / "frr.conf"
        path.write_text(config)
        self.vtysh("-f", str(path))

    def vtysh(self, *words: str) -> str:
        return self.inside("vtysh", "--vty_socket", str(self.directory), *words)

    def paths(self, prefix: str) -> object:
        family = "ipv6" if ":" in prefix else "ipv4"
        return json.loads(self.vtysh("-d", "bgpd", "-c", f"show bgp {family} unicast {prefix} json")).get("paths")

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


class Resource:
    """An agent, called in the announcer's namespace as Pacemaker does it."""

    def __init__(self, node: Frr, agent: str, instance: str, **parameters: str) -> None:
        self.node = node
        self.agent = agent
        self.instance = instance
        self.parameters = parameters

    def must(self, action: str, code: int, words: str = "", level: str = "0", **more: str) -> None:
        environ = {
            "PATH": os.environ["PATH"],
            "OCF_ROOT": "/usr/lib/ocf",
            "OCF_RESOURCE_INSTANCE": self.instance,
            "OCF_CHECK_LEVEL": level,
            "OCF_RESKEY_CRM_meta_timeout": "30000",
            "OCF_RESKEY_CRM_meta_interval": "5000",
            "HA_RSCTMP": str(self.node.directory / "run"),
            "HA_LOGFACILITY": "none",
            **{f"OCF_RESKEY_{name}": value for name, value in {**self.parameters, **more}.items()},
        }
        argv = ["ip", "netns", "exec", self.node.namespace, f"{AGENTS}/{self.agent}", action]
        done = subprocess.run(argv, env=environ, capture_output=True, text=True)
        if done.returncode != code or words not in done.stderr:
            raise StepFailed(f"{self.agent} {action} says {done.returncode}, {done.stderr.strip()!r}; not {code}, {words!r}")


def story(ours: Frr, theirs: Frr) -> Iterator[str]:
    for vip, backend in ((VIP4, "socket"), (VIP6, "socket"), (VIP4, "vtysh"), (VIP6, "vtysh")):
        address = Resource(ours, "anycast-vip", "vip", ip=vip, nic="anycast0", gate="none")
        prefix = f"{vip}/{128 if ':' in vip else 32}"
        common = {"prefix": prefix, "allowed_prefixes": "192.0.2.0/24 2001:db8:53::/48", "vty_dir": str(ours.directory)}
        route = Resource(ours, "bgp-announce", "route", vrf="red", backend=backend, **common)
        address.must("start", OCF_SUCCESS)
        route.must("monitor", OCF_NOT_RUNNING)
        # This bgpd is young, and might still be given one; it is waited for, and here not for long.
        route.must("start", OCF_ERR_GENERIC, "no BGP instance in VRF blue", vrf="blue", CRM_meta_timeout="4000")
        route.must("start", OCF_SUCCESS)
        eventually(lambda prefix=prefix: theirs.paths(prefix), LIMIT_S, f"the peer to have {prefix}")
        route.must("monitor", OCF_SUCCESS)
        route.must("monitor", OCF_SUCCESS, level="10")
        if ours.paths(prefix):
            raise StepFailed(f"the default instance has {prefix} as well")
        route.must("stop", OCF_SUCCESS)
        address.must("stop", OCF_SUCCESS)
        eventually(lambda prefix=prefix: not theirs.paths(prefix), LIMIT_S, f"the peer to lose {prefix}")
        yield f"{prefix} by {backend}: announced in VRF red, and nowhere else"


def main() -> int:
    alone()
    run("modprobe", "-a", "vrf", "dummy")
    for name in ("ours", "theirs"):
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
    run("ip", "-n", "ours", "link", "add", "red", "type", "vrf", "table", "10")
    run("ip", "-n", "ours", "link", "set", "red", "up")
    run("ip", "-n", "ours", "link", "add", "anycast0", "type", "dummy")
    run("ip", "-n", "ours", "link", "set", "anycast0", "master", "red", "up")
    run("ip", "-n", "ours", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", "theirs")
    run("ip", "-n", "ours", "link", "set", "eth0", "master", "red", "up")
    run("ip", "-n", "theirs", "link", "set", "eth0", "up")
    for name, number in (("ours", 1), ("theirs", 2)):
        run("ip", "-n", name, "address", "add", f"10.8.0.{number}/24", "dev", "eth0")
        run("ip", "-n", name, "address", "add", f"fd00:8::{number}/64", "dev", "eth0", "nodad")
    run("ip", "netns", "exec", "ours", "sysctl", "-qw", "net.ipv4.tcp_l3mdev_accept=1")
    with tempfile.TemporaryDirectory(prefix="vrf-announce-") as scratch:
        os.chmod(scratch, 0o755)
        ours, theirs = Frr("ours", Path(scratch)), Frr("theirs", Path(scratch))
        try:
            ours.start(OURS)
            theirs.start(THEIRS)
            for step in story(ours, theirs):
                print(f"ok    {step}", flush=True)
        except (StepFailed, OSError) as failed:
            print(f"FAILED  {failed}", flush=True)
            for frr in (ours, theirs):
                for command in ("show bgp vrf all summary", "show bgp vrf red ipv4 unicast", "show ip route vrf all"):
                    print(frr.vtysh("-c", command))
            return 1
        finally:
            ours.stop()
            theirs.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
