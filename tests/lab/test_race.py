"""Both nodes of a pair lose the same backends, not in the same millisecond: nothing of it may outlive the outage."""
from __future__ import annotations

import random
import time

from tests.lab.testbed import VIPS, Lab, Site, UmlNode, wait_for

ROUNDS = 20
CHECK_INTERVAL = 0.5
BACK_WITHIN = 2.0
"""Seconds from the backends' first good answers to the route at the core; a good answer is seen at most an interval late."""


def deafen(site: Site, node: UmlNode, deaf: bool) -> None:
    """Have one node reach none of its backends, at once, or reach them again: only its own checks see it."""
    change = "add" if deaf else "del"
    addresses = [f(index) for index in (21, 22) for f in (site.plan.lan4, site.plan.lan6)]
    node.run("; ".join(f"ip route {change} unreachable {address}" for address in addresses)).check()


def test_no_trace_of_the_race(steady: Lab) -> None:
    """20 rounds: the second node loses them 0 to 1 s after the first, either first; the VIPs go, and come back by themselves."""
    site, cluster = steady.site_a, steady.site_a.cluster
    dice = random.Random(1)
    slow: list[str] = []
    cluster.load(site.example().replace("check_interval=1s", f"check_interval={int(CHECK_INTERVAL * 1000)}ms"))
    cluster.wait_idle()
    try:
        for number in range(ROUNDS):
            apart = dice.uniform(0, 1)
            first, second = dice.sample(list(site.nodes), 2)
            deafen(site, first, True)
            time.sleep(apart)
            deafen(site, second, True)
            for vip in VIPS:
                steady.core.wait_route(vip, "router-b", limit=30)
            cluster.wait_idle()
            assert cluster.fail_counts() == {}, f"round {number}, {apart:.2f} s apart: {cluster.status()}"
            deafen(site, second, False)
            deafen(site, first, False)
            answering = time.time() + CHECK_INTERVAL
            for vip in VIPS:
                steady.core.wait_route(vip, "router-a", limit=30)
            took = max(event.at for event in steady.core.events if event.next_hops == ("router-a",)) - answering
            print(f"round {number}: {apart:.2f} s apart, {first.name} first, back after {took:.2f} s")
            if took > BACK_WITHIN:
                slow.append(f"round {number}: {took:.2f} s")
            cluster.wait_idle()
            assert cluster.fail_counts() == {}, f"round {number}, {apart:.2f} s apart: {cluster.status()}"
    finally:
        for node in site.nodes:
            node.run("ip route flush type unreachable; ip -6 route flush type unreachable")
        cluster.load(site.example())
    # The monitor of a pool without backends says "degraded", which crm_mon lists until the next monitor, 10 s later.
    wait_for(lambda: cluster.failed_actions() == [], 20, "no failed action is left")
    constraints = cluster.crm("configure show type:location").out
    assert "cli-ban" not in constraints, constraints
    assert not slow, f"later than {BACK_WITHIN} s: {slow}"


def test_without_the_rule_the_gate_fails_and_failure_timeout_heals(steady: Lab) -> None:
    """failure-timeout.crm: anycast-vip's monitor says which service and which backends, the route goes, and all comes back."""
    site, cluster = steady.site_b, steady.site_b.cluster
    cluster.erase()
    cluster.load(site.example("failure-timeout.crm"))
    try:
        for vip in VIPS:
            cluster.wait_active(f"bgp{6 if ':' in vip else 4}")
        site.backends.stop()
        for vip in VIPS:
            site.router.wait_route(vip, "core", limit=30)
        failures = wait_for(
            lambda: [text for text in cluster.failed_actions() if text.startswith("vip4_")], 20,
            "a failed action of vip4", every=0.3,
        )
        assert "192.0.2.53:53" in failures[0], failures
        assert site.plan.lan4(21) in failures[0], failures
        assert site.plan.lan4(22) in failures[0], failures
        site.backends.start()
        for vip in VIPS:
            cluster.wait_active(f"bgp{6 if ':' in vip else 4}", limit=60)
            wait_for(lambda vip=vip: site.router.route_to(vip) in (["lb-b1"], ["lb-b2"]), 10, "the route is back")  # type: ignore[misc]
        wait_for(lambda: cluster.failed_actions() == [] and cluster.fail_counts() == {}, 60, "failures are forgotten")
    finally:
        site.backends.start()
        cluster.erase()
        cluster.load(site.example())
