"""recommended.crm: a site leaves and returns in one step (what holds of every such pair: test_pair.py)."""

from __future__ import annotations

import pytest

from tests.simulate.cluster import Cluster
from tests.simulate.pair import FAMILIES, assert_at, make_before_break


@pytest.fixture
def example() -> str:
    return "recommended"


def test_a_node_without_its_sync_daemons_serves_all_the_same(cluster: Cluster, active: str) -> None:
    cluster.run("crm", "resource", "ban", "sync-clone", active)
    assert list(map(str, cluster.settle())) == [f"sync stop {active}"]
    assert_at(cluster, active)


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
