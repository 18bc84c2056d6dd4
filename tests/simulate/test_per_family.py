"""per-family.crm: no event drags along what it is not about (what holds of every such pair: test_pair.py)."""

from __future__ import annotations

import pytest

from tests.simulate.cluster import Cluster
from tests.simulate.conftest import Loader
from tests.simulate.pair import FAMILIES, assert_at, make_before_break


@pytest.fixture
def example() -> str:
    return "per-family"


def test_first_start(configured: Loader, example: str) -> None:
    cluster = configured(example)
    first = cluster.settle()
    assert set(map(str, first)) == {f"pool{family} start {n}" for family in FAMILIES for n in cluster.nodes}
    for family in FAMILIES:
        cluster.alive(f"pool{family}", 2)
    second = cluster.settle()
    (node,) = cluster.where("vip4")
    for family in FAMILIES:
        second.assert_order(f"vip{family} start {node}", f"bgp{family} start {node}")
    assert_at(cluster, node)


@pytest.mark.parametrize("family", FAMILIES)
def test_dead_pool_on_the_active_node_moves_the_address(
    cluster: Cluster, active: str, peer: str, family: str
) -> None:
    cluster.alive(f"pool{family}", 0, active)
    done = cluster.settle()
    done.assert_order(*make_before_break(family, active, peer))
    assert done.about("pool4", "pool6") == []
    assert_at(cluster, peer)


def test_a_dead_pool_on_the_passive_node_changes_nothing(cluster: Cluster, active: str, peer: str) -> None:
    cluster.alive("pool4", 0, peer)
    assert cluster.settle() == []
    assert_at(cluster, active)


@pytest.mark.parametrize("family", FAMILIES)
def test_dead_pool_everywhere_withdraws_one_family_only(cluster: Cluster, active: str, family: str) -> None:
    cluster.alive(f"pool{family}", 0)
    assert list(map(str, cluster.settle())) == [f"bgp{family} stop {active}", f"vip{family} stop {active}"]
    cluster.alive(f"pool{family}", 1, active)
    assert list(map(str, cluster.settle())) == [f"vip{family} start {active}", f"bgp{family} start {active}"]


def test_both_nodes_lose_their_backends_one_after_the_other(cluster: Cluster, active: str, peer: str) -> None:
    cluster.alive("pool4", 0, active)
    cluster.settle()
    cluster.alive("pool4", 0, peer)
    assert cluster.settle().about("vip4", "bgp4") == [f"bgp4 stop {peer}", f"vip4 stop {peer}"]
    cluster.alive("pool4", 2, active)
    assert cluster.settle().about("vip4", "bgp4") == [f"vip4 start {active}", f"bgp4 start {active}"]


def test_power_cut_of_the_passive_node_moves_nothing(cluster: Cluster, active: str, peer: str) -> None:
    assert cluster.simulate("--node-fail", peer) == []
    assert_at(cluster, active)


def test_health_daemon_dies_on_the_passive_node(cluster: Cluster, active: str, peer: str) -> None:
    done = cluster.simulate("-i", f"pool4_monitor_10000@{peer}=1")
    assert list(map(str, done)) == [f"pool4 stop {peer}", f"pool4 start {peer}"]
    assert_at(cluster, active)


def test_announcement_fails_alone(cluster: Cluster, active: str) -> None:
    done = cluster.simulate("-i", f"bgp4_monitor_5000@{active}=1")
    assert list(map(str, done)) == [f"bgp4 stop {active}", f"bgp4 start {active}"]


def test_lost_address_takes_its_announcement_along(cluster: Cluster, active: str) -> None:
    done = cluster.simulate("-i", f"vip4_monitor_5000@{active}=7")
    done.assert_order(
        f"bgp4 stop {active}", f"vip4 stop {active}", f"vip4 start {active}", f"bgp4 start {active}"
    )
    assert done.about("vip6", "bgp6", "pool4", "pool6") == []


def test_stop_that_fails_keeps_the_address_from_the_peer(cluster: Cluster, active: str, peer: str) -> None:
    """Without fencing, nothing announces twice because a node could not withdraw."""
    cluster.alive("pool4", 0, active)
    done = cluster.simulate("-i", f"bgp4_monitor_5000@{active}=1", "-F", f"bgp4_stop_0@{active}=1")
    assert f"bgp4 start {peer}" not in map(str, done)
