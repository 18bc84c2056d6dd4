"""bgp-announce against a real bgpd that something has happened to: every one of these must be seen, and
named.
"""

from __future__ import annotations

import re
import signal
import time
from typing import Callable

import pytest

from tests.frr.harness import SESSIONS, Resource, Site, wait_for

MakeResource = Callable[..., Resource]
V4 = "192.0.2.53/32"
V6 = "2001:db8:53::53/128"
PROMPT_S = 10.0
"""Where nothing is waited for, or bgpd's two seconds: a busy machine takes a few more to start an interpreter, and vtysh."""
BACKENDS = pytest.mark.parametrize("backend", ["socket", "vtysh"])


def family(prefix: str) -> str:
    return f"address-family {'ipv6' if ':' in prefix else 'ipv4'} unicast"


@pytest.mark.parametrize("prefix", [V4, V6])
def test_statement_removed_by_hand(site: Site, resource: MakeResource, prefix: str) -> None:
    vip = resource(prefix)
    assert vip.run("start").code == 0
    site.lb.configure("router bgp", family(prefix), f"no network {prefix}")
    assert vip.monitor().code == 7
    assert vip.run("start").code == 0
    assert vip.monitor().code == 0


def test_frr_reload_removes_the_statement(breakable: Site, resource: MakeResource) -> None:
    """`systemctl reload frr` is frr-reload.py: what is not in frr.conf goes."""
    vip = resource(V4)
    assert vip.run("start").code == 0
    breakable.lb.reload()
    assert not breakable.lb.paths(V4)
    assert vip.monitor().code == 7
    wait_for("the sessions", lambda: breakable.lb.established() == SESSIONS)
    assert vip.run("start").code == 0
    assert vip.monitor().code == 0


@pytest.mark.parametrize("prefix", [V4, V6])
def test_address_removed(site: Site, resource: MakeResource, prefix: str) -> None:
    vip = resource(prefix)
    assert vip.run("start").code == 0
    site.lb.namespace.ip("addr", "del", prefix, "dev", "lo")
    looked = vip.monitor()
    assert looked.code == 1
    assert "is not on this node" in looked.reason
    wait_for("import-check to withdraw", lambda: not site.r1.paths(prefix))


def test_start_without_the_address(site: Site, resource: MakeResource) -> None:
    vip = resource(V4, address="no")
    started = vip.run("start", timeout=60)
    assert started.code == 1
    assert started.reason.startswith("192.0.2.53 is not on this node")
    assert started.seconds < PROMPT_S, "it does not come while the cluster waits"
    assert not site.lb.paths(V4)
    assert vip.run("stop").code == 0
    assert vip.monitor().code == 7


def test_blackhole_route_in_place_of_the_address(site: Site, resource: MakeResource) -> None:
    """zebra tells bgpd that the prefix is reachable, bgpd announces it, and every packet would be lost."""
    vip = resource(V4, address="no")
    site.lb.namespace.ip("route", "add", "blackhole", V4)
    try:
        site.lb.configure("router bgp", family(V4), f"network {V4}")
        wait_for("import-check to be satisfied", lambda: site.lb.has(V4))
        for looked in (vip.monitor(), vip.run("monitor")):
            assert looked.code == 1, "it announces, with any origin of the statement"
            assert "is not on this node" in looked.reason
        assert vip.run("stop").code == 0
        assert not site.lb.paths(V4)
    finally:
        site.lb.namespace.ip("route", "del", "blackhole", V4)


def test_no_peers(breakable: Site, resource: MakeResource) -> None:
    vip = resource(V4)
    assert vip.run("start").code == 0
    routers = ("10.1.0.1", "10.1.0.2")
    breakable.lb.configure("router bgp", *(f"neighbor {router} shutdown" for router in routers))
    wait_for("the sessions to go", lambda: breakable.lb.established() == 2)
    looked = vip.monitor()
    assert looked.code == 1
    assert f"{V4} is advertised to 0 peers, min_peers is 1" in looked.reason
    assert all(f"{router} Idle" in looked.reason for router in routers), looked.reason
    assert vip.run("stop").code == 0
    started = vip.run("start", timeout=3)
    assert started.code == 1
    assert "10.1.0.1 Idle" in started.reason
    vip.parameters["min_peers"] = "0"
    assert vip.run("start").code == 0


@BACKENDS
def test_one_of_two_peers(breakable: Site, resource: MakeResource, backend: str) -> None:
    vip = resource(V4, backend=backend, min_peers="2", peers="10.1.0.1 10.1.0.2")
    assert vip.run("start").code == 0
    breakable.lb.configure("router bgp", "neighbor 10.1.0.2 shutdown")
    wait_for("the session to go", lambda: breakable.lb.established() == 3)
    looked = vip.monitor()
    assert looked.code == 1
    assert f"{V4} is advertised to 1 peers, min_peers is 2" in looked.reason
    assert "10.1.0.2 Idle" in looked.reason
    vip.parameters.update(min_peers="1", peers="10.1.0.2")
    assert vip.monitor().code == 1
    vip.parameters.update(peers="10.1.0.1")
    assert vip.monitor().code == 0
    vip.parameters.update(peers="10.1.0.77")
    assert "bgpd has no neighbor 10.1.0.77" in vip.monitor().reason


def test_export_policy_denies(site: Site, resource: MakeResource) -> None:
    """The prefix-list of frr-lb.conf stops what the agent was wrongly allowed to announce."""
    vip = resource("198.51.100.7/32", allowed_prefixes="198.51.100.0/24")
    started = vip.run("start", timeout=3)
    assert started.code == 1
    assert "export policy" in started.reason
    assert not site.r1.paths("198.51.100.7/32")


def test_no_export_policy_at_all(breakable: Site, resource: MakeResource) -> None:
    """RFC 8212: eBGP without a policy sends nothing."""
    vip = resource(V4)
    breakable.lb.configure("router bgp", family(V4), "no neighbor ROUTERS route-map ANYCAST-OUT out")
    started = vip.run("start", timeout=3)
    assert started.code == 1
    assert "RFC 8212" in started.reason


@BACKENDS
def test_bgpd_killed(breakable: Site, resource: MakeResource, backend: str) -> None:
    vip = resource(V4, backend=backend)
    assert vip.run("start").code == 0
    breakable.lb.kill()
    assert vip.monitor().code == 7
    stopped = vip.run("stop")
    assert stopped.code == 0
    assert stopped.seconds < PROMPT_S
    # A watchdog starts it again, and the start that was under way goes on.
    start = vip.popen("start")
    breakable.lb.restart_bgpd()
    started = vip.finish(start)
    assert started.code == 0, started


def test_start_without_bgpd(breakable: Site, resource: MakeResource) -> None:
    vip = resource(V4)
    breakable.lb.kill()
    started = vip.run("start", timeout=2)
    assert started.code == 1
    assert "bgpd to run" in started.reason


@BACKENDS
def test_bgpd_hangs(breakable: Site, resource: MakeResource, backend: str) -> None:
    vip = resource(V4, backend=backend)
    assert vip.run("start").code == 0
    breakable.lb.signal(signal.SIGSTOP)
    looked = vip.monitor()
    assert looked.code == 1
    assert looked.seconds < PROMPT_S
    assert "bgpd hangs" in looked.reason
    assert breakable.r1.has(V4), "the router still sends here"
    stopped = vip.run("stop")
    assert stopped.code == 0, stopped
    assert breakable.lb.ended()
    wait_for("the router to withdraw", lambda: not breakable.r1.paths(V4), 5)


@BACKENDS
def test_only_the_main_thread_hangs(breakable: Site, resource: MakeResource, backend: str) -> None:
    """The session stays up for as long as bgpd lives: see test_frr_behaviour.py, finding 4."""
    vip = resource(V4, backend=backend, on_hung="fail")
    assert vip.run("start").code == 0
    with breakable.lb.hung():
        looked = vip.monitor()
        assert looked.code == 1
        assert looked.seconds < PROMPT_S
        assert "bgpd hangs" in looked.reason
        stopped = vip.run("stop")
        assert stopped.code == 1
        assert "stays announced" in stopped.reason
        assert breakable.r1.has(V4)
        vip.parameters["on_hung"] = "kill"
        stopped = vip.run("stop")
        assert stopped.code == 0, stopped
        wait_for("the router to withdraw", lambda: not breakable.r1.paths(V4), 5)


def test_hung_bgpd_is_left_alone_when_told_so(breakable: Site, resource: MakeResource) -> None:
    vip = resource(V4, on_hung="fail")
    assert vip.run("start").code == 0
    breakable.lb.signal(signal.SIGSTOP)
    stopped = vip.run("stop")
    assert stopped.code == 1
    assert "stays announced" in stopped.reason
    assert not breakable.lb.ended(limit=0.1)
    breakable.lb.signal(signal.SIGCONT)
    assert vip.run("stop").code == 0


def test_hung_bgpd_with_its_queue_full(breakable: Site, resource: MakeResource) -> None:
    """Many monitors have waited in vain: the kernel takes no more connections, and cannot say who listens."""
    vip = resource(V4)
    assert vip.run("start").code == 0
    breakable.lb.signal(signal.SIGSTOP)
    waiting = [vip.popen("monitor", interval=5) for _ in range(8)]
    assert [vip.finish(process).code for process in waiting] == [1] * 8
    stopped = vip.run("stop")
    assert stopped.code == 0, stopped
    assert breakable.lb.ended()


@BACKENDS
def test_graceful_restart_is_refused(breakable: Site, resource: MakeResource, backend: str) -> None:
    vip = resource(V4, backend=backend)
    breakable.lb.configure("router bgp", "bgp graceful-restart")
    started = vip.run("start")
    assert started.code == 2
    assert "graceful restart" in started.reason
    assert not breakable.r1.paths(V4)


@BACKENDS
def test_import_check_off_is_refused(breakable: Site, resource: MakeResource, backend: str) -> None:
    vip = resource(V4, backend=backend)
    breakable.lb.configure("router bgp", "no bgp network import-check")
    started = vip.run("start")
    assert started.code == 2
    assert "import-check" in started.reason
    assert not breakable.r1.paths(V4)


@BACKENDS
def test_what_makes_routers_slow_is_logged(breakable: Site, resource: MakeResource, backend: str) -> None:
    vip = resource(V4, backend=backend)
    breakable.lb.configure("bgp route-map delay-timer 0")
    breakable.lb.configure("router bgp", "neighbor 10.1.0.2 advertisement-interval 7")
    for peer in ("10.1.0.98", "10.1.0.99"):
        breakable.lb.configure("router bgp", f"neighbor {peer} remote-as 65001", f"neighbor {peer} timers 60 180")
    breakable.lb.configure("router bgp", family(V4), "neighbor 10.1.0.98 activate")
    started = vip.run("start")
    assert started.code == 0, started
    log = (breakable.lb.directory / "agent.log").read_text()
    for sentence in (
        "10.1.0.2 is sent an announcement up to 7 s late (a withdrawal at once)",
        "a route-map or prefix-list takes effect only after",
        "10.1.0.98 would send here for 180 s",
    ):
        assert sentence in log
    assert "10.1.0.1 would send" not in log, "it has BFD"
    assert "10.1.0.99" not in log, "it gets no prefix of this family"


@BACKENDS
def test_deep_monitor_reads_what_was_sent(breakable: Site, resource: MakeResource, backend: str) -> None:
    vip = resource(V4, backend=backend)
    assert vip.run("start").code == 0
    sound = vip.run("monitor", interval=60, level=10)
    assert sound.code == 0, sound

    breakable.lb.namespace.ip("addr", "add", "198.51.100.9/32", "dev", "lo")
    try:
        lines = ["no neighbor ROUTERS route-map ANYCAST-OUT out", "network 198.51.100.9/32"]
        breakable.lb.configure("router bgp", "no bgp ebgp-requires-policy")
        breakable.lb.configure("router bgp", family(V4), *lines, "do clear bgp ipv4 unicast * soft")
        wait_for("the route that no neighbor may have", lambda: breakable.lb.sent("198.51.100.9/32", "10.1.0.1"))
        looked = vip.run("monitor", interval=60, level=10)
        assert looked.code == 190, looked
        assert "10.1.0.1 is sent 198.51.100.9/32, outside the allowed prefixes" in looked.reason
    finally:
        breakable.lb.namespace.ip("addr", "del", "198.51.100.9/32", "dev", "lo")
    breakable.lb.configure("router bgp", family(V4), "no network 198.51.100.9/32")
    breakable.lb.configure("router bgp", "neighbor 10.1.0.2 password wrong", "no bgp network import-check")
    wait_for("the session to go", lambda: breakable.lb.established() < SESSIONS)
    looked = vip.run("monitor", interval=60, level=10)
    assert looked.code == 190, looked
    assert re.search(rf"10\.1\.0\.2 [^;]*: {V4} is not advertised there", looked.reason), looked
    assert "import-check" in looked.reason
    assert vip.monitor().code == 0, "of which the frequent monitor says nothing"


def test_router_takes_no_more_prefixes(site: Site, resource: MakeResource) -> None:
    """maximum-prefix: a service too many ends the session, with what was announced before."""
    vip, others = resource(V4), [resource(f"192.0.2.{number}/32") for number in (54, 55)]
    ended = r"(Idle|Active|Connect) \(it ended the session: Cease/Maximum Number of Prefixes Reached\)"
    limit = "neighbor 10.1.0.11 maximum-prefix 1"
    try:
        assert vip.run("start").code == 0
        site.r1.configure("router bgp", family(V4), limit)
        for other in others:  # the second trips FRR 10.3, the third 8.4
            assert other.run("start").code == 0, "the other router takes it"
        wait_for("the first router to end the session", lambda: site.lb.established() == SESSIONS - 1)
        assert vip.monitor().code == 0
        looked = vip.run("monitor", interval=60, level=10)
        assert looked.code == 190, looked
        assert re.search(rf"10\.1\.0\.1 {ended}: {V4} is not advertised there", looked.reason), looked

        site.r2.configure("router bgp", family(V4), limit)
        wait_for("the second router to end the session", lambda: site.lb.established() == SESSIONS - 2)
        looked = vip.monitor()
        assert looked.code == 1
        assert re.search(rf"10\.1\.0\.1 {ended}, 10\.1\.0\.2 {ended}; raise the maximum-prefix", looked.reason), looked
        for other in others:
            assert other.run("stop").code == 0
        print(looked.reason)
    finally:
        for router in (site.r1, site.r2):
            router.configure("router bgp", family(V4), f"no {limit}", "do clear bgp ipv4 10.1.0.11")
    wait_for("both routers to have the route", lambda: site.r1.has(V4) and site.r2.has(V4))
    assert vip.monitor().code == 0, "nothing is left to be done"


def test_unknown_route_maps_are_refused(resource: MakeResource) -> None:
    for parameter in ("route_map", "drain_route_map"):
        started = resource(f"192.0.2.{len(parameter)}", **{parameter: "NOPE"}).run("start", timeout=5)
        assert started.code in (1, 2), "a bgpd that was just started may still be given it; see test_readiness.py"
        assert "no route-map NOPE" in started.reason


@BACKENDS
def test_route_map_that_denies(site: Site, resource: MakeResource, backend: str) -> None:
    vip = resource(V4, backend=backend, route_map="NOTHING-IN")
    started = vip.run("start")
    assert started.code == 1
    assert "denies" in started.reason
    assert started.seconds < PROMPT_S
    assert not site.r1.paths(V4)


def test_no_instance_is_created(breakable: Site, resource: MakeResource) -> None:
    breakable.lb.configure("no router bgp 65010")
    vip = resource(V4)
    assert vip.run("monitor").code == 7
    started = vip.run("start", timeout=5)
    assert started.code in (1, 2)
    assert "no BGP instance in the default VRF" in started.reason
    assert vip.run("stop").code == 0
    assert "router bgp" not in breakable.lb.show("show running-config")


def test_outside_the_allowed_prefixes(site: Site, resource: MakeResource) -> None:
    vip = resource("203.0.113.9/32", allowed_prefixes="192.0.2.0/24 198.51.100.0/24")
    started = vip.run("start")
    assert started.code == 6
    assert "outside" in started.reason
    assert not site.lb.paths("203.0.113.9/32")


def test_nothing_is_allowed_by_default(site: Site, resource: MakeResource) -> None:
    vip = resource(V4, allowed_prefixes="")
    started = vip.run("start")
    assert started.code == 2
    assert "allowed_prefixes" in started.reason
    assert "/etc/anycast/allowed-prefixes" in started.reason
    assert not site.lb.paths(V4)


def test_two_resources_with_one_prefix(site: Site, resource: MakeResource) -> None:
    first, second = resource(V4), resource(V4, address="no")
    assert first.run("start").code == 0
    assert second.run("monitor").code == 7
    started = second.run("start", timeout=3)
    assert started.code == 1
    assert f"resource {first.name} already announces {V4}" in started.reason
    assert second.run("stop").code == 0
    assert first.monitor().code == 0


def test_not_installed(site: Site, resource: MakeResource) -> None:
    vip = resource(V4, vty_dir="/nonexistent")
    assert vip.run("monitor").code == 7
    assert vip.run("stop").code == 0
    begun = time.monotonic()
    assert vip.run("start", timeout=2).code == 1
    assert time.monotonic() - begun < 3
