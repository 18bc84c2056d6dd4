"""bgp-announce and a real bgpd: "announced" means that the routers have a way here, "stopped" that they have none."""

from __future__ import annotations

import time
from typing import Callable

import pytest

from tests.frr.harness import SESSIONS, Resource, Site, wait_for

MakeResource = Callable[..., Resource]
V4 = "192.0.2.53/32"
SECOND = "192.0.2.54/32"
INTERVAL_S = 5
BACKENDS = pytest.mark.parametrize("backend", ["socket", "vtysh"])
FAMILY4 = "address-family ipv4 unicast"


def deep(vip: Resource) -> tuple[int, str]:
    """Exit code and reason of a monitor of level 10."""
    looked = vip.run("monitor", interval=60, level=10)
    return looked.code, looked.reason


def log_of(site: Site) -> str:
    return (site.lb.directory / "agent.log").read_text()


@BACKENDS
def test_queued_is_not_sent(breakable: Site, resource: MakeResource, backend: str) -> None:
    """advertisement-interval: the second announcement within it waits, and a start waits with it."""
    for peer in ("10.1.0.1", "10.1.0.2"):
        breakable.lb.configure("router bgp", f"neighbor {peer} advertisement-interval {INTERVAL_S}")
    wait_for("the sessions", lambda: breakable.lb.established() == SESSIONS)
    first, second = resource(V4, backend=backend), resource(SECOND, backend=backend)
    assert first.run("start").code == 0
    started = second.run("start", timeout=60)
    assert started.code == 0, started
    for router in (breakable.r1, breakable.r2):
        # The update has left; a router takes 50 ms, or what a busy machine makes of that.
        wait_for("the router", lambda router=router: router.has(SECOND), INTERVAL_S / 2)  # type: ignore[misc]
    assert f"is sent an announcement up to {INTERVAL_S} s late (a withdrawal at once)" in log_of(breakable)
    begun = time.monotonic()
    assert second.run("stop").code == 0
    wait_for("the withdrawal", lambda: not breakable.r1.paths(SECOND), INTERVAL_S)
    print(f"withdrawn after {time.monotonic() - begun:.2f} s")


@BACKENDS
def test_another_source_of_the_prefix(breakable: Site, resource: MakeResource, backend: str) -> None:
    vip = resource(V4, backend=backend)
    source = "redistribute connected"
    breakable.lb.configure("router bgp", FAMILY4, source)
    wait_for("the redistributed path", lambda: breakable.lb.paths(V4))
    started = vip.run("start")
    assert started.code == 2
    assert f"bgpd announces {V4} by `{source}` as well, which no stop could withdraw" in started.reason
    assert vip.run("stop").code == 0, "nothing was started here"
    breakable.lb.configure("router bgp", FAMILY4, f"no {source}")
    wait_for("it to go", lambda: not breakable.lb.paths(V4))

    assert vip.run("start").code == 0
    breakable.lb.configure("router bgp", FAMILY4, source)
    wait_for("the second path", lambda: len(breakable.lb.paths(V4)) == 2)
    assert vip.monitor().code == 0
    code, reason = deep(vip)
    assert code == 190
    assert source in reason
    stopped = vip.run("stop")
    assert stopped.code == 1
    assert f"by `{source}`" in stopped.reason
    breakable.lb.configure("router bgp", FAMILY4, f"no {source}")
    assert vip.run("stop").code == 0
    assert not breakable.lb.paths(V4)


@BACKENDS
def test_the_next_hop_is_what_a_route_map_sets(breakable: Site, resource: MakeResource, backend: str) -> None:
    vip = resource(V4, backend=backend, route_map="ELSEWHERE")
    breakable.lb.configure("route-map ELSEWHERE permit 10", "set ip next-hop 10.1.0.99")
    started = vip.run("start")
    assert started.code == 1
    assert "is sent the next hop 10.1.0.99, which is no address of this node" in started.reason
    assert vip.run("stop").code == 0
    assert not breakable.r1.paths(V4)


def test_the_next_hop_over_a_session_of_the_other_family(breakable: Site, resource: MakeResource) -> None:
    """Without an address of its family on the interface, bgpd sends the router-id, which is an address of no node here."""
    router = "2001:db8:1::1"
    vip = resource(V4, peers=router)
    lines = [FAMILY4, "neighbor 2001:db8:1::11 activate", "neighbor 2001:db8:1::11 route-map ANYCAST-IN in"]
    breakable.r1.configure("router bgp", *lines)
    breakable.lb.configure("router bgp", FAMILY4, f"neighbor {router} activate", f"neighbor {router} route-map ANYCAST-OUT out")
    try:
        started = vip.run("start")
        assert started.code == 0, started
        assert vip.run("stop").code == 0
        breakable.lb.configure("router bgp", "bgp router-id 10.9.9.9")
        breakable.lb.namespace.ip("addr", "del", "10.1.0.11/24", "dev", "eth0")
        breakable.lb.configure("do clear bgp ipv6 unicast *")
        shown = f"show bgp neighbors {router}"
        wait_for("it to take", lambda: breakable.lb.show_json(shown)[router].get("nexthop") == "10.9.9.9")
        started = vip.run("start")
        assert started.code == 1, started
        assert f"{router} is sent the next hop 10.9.9.9, which is no address of this node" in started.reason
        assert vip.run("stop").code == 0
    finally:
        breakable.lb.namespace.ip("addr", "replace", "10.1.0.11/24", "dev", "eth0")
        breakable.r1.configure("router bgp", FAMILY4, "no neighbor 2001:db8:1::11 activate")


def test_bfd_that_does_not_protect(breakable: Site, resource: MakeResource) -> None:
    """bgpd goes on to say Up when bfdd has ended, and FRR 8.4 keeps a session whose BFD session is down."""
    vip = resource(V4)
    assert vip.run("start").code == 0
    wait_for("BFD", lambda: breakable.lb.guarded() == SESSIONS)
    assert deep(vip) == (0, "")
    breakable.lb.kill("bfdd")
    try:
        wait_for("the sessions, without BFD or not", lambda: "bfdd does not run here" in deep(vip)[1] or deep(vip)[0] == 1)
    finally:
        breakable.lb.start_daemon("bfdd")
        breakable.lb.load()
    wait_for("BFD", lambda: breakable.lb.guarded() == SESSIONS)
    wait_for("the sessions", lambda: breakable.lb.established() == SESSIONS)


def test_bfd_that_holds_a_session_down_is_named(site: Site, resource: MakeResource) -> None:
    vip = resource(V4, peers="10.1.0.1")
    assert vip.run("start").code == 0
    wait_for("BFD", lambda: site.r1.guarded() == 2)
    site.r1.configure("router bgp", "no neighbor LB bfd")
    try:
        if site.lb.has_mgmtd:  # FRR 10 keeps the session down
            wait_for("the monitor to fail", lambda: vip.monitor().code == 1)
            looked = vip.monitor()
            assert looked.reason.startswith("10.1.0.1 "), looked
            assert "BFD Down; its BFD session is Down; sessions lost so far: " in looked.reason, looked
        else:
            wait_for("the session without BFD", lambda: "BFD towards 10.1.0.1 is Down" in deep(vip)[1])
    finally:
        site.r1.configure("router bgp", "neighbor LB bfd profile ANYCAST")
    wait_for("BFD", lambda: site.r1.guarded() == 2)
    wait_for("the sessions", lambda: site.lb.established() == SESSIONS)




@BACKENDS
def test_addpath(breakable: Site, resource: MakeResource, backend: str) -> None:
    """addpath-tx-all-paths towards one neighbor moves what bgpd says of all of them."""
    vip = resource(V4, backend=backend, drain_route_map="DRAIN", drain_time="1s")
    breakable.lb.configure("router bgp", FAMILY4, "neighbor 10.1.0.1 addpath-tx-all-paths")
    started = vip.run("start")
    assert started.code == 0, started
    wait_for("the route", lambda: breakable.r1.has(V4))
    assert deep(vip)[0] in (0, 190)
    stop = vip.popen("stop")

    def drained() -> bool:
        return [path.get("metric") for path in breakable.r1.paths(V4)] == [500]

    wait_for("the drain", drained)
    stopped = vip.finish(stop)
    assert stopped.code == 0, stopped
    assert not breakable.r1.paths(V4)


@BACKENDS
def test_a_statement_that_was_saved(site: Site, resource: MakeResource, backend: str) -> None:
    """After `write memory` the passive node has it as well, without the address and without having started anything."""
    vip = resource(V4, backend=backend, address="no")
    site.lb.configure("router bgp", FAMILY4, f"network {V4}")
    wait_for("the path", lambda: site.lb.paths(V4))
    assert not site.lb.has(V4)
    assert vip.run("monitor").code == 7
    assert vip.run("stop").code == 0
    assert not site.lb.paths(V4)


def test_a_listen_range_that_no_router_uses_yet(breakable: Site, resource: MakeResource) -> None:
    """Wait for the routers; `peers` may name their peer-group."""
    vip = resource(V4, peers="ROUTERS")
    lines = ["no neighbor 10.1.0.1", "no neighbor 10.1.0.2", "no neighbor 2001:db8:1::1", "no neighbor 2001:db8:1::2"]
    breakable.lb.configure("router bgp", *lines)
    started = vip.run("start", timeout=5)
    assert started.code == 1, started
    assert started.reason.startswith("peer-group ROUTERS has no neighbor"), started
    start = vip.popen("start", timeout=120)
    breakable.lb.configure("router bgp", "bgp listen range 10.1.0.0/24 peer-group ROUTERS")
    assert vip.finish(start, 120).code == 0
    assert vip.monitor().code == 0


def test_a_start_that_waits_says_its_statement_again(breakable: Site, resource: MakeResource) -> None:
    """The operator corrects the policy and reloads FRR; bgpd is restarted."""
    vip = resource(V4)
    breakable.lb.configure("router bgp", FAMILY4, "neighbor ROUTERS prefix-list NOTHING out")
    breakable.lb.configure("ip prefix-list NOTHING seq 5 deny any")
    started = vip.run("start", timeout=4)
    assert started.code == 1
    assert "prefix-list NOTHING" in started.reason, started
    start = vip.popen("start", timeout=40)
    wait_for("the statement", lambda: breakable.lb.paths(V4))
    breakable.lb.restart_bgpd()
    started = vip.finish(start, 40)
    assert started.code == 0, started
    wait_for("the route", lambda: breakable.r1.has(V4))


@BACKENDS
def test_a_route_map_called_bgp(breakable: Site, resource: MakeResource, backend: str) -> None:
    vip = resource(V4, backend=backend, route_map="BGP")
    assert "no route-map BGP" in vip.run("start", timeout=5).reason
    breakable.lb.configure("route-map BGP permit 10", "set metric 7")
    started = vip.run("start")
    assert started.code == 0, started
    wait_for("its effect", lambda: [path.get("metric") for path in breakable.r1.paths(V4)] == [7])


def test_a_session_that_has_just_come_up(site: Site, resource: MakeResource) -> None:
    """A flap: the monitor waits for the session, and for the update over it; the resource is not to be moved."""
    vip = resource(V4, peers="10.1.0.1")
    assert vip.run("start").code == 0
    for _ in range(3):
        site.lb.configure("do clear bgp ipv4 unicast 10.1.0.1")
        looked = vip.run("monitor", timeout=20, interval=5)
        assert looked.code == 0, looked
        wait_for("the route", lambda: site.r1.has(V4))
    assert not vip.monitor().reason


def test_advice_that_fits(breakable: Site, resource: MakeResource) -> None:
    """The aggregate comes last: bgpd 10.3 was seen to crash some time after one was removed."""
    vip = resource(V4)
    assert vip.run("start").code == 0
    breakable.lb.configure("router bgp", "bgp graceful-shutdown", "no bgp router-id 10.1.0.11")
    wait_for("the sessions", lambda: breakable.lb.established() == SESSIONS)
    wait_for("the route", lambda: vip.monitor().code == 0)
    code, reason = deep(vip)
    assert code == 190
    assert "`bgp graceful-shutdown` is on" in reason
    assert "no `bgp router-id` is set" in reason
    aggregate = "aggregate-address 192.0.2.0/24 summary-only"
    breakable.lb.configure("router bgp", FAMILY4, aggregate)
    wait_for("the summary to take its place", lambda: not breakable.r1.paths(V4))
    looked = vip.monitor()
    assert looked.code == 1
    assert f"10.1.0.1 is sent only the summary of `{aggregate}`" in looked.reason


def test_the_log_explains_a_stop(site: Site, resource: MakeResource) -> None:
    vip = resource(V4)
    assert vip.run("start").code == 0
    assert vip.run("stop").code == 0
    log = log_of(site)
    assert f"start: announced {V4} to 10.1.0.1 10.1.0.2" in log
    assert f"stop: withdrew {V4} from 10.1.0.1 10.1.0.2, announced for " in log
