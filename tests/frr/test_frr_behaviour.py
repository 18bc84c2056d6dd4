"""What the agents rely on FRR to do, tried on FRR itself: when one of these fails, it is FRR that has changed.

The numbers in the docstrings are those of the findings in docs/bgp.md. Times that matter are compared with others of
the same run, never with a clock.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable

import pytest
from ocfpy.bgp.errors import CommandRefused
from ocfpy.bgp.vty import Vty
from ocfpy.ocf.deadline import Deadline

from tests.frr.harness import SESSIONS, Site, wait_for

V4 = "192.0.2.53/32"
V6 = "2001:db8:53::53/128"
STRAY = "198.51.100.53/32"
ATTEMPTS = 3
LONG_BEFORE_S = 5.0  # with keepalives every 3 s a hold time of 9 s takes 6 at least
AddAddress = Callable[[str], None]


def family(prefix: str) -> str:
    return f"address-family {'ipv6' if ':' in prefix else 'ipv4'} unicast"


def say(site: Site, prefix: str, *words: str) -> None:
    """A `network` line as typed, or its `no`."""
    site.lb.configure("router bgp", family(prefix), " ".join([*words[:1], "network", prefix, *words[1:]]).strip())


@contextmanager
def announced(site: Site, prefix: str, *words: str) -> Iterator[None]:
    """The statement is there and r1 has the route; taken back afterwards."""
    say(site, prefix, "", *words)
    try:
        wait_for("the route", lambda: site.r1.has(prefix))
        yield
    finally:
        say(site, prefix, "no")
        wait_for("the withdrawal", lambda: not site.r1.paths(prefix))


# The vty protocol and the two commands.


def test_network_twice_is_fine_and_no_network_twice_is_not(site: Site) -> None:
    say(site, V4, "")
    say(site, V4, "")
    say(site, V4, "no")
    with pytest.raises(CommandRefused, match="Can't find static route") as refused:
        say(site, V4, "no")
    assert refused.value.status == 13


def test_no_network_needs_no_route_map_and_takes_no_other(site: Site) -> None:
    say(site, V4, "", "route-map DRAIN")
    with pytest.raises(CommandRefused):
        say(site, V4, "no", "route-map ANYCAST-OUT")
    say(site, V4, "no")


def test_router_bgp_without_a_number_makes_no_instance(breakable: Site) -> None:
    breakable.lb.restart_bgpd(load=False)
    with pytest.raises(CommandRefused, match="No BGP process"):
        breakable.lb.configure("router bgp")
    assert "router bgp" not in breakable.lb.show("show running-config")


def test_view_mode_may_not_configure(site: Site) -> None:
    with Vty(site.lb.vty_path, Deadline(5))._session() as session, pytest.raises(CommandRefused) as refused:
        session.command("configure terminal")
    assert refused.value.status == 2


def test_two_sessions_configure_at_once_and_one_that_dies_leaves_no_lock(site: Site) -> None:
    vty = Vty(site.lb.vty_path, Deadline(5))
    with vty._session() as first, vty._session() as second:
        for session in (first, second):
            for line in ("enable", "configure terminal", "router bgp", family(V4)):
                session.command(line)
        first.command(f"network {V4}")
        second.command("network 192.0.2.54/32")
    for prefix in (V4, "192.0.2.54/32"):
        say(site, prefix, "no")


def test_what_is_not_there_is_an_empty_object(site: Site) -> None:
    assert site.lb.show_json("show bgp ipv4 unicast 192.0.2.199/32") == {}
    with pytest.raises(CommandRefused, match="No such neighbor"):
        site.lb.show("show bgp ipv4 unicast neighbors 10.1.0.99 advertised-routes json")


# The ten findings.


@pytest.mark.parametrize("prefix", [V4, V6])
def test_withdrawn_a_moment_after_bgpd_says_so(site: Site, on_loopback: AddAddress, prefix: str) -> None:
    """1: the router still has the route when `no network` returns; hence withdraw, wait, settle, delete."""
    on_loopback(prefix)
    say(site, prefix, "")
    wait_for("the route", lambda: site.r1.has(prefix))
    say(site, prefix, "no")
    assert site.r1.paths(prefix), "the router was faster than the reply: then no settle is needed"
    wait_for("the withdrawal", lambda: not site.r1.paths(prefix))


def test_the_socket_is_much_faster_than_vtysh(site: Site) -> None:
    """2: measured 150 times; a fifth of it says as much."""

    def seconds(call: Callable[[], object]) -> float:
        begun = time.monotonic()
        call()
        return time.monotonic() - begun

    command = "show bgp summary json"
    by_socket = min(seconds(lambda: site.lb.show(command)) for _ in range(5))
    by_vtysh = min(seconds(lambda: site.lb.vtysh(command)) for _ in range(5))
    assert by_vtysh > 5 * by_socket


@pytest.mark.parametrize("prefix", [V4, V6])
def test_local_is_not_announced(site: Site, prefix: str) -> None:
    """3: without the address bgpd shows the path as its own all the same; valid and advertisedTo tell."""
    say(site, prefix, "")
    try:
        reply = wait_for("the path", lambda: site.lb.show_json(f"show bgp {family(prefix)[15:]} {prefix}"))
        (path,) = reply["paths"]
        assert path["local"]
        assert path["sourced"]
        assert not path.get("valid")
        assert not reply.get("advertisedTo")
    finally:
        say(site, prefix, "no")


def test_local_is_not_announced_without_a_policy_either(breakable: Site, on_loopback: AddAddress) -> None:
    """3: the path is valid and best, and RFC 8212 has it sent to no neighbor."""
    on_loopback(V4)
    breakable.lb.configure("router bgp", family(V4), "no neighbor ROUTERS route-map ANYCAST-OUT out")
    breakable.lb.configure("do clear bgp ipv4 unicast *")
    wait_for("the sessions", lambda: breakable.lb.established() == SESSIONS)
    say(breakable, V4, "")
    wait_for("the path", lambda: breakable.lb.has(V4))
    assert not breakable.lb.show_json(f"show bgp ipv4 unicast {V4}").get("advertisedTo")
    peers = breakable.lb.show_json("show bgp summary")["ipv4Unicast"]["peers"]
    assert {peer["peerState"] for peer in peers.values()} == {"Policy"}


def test_a_hung_bgpd_keeps_its_session(breakable: Site, on_loopback: AddAddress) -> None:
    """4: the main thread stands still, and keepalives go on from a thread of their own: twice the hold time changes nothing."""
    on_loopback(V4)
    # 1 s and 3 s, so that the test need not last half a minute.
    breakable.lb.configure("router bgp", "timers bgp 1 3", "do clear bgp *")
    wait_for("the sessions", lambda: breakable.lb.established() == SESSIONS)
    say(breakable, V4, "")
    wait_for("the route", lambda: breakable.r1.has(V4))
    neighbor = breakable.lb.show_json("show bgp neighbors 10.1.0.1")["10.1.0.1"]
    assert neighbor["bgpTimerHoldTimeMsecs"] == 3000
    with breakable.lb.hung():
        end = time.monotonic() + 7
        while time.monotonic() < end:
            assert breakable.r1.has(V4), "the router noticed"
            time.sleep(0.5)


def test_a_bgpd_that_was_killed_is_gone_at_once(breakable: Site, on_loopback: AddAddress) -> None:
    """4: which is what stop does to a hung one."""
    on_loopback(V4)
    say(breakable, V4, "")
    wait_for("the route", lambda: breakable.r1.has(V4))
    breakable.lb.kill()
    wait_for("the withdrawal", lambda: not breakable.r1.paths(V4), 5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_graceful_restart_outlives_the_announcer(breakable: Site, on_loopback: AddAddress, number: signal.Signals) -> None:
    """5: with it on, and a router that takes it, the route stays though bgpd has ended, cleanly or not."""
    on_loopback(V4)
    routers = [f"neighbor {peer} graceful-restart-helper" for peer in ("10.1.0.11", "2001:db8:1::11")]
    try:
        breakable.r1.configure("router bgp", *routers)
        breakable.lb.configure("router bgp", "bgp graceful-restart", "bgp graceful-restart preserve-fw-state", "do clear bgp *")
        wait_for("the sessions", lambda: breakable.lb.established() == SESSIONS)
        say(breakable, V4, "")
        wait_for("the route", lambda: breakable.r1.has(V4))
        neighbor = breakable.lb.show_json("show bgp neighbors 10.1.0.1")["10.1.0.1"]
        assert neighbor["gracefulRestartInfo"]["localGrMode"] == "Restart*"
        breakable.lb.signal(number)
        assert breakable.lb.ended()
        wait_for("the session to go", lambda: breakable.r1.established() == 0)
        assert breakable.r1.paths(V4), "it was withdrawn: then graceful restart would do no harm"
    finally:
        breakable.r1.restart_bgpd()


def test_import_check_is_on_by_default(site: Site) -> None:
    """6: it is the default, and frr-lb.conf writes it for the reader only."""
    assert "import-check" not in site.lb.show("show running-config")


@pytest.mark.parametrize("prefix", [V4, V6])
def test_import_check_follows_the_address(site: Site, prefix: str) -> None:
    """6: a statement that was left behind is harmless until the address is there, and harmless again afterwards."""
    say(site, prefix, "")
    try:
        assert not site.r1.paths(prefix)
        site.lb.namespace.ip("addr", "add", prefix, "dev", "lo")
        wait_for("the route", lambda: site.r1.has(prefix))
        site.lb.namespace.ip("addr", "del", prefix, "dev", "lo")
        wait_for("the withdrawal", lambda: not site.r1.paths(prefix))
    finally:
        say(site, prefix, "no")


def test_a_blackhole_satisfies_import_check(site: Site) -> None:
    """6: so an agent has to look for the address itself."""
    site.lb.namespace.ip("route", "add", "blackhole", V4)
    try:
        with announced(site, V4):
            pass
    finally:
        site.lb.namespace.ip("route", "del", "blackhole", V4)


@pytest.mark.parametrize("prefix", [V4, V6])
def test_drain_by_route_map_and_back_without_a_withdrawal(site: Site, on_loopback: AddAddress, prefix: str) -> None:
    """7: the community, the MED and the longer path all arrive, and the route is there all the time."""
    on_loopback(prefix)
    with announced(site, prefix):
        seen = site.r1.paths(prefix)[0]
        assert (seen["aspath"]["string"], seen.get("metric", 0), "community" in seen) == ("65010", 0, False)
        received = site.r1.show_json("show bgp neighbors 10.1.0.11")["10.1.0.11"]["connectionsDropped"]
        say(site, prefix, "", "route-map DRAIN")

        def drained() -> bool:
            (path,) = site.r1.paths(prefix)  # one path at any time: it was never withdrawn
            return bool(path.get("metric") == 500)

        wait_for("the drain", drained)
        (path,) = site.r1.paths(prefix)
        assert path["aspath"]["string"] == "65010 65010 65010 65010"
        assert path["community"]["list"] == ["gracefulShutdown"]
        assert path.get("locPrf") == 0, "RFC 8326: the receiver makes it the last choice by itself"
        say(site, prefix, "")
        wait_for("the plain path", lambda: site.r1.paths(prefix)[0]["aspath"]["string"] == "65010")
        assert site.r1.show_json("show bgp neighbors 10.1.0.11")["10.1.0.11"]["connectionsDropped"] == received


def test_the_first_use_of_a_route_map_does_not_wait(site: Site, on_loopback: AddAddress) -> None:
    """8: the delay timer (5 s by default) may hold back edits of a route-map, never a statement that names one.

    Nothing here edits one: on FRR 10.3 an edit was seen to take effect at once or not at all with the same delay timer of 0.
    """
    on_loopback(V4)
    with announced(site, V4):
        say(site, V4, "", "route-map DRAIN")
        wait_for("the drain", lambda: site.r1.paths(V4)[0].get("metric") == 500, 4)


def test_bfd_is_faster_than_the_hold_time(site: Site, on_loopback: AddAddress) -> None:
    """9: the line is cut behind a switch; with BFD 100 ms x 3 the route goes long before the hold time of 9 s."""
    on_loopback(V4)
    took: list[float] = []
    with announced(site, V4):
        while len(took) < ATTEMPTS and not (took and took[-1] < LONG_BEFORE_S):
            wait_for("the route", lambda: site.r1.has(V4))
            wait_for("BFD", lambda: site.r1.guarded() == 2)
            site.switch.ip("link", "set", "lb", "nomaster")
            cut = time.monotonic()
            try:
                wait_for("the routers to notice", lambda: not site.r1.paths(V4))
                took.append(time.monotonic() - cut)
            finally:
                site.switch.ip("link", "set", "lb", "master", "br0")
            wait_for("the sessions", lambda: site.lb.established() == SESSIONS)
    assert took[-1] < LONG_BEFORE_S, took


def test_the_less_specific_route_is_the_floor(site: Site, on_loopback: AddAddress) -> None:
    """10: with every site withdrawn the router still has a route to the subnet, by which the last resort is reached."""
    on_loopback(V4)

    def way() -> str:
        reply = site.r1.show_json(f"show ip route {V4.partition('/')[0]}", "zebra")
        return next(iter(reply), "")

    with announced(site, V4):
        wait_for("the host route", lambda: way() == V4)
    wait_for("the floor", lambda: way() == "192.0.2.0/24")


# Guards of the examples.


def test_what_is_outside_the_prefix_list_is_not_sent(site: Site, on_loopback: AddAddress) -> None:
    on_loopback(STRAY)
    say(site, STRAY, "")
    try:
        wait_for("the path", lambda: site.lb.has(STRAY))
        assert not site.lb.show_json(f"show bgp ipv4 unicast {STRAY}").get("advertisedTo")
        assert not site.lb.sent(STRAY, "10.1.0.1")
    finally:
        say(site, STRAY, "no")


def test_a_clean_end_of_bgpd_withdraws_at_once(breakable: Site, on_loopback: AddAddress) -> None:
    on_loopback(V4)
    say(breakable, V4, "")
    wait_for("the route", lambda: breakable.r1.has(V4))
    breakable.lb.signal(signal.SIGTERM)
    wait_for("the withdrawal", lambda: not breakable.r1.paths(V4), 5)
    assert breakable.lb.ended()


def test_what_was_typed_is_lost_with_bgpd(breakable: Site, on_loopback: AddAddress) -> None:
    on_loopback(V4)
    say(breakable, V4, "")
    breakable.lb.restart_bgpd()
    assert not breakable.lb.paths(V4)
