"""What the paper names, played with clients watching: who loses what, for how long, and who takes over."""
from __future__ import annotations

import time
from typing import Callable

from tests.lab.testbed import VIPS, Lab, Report, Stream, wait_for

# The bars of power cuts: BFD's three missed packets, then two routers' 50 ms each; and Pacemaker's part in UML (0.3 s an action).
GAP_WITHOUT_POWER = 1.5
DETECTION = 3.5
"""Seconds: three checks a second apart, the last with its timeout of half a second; see recommended.crm."""
GAP_ALL_BACKENDS = DETECTION + 1.0


def watched(lab: Lab, act: Callable[[], object], settle: float = 2.0) -> Report:
    """Account of what clients sent from just before act() until `settle` seconds after it."""
    with lab.client.stream() as stream:
        flowing(stream)
        begin = time.time()
        act()
        time.sleep(settle)
        end = time.time()
        stream.settle(end)
        report = stream.report(begin, end)
    print(report)
    return report


def flowing(stream: Stream) -> None:
    """Return when every kind of request is being answered."""
    wait_for(lambda: len({r.kind for r in stream.requests if r.answered}) == 4, 15, "answers of every kind", every=0.05)


def active_node(lab: Lab) -> str:
    """Node of site A that has the VIPs and announces them."""
    return lab.site_a.cluster.wait_active("bgp4")


def other_node(lab: Lab) -> str:
    """The other node of site A."""
    return next(node.name for node in lab.site_a.nodes if node.name != active_node(lab))


def test_standby_loses_nothing(steady: Lab) -> None:
    cluster, leaving, staying = steady.site_a.cluster, active_node(steady), other_node(steady)

    def standby() -> None:
        cluster.crm(f"node standby {leaving}")
        for resource in ("bgp4", "bgp6"):
            cluster.wait_active(resource, staying)
        cluster.wait_idle()

    try:
        report = watched(steady, standby)
    finally:
        cluster.crm(f"node online {leaving}")
    assert report.lost == 0, report
    for vip in VIPS:
        steady.site_a.router.wait_route(vip, staying, limit=5)
    assert cluster.failed_actions() == []


def test_move_loses_nothing(steady: Lab) -> None:
    cluster, staying = steady.site_a.cluster, other_node(steady)

    def move() -> None:
        cluster.crm(f"resource move vip4 {staying}")
        for resource in ("bgp4", "bgp6"):
            cluster.wait_active(resource, staying)
        cluster.wait_idle()

    try:
        report = watched(steady, move)
    finally:
        cluster.crm("resource clear vip4")
    assert report.lost == 0, report
    assert cluster.failed_actions() == []


def test_one_backend_dies(steady: Lab) -> None:
    """Only requests that were sent to it, until the checks had seen it."""
    dead = steady.site_a.backends[0]
    try:
        begin = time.time()
        report = watched(steady, dead.stop, settle=DETECTION + 2)
    finally:
        dead.start()
        dead.wait()
    late = [request for request in report.lost_requests if request.sent > begin + DETECTION + 1.5]
    assert not late, f"{len(late)} lost after the checks should have seen it: {late[:5]}"
    assert set(report.by_site) == {"a"}, "one backend is no reason to leave the site"
    assert 0 < report.lost < report.sent / 2
    assert steady.site_a.cluster.failed_actions() == []
    wait_for(lambda: steady.site_a.cluster.attributes()[active_node(steady)].get("healthy-pool") == "2", 20, "it is back")


def test_all_backends_die(steady: Lab) -> None:
    """The route leaves the site after the checks have seen it, and comes back when they are."""
    site = steady.site_a
    try:
        report = watched(steady, site.backends.stop, settle=DETECTION + 4)
        assert report.gap <= GAP_ALL_BACKENDS, report
        assert report.by_site.get("b"), report
        back = watched(steady, site.backends.start, settle=10)
    finally:
        site.backends.start()
    assert back.lost == 0, f"coming back must not cost anything: {back}"
    assert back.by_site.get("a"), back


def test_power_cut_of_the_active_node(steady: Lab) -> None:
    node = steady.node(active_node(steady))
    peer = other_node(steady)
    try:
        report = watched(steady, node.power_off, settle=4)
        assert report.gap <= GAP_WITHOUT_POWER, report
        assert report.by_site.get("b"), "the other site takes over until the peer has"
        for resource in ("bgp4", "bgp6"):
            steady.site_a.cluster.wait_active(resource, peer, limit=60)
    finally:
        node.power_on()
        steady.site_a.cluster.wait_online()
    steady.wait_bgp()


def test_site_without_power(steady: Lab) -> None:
    site = steady.site_a
    try:
        report = watched(steady, site.dark, settle=3)
        assert report.gap <= GAP_WITHOUT_POWER, report
        for vip in VIPS:
            assert steady.core.route_to(vip) == ["router-b"]
    finally:
        site.light()
    for vip in VIPS:
        steady.core.wait_route(vip, "router-a", limit=90)
