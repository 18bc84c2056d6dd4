"""bgp-announce against a real bgpd: what the routers see of start, monitor, reload, drain and stop."""

from __future__ import annotations

import os
import signal
from typing import Callable

import pytest

from tests.frr.harness import Frr, Resource, Site, wait_for

MakeResource = Callable[..., Resource]
V4 = "192.0.2.53/32"
V6 = "2001:db8:53::53/128"
BACKENDS = pytest.mark.parametrize("backend", ["socket", "vtysh"])
SEEN_S = 10.0  # bgpd collects updates for 50 ms on either side, and a machine may be busy


def as_path(router: Frr, prefix: str) -> str:
    """The AS path of the one path that a router has, or nothing."""
    paths = router.paths(prefix)
    return str(paths[0]["aspath"]["string"]) if paths else ""


def updates_sent(site: Site) -> int:
    """How many UPDATE messages the announcer has sent to its first router; a withdrawal is one as well."""
    return int(site.lb.show_json("show bgp neighbors 10.1.0.1")["10.1.0.1"]["messageStats"]["updatesSent"])


@BACKENDS
@pytest.mark.parametrize("prefix", [V4, V6])
def test_lifecycle(site: Site, resource: MakeResource, prefix: str, backend: str) -> None:
    config = (site.lb.directory / "frr.conf").read_bytes()
    vip = resource(prefix, backend=backend)
    assert vip.run("monitor").code == 7
    started = vip.run("start")
    assert started.code == 0, started
    for router in (site.r1, site.r2):
        wait_for("the route at the routers", lambda router=router: router.has(prefix), SEEN_S)  # type: ignore[misc]
    assert vip.monitor().code == 0
    assert vip.run("monitor").code == 0
    stopped = vip.run("stop")
    assert stopped.code == 0, stopped
    assert not site.r1.paths(prefix)
    assert not site.r2.paths(prefix)
    assert vip.monitor().code == 7
    assert vip.run("stop").code == 0
    assert (site.lb.directory / "frr.conf").read_bytes() == config, "write memory was called"


@BACKENDS
def test_second_start_changes_nothing(site: Site, resource: MakeResource, backend: str) -> None:
    vip = resource(V4, backend=backend, min_peers="2")
    assert vip.run("start").code == 0
    before = updates_sent(site)
    assert vip.run("start").code == 0
    assert vip.run("migrate_from").code == 0
    assert vip.run("migrate_to").code == 0
    assert vip.monitor().code == 0
    assert updates_sent(site) == before, "the routers heard of it"


def test_migration_needs_a_running_resource(resource: MakeResource) -> None:
    assert resource(V4).run("migrate_to").code == 1


def test_stop_waits_for_settle(resource: MakeResource) -> None:
    vip = resource(V4, settle="700ms")
    assert vip.run("start").code == 0
    assert vip.run("stop").seconds > 0.7


def test_fifty_at_once(site: Site, resource: MakeResource) -> None:
    """On one bgpd, both families: all come right, and nothing but their own statements changes."""

    def foreign() -> list[str]:
        lines = site.lb.show("show running-config").splitlines()
        return [line for line in lines if not line.startswith("  network ")]

    vips = [resource(f"192.0.2.{number}") for number in range(100, 125)]
    vips += [resource(f"2001:db8:53::{number}") for number in range(100, 125)]
    before = foreign()
    for action, wanted in (("start", 0), ("monitor", 0), ("stop", 0), ("monitor", 7)):
        running = [vip.popen(action, timeout=60, interval=5 if action == "monitor" else 0) for vip in vips]
        ended = [vip.finish(process, 60) for vip, process in zip(vips, running)]
        assert [outcome.code for outcome in ended] == [wanted] * len(vips), ended
        slowest = max(outcome.seconds for outcome in ended)
        print(f"{len(vips)} x {action}: the slowest took {slowest:.2f} s")
        assert slowest < 30, "half of the timeout, for what takes one of them a tenth of a second"
        assert foreign() == before
        if action == "start":
            wait_for("all routes", lambda: all(site.r1.has(vip.parameters["prefix"]) for vip in vips), 10)
    assert not any(site.r1.paths(vip.parameters["prefix"]) for vip in vips)
    assert "network " not in "".join(site.lb.show("show running-config"))


def test_start_gives_a_statement_that_is_there_its_route_map(site: Site, resource: MakeResource) -> None:
    site.lb.configure("router bgp", "address-family ipv4 unicast", f"network {V4}")
    vip = resource(V4, route_map="DRAIN")
    assert vip.run("start").code == 0
    wait_for("the route-map's effect", lambda: as_path(site.r1, V4) == "65010 65010 65010 65010", SEEN_S)


@BACKENDS
def test_reload_changes_the_route_map_and_nothing_else(site: Site, resource: MakeResource, backend: str) -> None:
    vip = resource(V4, backend=backend)
    assert vip.run("start").code == 0
    wait_for("the route", lambda: as_path(site.r1, V4) == "65010", SEEN_S)
    before = updates_sent(site)
    vip.parameters["route_map"] = "DRAIN"
    assert vip.run("reload-agent").code == 0
    wait_for("the longer path", lambda: as_path(site.r1, V4) == "65010 65010 65010 65010", SEEN_S)
    assert vip.monitor().code == 0
    assert updates_sent(site) == before + 1, "it was withdrawn in between"


def test_drain_before_the_withdrawal(site: Site, resource: MakeResource) -> None:
    vip = resource(V4, drain_route_map="DRAIN", drain_time="1s")
    assert vip.run("start").code == 0
    wait_for("the route", lambda: as_path(site.r1, V4) == "65010", SEEN_S)
    stop = vip.popen("stop")
    wait_for("the drain", lambda: site.r1.paths(V4)[0].get("community"), SEEN_S)
    assert site.r1.paths(V4)[0]["community"]["list"] == ["gracefulShutdown"]
    stopped = vip.finish(stop)
    assert stopped.code == 0
    assert stopped.seconds > 1.1
    assert not site.r1.paths(V4)


def test_drain_is_cut_short_by_the_timeout(site: Site, resource: MakeResource) -> None:
    vip = resource(V4, drain_route_map="DRAIN", drain_time="1min")
    assert vip.run("start").code == 0
    assert vip.run("stop", timeout=5).code == 0
    assert not site.r1.paths(V4)


@BACKENDS
def test_stop_killed_while_draining(site: Site, resource: MakeResource, backend: str) -> None:
    vip = resource(V4, backend=backend, drain_route_map="DRAIN", drain_time="1min")
    assert vip.run("start").code == 0
    stop = vip.popen("stop")
    wait_for("the drain", lambda: len(as_path(site.r1, V4)) > len("65010"), SEEN_S)
    os.killpg(stop.pid, signal.SIGKILL)
    stop.communicate()
    looked = vip.monitor()
    assert looked.code == 1
    assert "drained" in looked.reason
    vip.parameters["drain_time"] = "100ms"
    assert vip.run("start").code == 0
    wait_for("the plain path", lambda: as_path(site.r1, V4) == "65010", SEEN_S)
    assert vip.monitor().code == 0


def test_two_instances_in_one_bgpd(breakable: Site, resource: MakeResource) -> None:
    breakable.lb.configure("router bgp 65099 vrf red", "bgp router-id 10.9.9.9")
    vip = resource(V4)
    assert vip.run("start").code == 0
    assert vip.run("stop").code == 0
    assert not breakable.r1.paths(V4)
