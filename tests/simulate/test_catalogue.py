"""The catalogue's composition: each export gives the same CIB, and the scheduler runs it as it runs cib-examples/."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.simulate.catalogue import composition, effective, load_crm, load_pcs, load_xml
from tests.simulate.cluster import Cluster
from tests.simulate.pair import FAMILIES, make_before_break, the_node, the_other

SERVICES = """
defaults: {check_interval: 1s, check_timeout: 500ms, announce: {min_peers: 2}}
sync: {nic: eth0, syncid: 53}
services:
  dns:
    addresses: [192.0.2.53, "2001:db8:53::53"]
    ports: [udp/53, tcp/53]
    real_servers: [10.0.0.11, 10.0.0.12, "2001:db8:a::11", "2001:db8:a::12"]
    check: dns
    check_name: example.com
    prefer: lb2
"""
OTHERS = """
  web-1.example:
    addresses: [192.0.2.80, 192.0.2.81, "2001:db8:53::80"]
    ports: [tcp/80]
    families: apart
    real_servers: [10.0.0.21, "2001:db8:a::21"]
    check: tcp
    check_request: 'a "quoted" $(word), \\r\\n and #'
    check_expect: "it's"
    operations: {ipvs-pool: {start: {timeout: 90s}}, bgp-announce: {monitor: {on-fail: block}}}
    ipv6: {check_port: 8080, announce: {route_map: six}}
  ecmp:
    addresses: [192.0.2.90, "2001:db8:53::90"]
    ports: [tcp/90]
    real_servers: [10.0.0.31, "2001:db8:a::31"]
    active: both
  unicast:
    addresses: [198.51.100.7/24, "2001:db8:9::7"]
    ports: [tcp/443]
    real_servers: [10.0.0.41, "2001:db8:a::41"]
    nic: eth1
    announce: none
"""
NO_FENCING = "Blind faith: not fencing unseen nodes"

Catalogued = Callable[[str], Cluster]


@pytest.fixture
def catalogued(tmp_path: Path, agents: Path) -> Catalogued:
    """Returns, for a catalogue, a cluster that has it and in which nothing has been started."""

    def make(text: str) -> Cluster:
        cluster = unfenced(tmp_path, agents)
        load_xml(cluster, text)
        return cluster

    return make


def unfenced(work: Path, agents: Path) -> Cluster:
    work.mkdir(exist_ok=True)
    cluster = Cluster(work, agents)
    cluster.run("crm_attribute", "--type", "crm_config", "--name", "stonith-enabled", "--update", "false")
    return cluster


def served(cluster: Cluster) -> Cluster:
    """The cluster once everything runs."""
    cluster.settle()
    for pool in cluster.pools():
        cluster.alive(pool, 2)
    cluster.settle()
    return cluster


def complaints(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.strip() and NO_FENCING not in line]


def test_crm_and_xml_give_the_same_cib(tmp_path: Path, agents: Path) -> None:
    by_crm, by_xml = unfenced(tmp_path / "crm", agents), unfenced(tmp_path / "xml", agents)
    assert complaints(load_crm(by_crm, SERVICES + OTHERS)) == []
    load_xml(by_xml, SERVICES + OTHERS)
    assert complaints(by_xml.verify()) == []
    found = effective(by_crm.cib)
    assert found == effective(by_xml.cib)
    assert set(found) == {"tag catalogue", *constraints(), *composition(SERVICES + OTHERS).tagged()} - templates()


def constraints() -> set[str]:
    return {constraint.id for constraint in composition(SERVICES + OTHERS).constraints}


def templates() -> set[str]:
    return {template.id for template in composition(SERVICES + OTHERS).templates}


def test_pcs_gives_the_same_cib(tmp_path: Path, agents: Path) -> None:
    by_pcs, by_xml = unfenced(tmp_path / "pcs", agents), unfenced(tmp_path / "xml", agents)
    load_pcs(by_pcs, SERVICES)
    load_xml(by_xml, SERVICES)
    assert effective(by_pcs.cib) == effective(by_xml.cib)


def test_first_start(catalogued: Catalogued) -> None:
    cluster = catalogued(SERVICES)
    first = cluster.settle()
    assert {step.resource for step in first} == {"catalogue-sync-daemons", "dns-pool"}
    for node in cluster.nodes:
        first.assert_order(f"catalogue-sync-daemons start {node}", f"dns-pool start {node}")
    cluster.alive("dns-pool", 2)
    second = cluster.settle()
    assert len(second) == 4
    for family in FAMILIES:
        second.assert_order(f"dns-vip{family} start lb2", f"dns-bgp{family} start lb2")


def test_a_dead_pool_keeps_the_address_down(catalogued: Catalogued) -> None:
    cluster = served(catalogued(SERVICES))
    node = the_node(cluster, "dns-vip4")
    cluster.alive("dns-pool", 0)
    done = cluster.settle()
    assert len(done) == 4
    for family in FAMILIES:
        done.assert_order(f"dns-bgp{family} stop {node}", f"dns-vip{family} stop {node}")
    cluster.alive("dns-pool", 1, node)
    assert len(cluster.settle()) == 4


def test_a_dead_pool_on_one_node_moves_the_addresses(catalogued: Catalogued) -> None:
    cluster = served(catalogued(SERVICES))
    node = the_node(cluster, "dns-vip4")
    other = the_other(cluster, node)
    cluster.alive("dns-pool", 0, node)
    done = cluster.settle()
    for family in FAMILIES:
        done.assert_order(*(f"dns-{step}" for step in make_before_break(family, node, other)))
    cluster.alive("dns-pool", 2, node)
    done = cluster.settle()
    for family in FAMILIES:
        done.assert_order(*(f"dns-{step}" for step in make_before_break(family, other, node)))


def test_standby_is_make_before_break(catalogued: Catalogued) -> None:
    cluster = served(catalogued(SERVICES))
    cluster.standby("lb2")
    done = cluster.settle()
    for family in FAMILIES:
        done.assert_order(*(f"dns-{step}" for step in make_before_break(family, "lb2", "lb1")))


def test_families_apart_fail_apart(catalogued: Catalogued) -> None:
    cluster = served(catalogued("services:" + OTHERS))
    node = the_node(cluster, "web-1.example-vip4")
    cluster.alive("web-1.example-pool6", 0)
    stopped = [str(step) for step in cluster.settle()]
    assert stopped == [f"web-1.example-bgp6 stop {node}", f"web-1.example-vip6 stop {node}"]


def test_active_on_both_nodes_and_a_unicast_address(catalogued: Catalogued) -> None:
    cluster = served(catalogued("services:" + OTHERS))
    for family in FAMILIES:
        assert cluster.where(f"ecmp-vip{family}") == cluster.where(f"ecmp-bgp{family}") == ["lb1", "lb2"]
    node = the_node(cluster, "unicast-vip4")
    assert cluster.where("unicast-vip6") == [node]
    cluster.alive("unicast-pool", 0)
    cluster.alive("ecmp-pool", 0, node)
    done = {str(step) for step in cluster.settle()}
    expected = {f"unicast-vip{family} stop {node}" for family in FAMILIES}
    assert done == expected | {f"ecmp-{kind}{family} stop {node}" for family in FAMILIES for kind in ("vip", "bgp")}
