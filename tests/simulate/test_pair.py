"""per-family.crm and recommended.crm: make before break, withdrawal before removal, and nothing moves that need not."""

from __future__ import annotations

import pytest

from tests.simulate.cluster import Cluster
from tests.simulate.pair import FAMILIES, assert_at, make_before_break

CLONES = {
    "per-family": {"4": ["pool4"], "6": ["pool6"]},
    "recommended": {"4": ["pool", "sync"], "6": ["pool", "sync"]},
}
"""For each example, what is behind the address of a family."""


@pytest.fixture(params=sorted(CLONES))
def example(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clones(example: str) -> list[str]:
    """All that is behind the addresses."""
    return sorted({name for names in CLONES[example].values() for name in names})


def test_standby_is_make_before_break_and_the_way_back_moves_nothing(
    cluster: Cluster, example: str, clones: list[str], active: str, peer: str
) -> None:
    cluster.standby(active)
    done = cluster.settle()
    for family in FAMILIES:
        order = make_before_break(family, active, peer)
        assert done.about(f"vip{family}", f"bgp{family}") == order
        for clone in CLONES[example][family]:
            done.assert_order(*order, f"{clone} stop {active}")
    assert_at(cluster, peer)
    cluster.standby(active, on=False)
    assert sorted(map(str, cluster.settle())) == [f"{clone} start {active}" for clone in clones]
    assert_at(cluster, peer)


def test_move_is_make_before_break(cluster: Cluster, clones: list[str], active: str, peer: str) -> None:
    cluster.move("vip4", peer)
    done = cluster.settle()
    for family in FAMILIES:
        assert done.about(f"vip{family}", f"bgp{family}") == make_before_break(family, active, peer)
    assert done.about(*clones) == []
    cluster.clear("vip4")
    assert cluster.settle() == []
    assert_at(cluster, peer)


def test_power_cut_of_the_active_node(cluster: Cluster, clones: list[str], active: str, peer: str) -> None:
    done = cluster.simulate("--node-fail", active)
    for family in FAMILIES:
        vip, bgp = f"vip{family}", f"bgp{family}"
        assert done.about(vip, bgp) == [f"{vip} start {peer}", f"{bgp} start {peer}"]
    assert done.about(*clones) == []
