"""recommended.crm: make before break, withdrawal before removal, and a site that leaves and returns in one step."""

from __future__ import annotations

import pytest

from tests.simulate.cluster import Cluster
from tests.simulate.conftest import Loader
from tests.simulate.pair import FAMILIES, assert_at, make_before_break

EXAMPLE = "recommended"


@pytest.fixture
def cluster(serving: Loader) -> Cluster:
    return serving(EXAMPLE)


@pytest.fixture
def active(cluster: Cluster) -> str:
    """The node that has the addresses."""
    (node,) = cluster.where("vip4")
    return node


@pytest.fixture
def peer(cluster: Cluster, active: str) -> str:
    (node,) = set(cluster.nodes) - {active}
    return node


def test_standby_is_make_before_break(cluster: Cluster, active: str, peer: str) -> None:
    cluster.standby(active)
    done = cluster.settle()
    for family in FAMILIES:
        order = make_before_break(family, active, peer)
        assert done.about(f"vip{family}", f"bgp{family}") == order
        done.assert_order(*order, f"pool stop {active}")
        done.assert_order(*order, f"sync stop {active}")
    assert_at(cluster, peer)
    cluster.standby(active, on=False)
    assert sorted(map(str, cluster.settle())) == [f"pool start {active}", f"sync start {active}"]
    assert_at(cluster, peer)


def test_a_node_without_its_sync_daemons_serves_all_the_same(cluster: Cluster, active: str) -> None:
    cluster.run("crm", "resource", "ban", "sync-clone", active)
    assert list(map(str, cluster.settle())) == [f"sync stop {active}"]
    assert_at(cluster, active)


def test_move_is_make_before_break(cluster: Cluster, active: str, peer: str) -> None:
    cluster.move("vip4", peer)
    done = cluster.settle()
    for family in FAMILIES:
        assert done.about(f"vip{family}", f"bgp{family}") == make_before_break(family, active, peer)
    assert done.about("pool") == []
    cluster.clear("vip4")
    assert cluster.settle() == []
    assert_at(cluster, peer)


def test_dead_pool_on_the_active_node_moves_both_addresses(cluster: Cluster, active: str, peer: str) -> None:
    cluster.alive("pool", 0, active)
    done = cluster.settle()
    for family in FAMILIES:
        done.assert_order(*make_before_break(family, active, peer))
    assert done.about("pool") == []
    assert_at(cluster, peer)


def test_dead_pool_everywhere_withdraws_and_comes_back_by_itself(cluster: Cluster, active: str) -> None:
    cluster.alive("pool", 0)
    done = cluster.settle()
    assert len(done) == 4
    for family in FAMILIES:
        done.assert_order(f"bgp{family} stop {active}", f"vip{family} stop {active}")
    cluster.alive("pool", 1, active)
    done = cluster.settle()
    assert len(done) == 4
    for family in FAMILIES:
        done.assert_order(f"vip{family} start {active}", f"bgp{family} start {active}")


def test_power_cut_of_the_active_node(cluster: Cluster, active: str, peer: str) -> None:
    done = cluster.simulate("--node-fail", active)
    for family in FAMILIES:
        vip, bgp = f"vip{family}", f"bgp{family}"
        assert done.about(vip, bgp) == [f"{vip} start {peer}", f"{bgp} start {peer}"]
    assert done.about("pool") == []
