"""The catalogue's composition: each export gives the same CIB, and the scheduler runs it as it runs cib-examples/."""

from __future__ import annotations

from pathlib import Path

import pytest
from ocfpy.services.cib import Cib
from ocfpy.services.diff import diff

from tests.simulate.catalogue import OTHERS, SERVICES, composition, effective, load_crm, load_pcs, load_xml, unfenced
from tests.simulate.cluster import Cluster
from tests.simulate.pair import FAMILIES, make_before_break, the_node, the_other

NO_FENCING = "Blind faith: not fencing unseen nodes"


@pytest.fixture
def cluster(tmp_path: Path, agents: Path, catalogued: bytes) -> Cluster:
    """A pair that serves everything."""
    found = Cluster(tmp_path, agents)
    found.cib.write_bytes(catalogued)
    return found


def complaints(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.strip() and NO_FENCING not in line]


def test_crm_and_xml_give_the_same_cib(tmp_path: Path, agents: Path) -> None:
    by_crm, by_xml = unfenced(tmp_path / "crm", agents), unfenced(tmp_path / "xml", agents)
    assert complaints(load_crm(by_crm, (SERVICES + OTHERS).replace("example.com", "example.org"))) == []
    assert not has_no_changes(by_crm, SERVICES + OTHERS)
    assert complaints(load_crm(by_crm, SERVICES + OTHERS)) == []
    assert has_no_changes(by_crm, SERVICES + OTHERS)
    load_xml(by_xml, SERVICES + OTHERS)
    assert complaints(by_xml.verify()) == []
    found = effective(by_crm.cib)
    assert found == effective(by_xml.cib)
    wanted = composition(SERVICES + OTHERS)
    templates = {template.id for template in wanted.templates}
    assert set(found) == {"tag catalogue", *(constraint.id for constraint in wanted.constraints), *wanted.tagged()} - templates


def test_what_load_update_leaves_in_the_cib_is_still_a_change(tmp_path: Path, agents: Path) -> None:
    cluster = unfenced(tmp_path, agents)
    load_crm(cluster, SERVICES + OTHERS)
    load_crm(cluster, SERVICES)
    found = diff(Cib.parse(cluster.cib.read_bytes()), composition(SERVICES))
    assert {service.state for service in found.services if service.resources} == {"removed"}
    assert {resource.state for service in found.services for resource in service.resources} == {"removed"}


def has_no_changes(cluster: Cluster, text: str) -> bool:
    """Whether a diff takes the resources for the catalogue's own, and finds them as the catalogue has them."""
    return diff(Cib.parse(cluster.cib.read_bytes()), composition(text)).services == ()


def test_pcs_gives_the_same_cib(tmp_path: Path, agents: Path) -> None:
    """Of one address: pcs takes a second for a command."""
    text = SERVICES.replace("192.0.2.53, ", "").replace("10.0.0.11, 10.0.0.12, ", "")
    by_pcs, by_xml = unfenced(tmp_path / "pcs", agents), unfenced(tmp_path / "xml", agents)
    load_pcs(by_pcs, text)
    load_xml(by_xml, text)
    assert effective(by_pcs.cib) == effective(by_xml.cib)
    assert has_no_changes(by_pcs, text)


def test_first_start(tmp_path: Path, agents: Path) -> None:
    cluster = unfenced(tmp_path, agents)
    load_xml(cluster, SERVICES)
    first = cluster.settle()
    assert {step.resource for step in first} == {"catalogue-sync-daemons", "dns-pool"}
    for node in cluster.nodes:
        first.assert_order(f"catalogue-sync-daemons start {node}", f"dns-pool start {node}")
    cluster.alive("dns-pool", 2)
    second = cluster.settle()
    assert len(second) == 4
    for family in FAMILIES:
        second.assert_order(f"dns-vip{family} start lb2", f"dns-bgp{family} start lb2")


def test_a_dead_pool_keeps_the_address_down(cluster: Cluster) -> None:
    node = the_node(cluster, "dns-vip4")
    cluster.alive("dns-pool", 0)
    done = cluster.settle()
    assert {step.resource for step in done} == {"dns-vip4", "dns-vip6", "dns-bgp4", "dns-bgp6"}
    for family in FAMILIES:
        done.assert_order(f"dns-bgp{family} stop {node}", f"dns-vip{family} stop {node}")
    cluster.alive("dns-pool", 1, node)
    assert len(cluster.settle()) == 4


def test_a_dead_pool_on_one_node_moves_the_addresses(cluster: Cluster) -> None:
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


def test_standby_is_make_before_break(cluster: Cluster) -> None:
    cluster.standby("lb2")
    done = cluster.settle()
    for family in FAMILIES:
        done.assert_order(*(f"dns-{step}" for step in make_before_break(family, "lb2", "lb1")))


def test_families_apart_fail_apart(cluster: Cluster) -> None:
    node = the_node(cluster, "web-1.example-vip4")
    cluster.alive("web-1.example-pool6", 0)
    stopped = [str(step) for step in cluster.settle()]
    assert stopped == [f"web-1.example-bgp6 stop {node}", f"web-1.example-vip6 stop {node}"]


def test_active_on_both_nodes_and_a_unicast_address(cluster: Cluster) -> None:
    for family in FAMILIES:
        assert cluster.where(f"ecmp-vip{family}") == cluster.where(f"ecmp-bgp{family}") == ["lb1", "lb2"]
    node = the_node(cluster, "unicast-vip4")
    assert cluster.where("unicast-vip6") == [node]
    cluster.alive("unicast-pool", 0)
    cluster.alive("ecmp-pool", 0, node)
    done = {str(step) for step in cluster.settle()}
    expected = {f"unicast-vip{family} stop {node}" for family in FAMILIES}
    assert done == expected | {f"ecmp-{kind}{family} stop {node}" for family in FAMILIES for kind in ("vip", "bgp")}
