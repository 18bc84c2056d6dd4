"""Rules for a pair that serves anycast addresses, with any pools behind them."""

from __future__ import annotations

from tests.simulate.cluster import Cluster

FAMILIES = ("4", "6")
SERVICES = ("vip4", "vip6", "bgp4", "bgp6")


def assert_at(cluster: Cluster, node: str) -> None:
    assert {name: cluster.where(name) for name in SERVICES} == {name: [node] for name in SERVICES}


def the_node(cluster: Cluster, resource: str) -> str:
    """The only one that has it."""
    (node,) = cluster.where(resource)
    return node


def the_other(cluster: Cluster, node: str) -> str:
    """The other one of two."""
    (other,) = set(cluster.nodes) - {node}
    return other


def make_before_break(family: str, source: str, target: str) -> list[str]:
    """The peer has the address and announces it before this node withdraws; only then the address goes.

    `family` is what the names end with: nothing where there is one address only.
    """
    return [
        f"vip{family} migrate_to {source}",
        f"vip{family} migrate_from {target}",
        f"bgp{family} migrate_to {source}",
        f"bgp{family} migrate_from {target}",
        f"bgp{family} stop {source}",
        f"vip{family} stop {source}",
    ]
