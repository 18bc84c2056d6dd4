"""docs/examples, loaded as they stand: the guards that an operator is promised there hold."""

from __future__ import annotations

from typing import Callable

from tests.frr.harness import SESSIONS, Resource, Site, wait_for

MakeResource = Callable[..., Resource]
V4 = "192.0.2.53/32"
STRAY = "198.51.100.1/32"


def test_bfd_is_up_with_the_profile(site: Site) -> None:
    wait_for("BFD", lambda: site.lb.vtysh("show bfd peers brief").count(" up ") == 4)
    assert site.lb.vtysh("show bfd peers").count("Receive interval: 100ms") >= 4


def test_hold_time_and_helper_only(site: Site) -> None:
    for router, node in (("10.1.0.1", site.lb), ("10.1.0.11", site.r1)):
        neighbor = node.show_json(f"show bgp neighbors {router}")[router]
        assert neighbor["bgpTimerHoldTimeMsecs"] == 9000
        assert not neighbor["gracefulRestartInfo"]["localGrMode"].startswith("Restart")


def test_router_accepts_anycast_host_routes_only(breakable: Site, on_loopback: Callable[[str], None]) -> None:
    """Even from a load balancer whose own filter is gone."""
    on_loopback(STRAY)
    on_loopback(V4)
    lines = [f"network {STRAY}", f"network {V4}", "no neighbor ROUTERS route-map ANYCAST-OUT out"]
    breakable.lb.configure("router bgp", "no bgp ebgp-requires-policy")
    breakable.lb.configure(
        "router bgp", "address-family ipv4 unicast", *lines, "do clear bgp ipv4 unicast * soft"
    )
    wait_for("the anycast route", lambda: breakable.r1.has(V4))
    assert not breakable.r1.paths(STRAY)
    sent = breakable.lb.show_json("show bgp ipv4 unicast neighbors 10.1.0.1 advertised-routes")
    assert STRAY in sent["advertisedRoutes"], "it was not even sent; this test shows nothing"


def test_announcer_takes_nothing_from_the_routers(site: Site) -> None:
    for family in site.lb.show_json("show bgp summary").values():
        assert all(peer["pfxRcd"] == 0 for peer in family["peers"].values())


def test_a_cut_line_is_what_the_monitor_says(site: Site, resource: MakeResource) -> None:
    """The announcer loses its line behind the switch; no router gets a carrier event or a NOTIFICATION."""
    vip = resource(V4)
    assert vip.run("start").code == 0
    wait_for("the route", lambda: site.r1.has(V4))
    site.switch.ip("link", "set", "lb", "nomaster")
    try:
        wait_for("the routers to notice", lambda: not site.r1.paths(V4))
        wait_for("the announcer to notice", lambda: site.lb.established() < SESSIONS)
        wait_for("the monitor to say so", lambda: "is advertised to 0 peers" in vip.monitor().reason)
    finally:
        site.switch.ip("link", "set", "lb", "master", "br0")
