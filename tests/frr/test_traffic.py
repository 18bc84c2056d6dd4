"""What a client loses while an address leaves a site: 1,000 packets a second, two announcers behind a router, real bgpd on all.

Nothing here depends on how fast this machine is: a run in which the sender itself was held up is run again, and of times
only the order is asserted. The figures are printed (pytest -rP).
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from tests.frr.harness import EXAMPLES, SESSIONS, Frr, Resource, Site, wait_for
from tests.frr.namespace import run
from tests.frr.system import System

PACKETS = Path(__file__).with_name("packets.py")
V4 = "192.0.2.80/32"
VIP = "192.0.2.80"
STALL_S = 0.1
ANSWER_LIMIT_S = 30.0
ATTEMPTS = 3
BACKUP = """
route-map BACKUP permit 10
 set as-path prepend 65010
exit
"""


class TwoSites(Site):
    """`lb` is preferred, `other` announces a longer path all the time; `client` is behind r1, which forwards."""

    def _build(self) -> None:
        super()._build()
        example = (EXAMPLES / "frr-lb.conf").read_text()
        config = example.replace("router-id 10.1.0.11", "router-id 10.1.0.12").replace("!\nend\n", BACKUP + "end\n")
        self.other = self._node("other", config, "10.1.0.12/24", "2001:db8:1::12/64")
        self.other.start()
        self.client = self._namespace("client")
        self.r1.namespace.ip("link", "add", "client", "type", "veth", "peer", "name", "eth0", "netns", self.client.name)
        self.r1.namespace.ip("addr", "add", "10.9.0.1/24", "dev", "client")
        self.r1.namespace.ip("link", "set", "client", "up")
        self.client.ip("addr", "add", "10.9.0.2/24", "dev", "eth0")
        self.client.ip("link", "set", "eth0", "up")
        self.client.ip("route", "add", "default", "via", "10.9.0.1")
        run(*self.r1.namespace.command("sysctl", "-qw", "net.ipv4.ip_forward=1"))
        self._echoes: dict[str, subprocess.Popen[str]] = {}
        for node in (self.lb, self.other):
            node.namespace.ip("route", "add", "10.9.0.0/24", "via", "10.1.0.1")
        self.answer()
        wait_for("the other one's sessions", lambda: self.other.established() == SESSIONS)
        self.other.namespace.ip("addr", "add", V4, "dev", "lo", "scope", "host")
        self.other.configure("router bgp", "address-family ipv4 unicast", f"network {V4} route-map BACKUP")
        wait_for("the other one's route", lambda: self.r1.has(V4))

    def answer(self) -> None:
        """See to it that both answer packets: what does so belongs to the test, and has to be there for the next one."""
        for name, node in (("lb", self.lb), ("other", self.other)):
            if name in self._echoes and self._echoes[name].poll() is None:
                continue
            if name in self._echoes:
                print(f"what answered at {name} had ended: {self._echoes[name].returncode}")
            self._echoes[name] = self._echo(node, name)

    def _echo(self, node: Frr, name: str) -> subprocess.Popen[str]:
        argv = node.namespace.command(sys.executable, "-I", str(PACKETS), "echo", VIP, name)
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        return process

    def close(self) -> None:
        for process in getattr(self, "_echoes", {}).values():
            process.kill()
            process.communicate()
        super().close()

    def way(self) -> str:
        """Who is the next hop of r1's kernel: lb, other, or none."""
        text = self.r1.namespace.ip("route", "show", V4).stdout
        return "lb" if "10.1.0.11" in text else "other" if "10.1.0.12" in text else ""

    def address(self, verb: str) -> None:
        """Add the address to lb's loopback, or delete it, as anycast-vip does."""
        self.lb.namespace.ip("addr", verb, V4, "dev", "lo", "scope", "host", check=verb == "add")


class Stream:
    """The client's packets, from the moment it is made until report()."""

    def __init__(self, site: TwoSites) -> None:
        argv = site.client.command(sys.executable, "-I", str(PACKETS), "send", VIP)
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout
        poller = select.poll()
        poller.register(self._process.stdout, select.POLLIN)
        if not poller.poll(ANSWER_LIMIT_S * 1000):
            said = self._process.communicate("\n")[0]
            raise AssertionError(f"no answer to the client within {ANSWER_LIMIT_S:g} s: {said}")
        assert self._process.stdout.readline() == "answered\n"

    def report(self) -> dict[str, Any]:
        """What packets.py says."""
        out, _ = self._process.communicate("\n", timeout=30)
        report: dict[str, Any] = json.loads(out)
        return report


@pytest.fixture(scope="module")
def sites(system: System) -> Iterator[TwoSites]:
    with TwoSites(system) as sites:
        yield sites


@pytest.fixture
def vip(sites: TwoSites) -> Iterator[Callable[..., Resource]]:
    """Makes the resource on lb and starts it, with its address."""
    made = []

    def make(**parameters: str) -> Resource:
        sites.answer()
        wait_for("the sessions", lambda: sites.lb.established() == SESSIONS)
        sites.address("del")
        sites.address("add")
        made.append(Resource(sites.lb, "bgp", prefix=V4, allowed_prefixes="192.0.2.0/24", **parameters))
        started = made[-1].run("start")
        assert started.code == 0, started
        wait_for("the way to lb", lambda: sites.way() == "lb")
        return made[-1]

    yield make
    for resource in made:
        resource.run("stop")


def lost_in(sites: TwoSites, what: str, leave: Callable[[], None]) -> tuple[int, float]:
    """How many packets are lost while lb leaves, and in how many seconds they were sent."""
    wait_for("the way to lb", lambda: sites.way() == "lb")
    stream = Stream(sites)
    leave()
    wait_for("the way to the other one", lambda: sites.way() == "other", 30)
    report = stream.report()
    lost = report["lost"]
    gap = lost[-1] - lost[0] if lost else 0.0
    print(f"{what}: {len(lost)} of {report['sent']} lost, in {gap:.3f} s; by {report['by']}, stall {report['stall']:.3f} s")
    assert report["last"] == "other"
    assert report["by"].get("lb"), "the stream began too late"
    return (-1, gap) if lost and report["stall"] > STALL_S else (len(lost), gap)


@pytest.mark.parametrize("drain", [{}, {"drain_route_map": "DRAIN", "drain_time": "1s"}], ids=["stop", "drain"])
def test_a_clean_stop_loses_nothing(sites: TwoSites, vip: Callable[..., Resource], drain: dict[str, str]) -> None:
    for _ in range(ATTEMPTS):
        resource = vip(**drain)

        def leave(resource: Resource = resource) -> None:
            stopped = resource.run("stop")
            assert stopped.code == 0, stopped
            sites.address("del")

        lost, _ = lost_in(sites, "drain and stop" if drain else "stop", leave)
        if lost >= 0:
            break
    assert lost == 0


def test_a_drain_moves_everything_before_the_withdrawal(sites: TwoSites, vip: Callable[..., Resource]) -> None:
    for _ in range(ATTEMPTS):
        resource = vip(drain_route_map="DRAIN", drain_time="20s")
        stops: list[subprocess.Popen[str]] = []

        def leave(resource: Resource = resource, stops: list[subprocess.Popen[str]] = stops) -> None:
            stops.append(resource.popen("stop", timeout=30))

        lost, _ = lost_in(sites, "drain", leave)
        assert any(path["valid"] for path in sites.lb.paths(V4)), "it was withdrawn already"
        assert len(sites.r1.paths(V4)) == 2, "the router has both"
        resource.parameters["drain_time"] = "0"
        stops[0].kill()
        stops[0].communicate()
        assert resource.run("stop").code == 0
        if lost >= 0:
            break
    assert lost == 0


def test_why_there_is_a_settle_time(sites: TwoSites, vip: Callable[..., Resource]) -> None:
    """The address goes as soon as bgpd has sent the withdrawal, tens of milliseconds before the router acts on it.

    On a busy machine this process may be as late as the router.
    """
    for _ in range(4 * ATTEMPTS):
        resource = vip(settle="0")

        def leave(resource: Resource = resource) -> None:
            assert resource.run("stop").code == 0
            sites.address("del")

        lost, _ = lost_in(sites, "stop with settle=0", leave)
        if lost:
            break
    assert lost, "the router was always faster than the removal of the address; then settle is of no use"


def test_power_loss_is_noticed_by_bfd_and_much_later_by_the_hold_time(sites: TwoSites, vip: Callable[..., Resource]) -> None:
    vip()

    def up(node: Frr) -> bool:
        return node.established() == SESSIONS

    def cut() -> None:
        sites.switch.ip("link", "set", "lb", "nomaster")

    def mend() -> None:
        sites.switch.ip("link", "set", "lb", "master", "br0")
        wait_for("the sessions", lambda: up(sites.lb) and up(sites.other))
        wait_for("the way to lb", lambda: sites.way() == "lb")

    wait_for("BFD", lambda: sites.r1.guarded() == SESSIONS)
    try:
        _, by_bfd = lost_in(sites, "power loss, BFD 100 ms x 3", cut)
        mend()
        for node, group in ((sites.lb, "ROUTERS"), (sites.other, "ROUTERS"), (sites.r1, "LB"), (sites.r2, "LB")):
            node.configure("router bgp", f"no neighbor {group} bfd")
        wait_for("no BFD", lambda: "peerBfdInfo" not in sites.r1.show_json("show bgp neighbors 10.1.0.11")["10.1.0.11"])
        mend()
        wait_for("both routes", lambda: len(sites.r1.paths(V4)) == 2)
        _, by_hold = lost_in(sites, "power loss, hold time 9 s", cut)
    finally:
        mend()
    assert by_bfd < by_hold / 2
