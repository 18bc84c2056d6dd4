"""The other examples: what each was written for happens, and routes go before addresses do."""

from __future__ import annotations

import pytest

from tests.simulate.conftest import Loader
from tests.simulate.pair import FAMILIES, make_before_break, the_node, the_other


def test_failure_timeout_moves_a_failed_address(serving: Loader) -> None:
    cluster = serving("failure-timeout")
    active = the_node(cluster, "vip4")
    peer = the_other(cluster, active)
    done = cluster.simulate("-i", f"vip4_monitor_1000@{active}=1")
    assert done.about("vip4", "bgp4") == [
        f"bgp4 stop {active}", f"vip4 stop {active}", f"vip4 start {peer}", f"bgp4 start {peer}"
    ]
    assert done.about("pool4") == []


def test_failure_timeout_dead_everywhere_and_back(serving: Loader) -> None:
    cluster = serving("failure-timeout")
    active = the_node(cluster, "vip4")
    peer = the_other(cluster, active)
    cluster.simulate("-i", f"vip4_monitor_1000@{active}=1", "-F", f"vip4_start_0@{peer}=1")
    cluster.settle()
    assert cluster.where("vip4") == cluster.where("bgp4") == []
    later = cluster.simulate_later(60)
    node = the_node(cluster, "vip4")
    later.assert_order(f"vip4 start {node}", f"bgp4 start {node}")


@pytest.mark.parametrize(("example", "family"), [("failure-timeout", "4"), ("single-address", "")])
def test_standby_is_make_before_break(serving: Loader, example: str, family: str) -> None:
    cluster = serving(example)
    active = the_node(cluster, f"vip{family}")
    peer = the_other(cluster, active)
    cluster.standby(active)
    cluster.settle().assert_order(*make_before_break(family, active, peer), f"pool{family} stop {active}")


def test_single_address_dead_pool_withdraws_and_comes_back(serving: Loader) -> None:
    cluster = serving("single-address")
    active = the_node(cluster, "vip")
    cluster.alive("pool", 0)
    assert list(map(str, cluster.settle())) == [f"bgp stop {active}", f"vip stop {active}"]
    cluster.alive("pool", 1, active)
    assert list(map(str, cluster.settle())) == [f"vip start {active}", f"bgp start {active}"]


def test_active_active_announces_from_both(serving: Loader) -> None:
    cluster = serving("active-active")
    for family in FAMILIES:
        assert cluster.where(f"vip{family}") == cluster.where(f"bgp{family}") == ["lb1", "lb2"]


def test_active_active_a_node_leaves_by_itself(serving: Loader) -> None:
    cluster = serving("active-active")
    cluster.standby("lb1")
    done = cluster.settle()
    for family in FAMILIES:
        done.assert_order(f"bgp{family} stop lb1", f"vip{family} stop lb1", f"pool{family} stop lb1")
    assert {step.node for step in done} == {"lb1"}


@pytest.mark.parametrize(("example", "started"), [("active-active", []), ("single-address", ["vip start lb2", "bgp start lb2"])])
def test_what_the_survivor_of_a_power_cut_has_to_start(serving: Loader, example: str, started: list[str]) -> None:
    """Nothing where both announce: what is left of the outage is the router's business."""
    cluster = serving(example)
    assert "lb1" in cluster.where("bgp4" if example == "active-active" else "bgp")
    done = cluster.simulate("--node-down", "lb1")
    assert [str(step) for step in done if step.node == "lb2"] == started


def test_active_active_a_dead_pool_withdraws_its_own_node(serving: Loader) -> None:
    cluster = serving("active-active")
    cluster.alive("pool4", 0, "lb2")
    assert list(map(str, cluster.settle())) == ["bgp4 stop lb2", "vip4 stop lb2"]
    cluster.alive("pool4", 1, "lb2")
    assert list(map(str, cluster.settle())) == ["vip4 start lb2", "bgp4 start lb2"]


def test_active_active_a_node_comes_without_disturbing_the_other(serving: Loader) -> None:
    cluster = serving("active-active")
    cluster.standby("lb1")
    cluster.settle()
    cluster.standby("lb1", on=False)
    done = cluster.settle()
    for family in FAMILIES:
        done.assert_order(f"pool{family} start lb1", f"vip{family} start lb1", f"bgp{family} start lb1")
    assert {step.node for step in done} == {"lb1"}


def test_single_node(serving: Loader) -> None:
    cluster = serving("single-node", "lb1")
    for family in FAMILIES:
        cluster.alive(f"pool{family}", 0)
        assert list(map(str, cluster.settle())) == [f"bgp{family} stop lb1", f"vip{family} stop lb1"]
        cluster.alive(f"pool{family}", 1)
        assert list(map(str, cluster.settle())) == [f"vip{family} start lb1", f"bgp{family} start lb1"]
    cluster.standby("lb1")
    done = cluster.settle()
    for family in FAMILIES:
        done.assert_order(f"bgp{family} stop lb1", f"vip{family} stop lb1", f"pool{family} stop lb1")


def test_unicast_moves_the_address_to_a_pool_that_is_ready(serving: Loader) -> None:
    cluster = serving("unicast")
    active = the_node(cluster, "vip4")
    peer = the_other(cluster, active)
    cluster.alive("pool4", 0, active)
    assert list(map(str, cluster.settle())) == [f"vip4 stop {active}", f"vip4 start {peer}"]
    cluster.alive("pool4", 0, peer)
    assert list(map(str, cluster.settle())) == [f"vip4 stop {peer}"]


def test_many_services_do_not_touch_each_other(serving: Loader) -> None:
    cluster = serving("many-services")
    assert cluster.where("dns-vip") != cluster.where("sso-vip")
    active = the_node(cluster, "dns-vip")
    peer = the_other(cluster, active)
    cluster.alive("dns-pool", 0, active)
    assert list(map(str, cluster.settle())) == [
        f"dns-vip migrate_to {active}", f"dns-vip migrate_from {peer}",
        f"dns-bgp migrate_to {active}", f"dns-bgp migrate_from {peer}",
        f"dns-bgp stop {active}", f"dns-vip stop {active}",
    ]
    cluster.alive("dns-pool", 0, peer)
    assert list(map(str, cluster.settle())) == [f"dns-bgp stop {peer}", f"dns-vip stop {peer}"]
