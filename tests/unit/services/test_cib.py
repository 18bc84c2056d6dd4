"""The catalogue's part of a CIB: nothing else is ever touched, and the same catalogue gives the same CIB."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from ocfpy.services.check import load
from ocfpy.services.cib import Cib, CibError
from ocfpy.services.composition import Composition, role, service_of, stem

from tests.unit.services.catalogues import DNS, catalogues

FOREIGN = b"""
<cib admin_epoch="0" epoch="7" num_updates="3" validate-with="pacemaker-3.9">
  <configuration>
    <crm_config>
      <cluster_property_set id="p"><nvpair id="p-x" name="stonith-enabled" value="false"/></cluster_property_set>
    </crm_config>
    <nodes><node id="1" uname="lb1"/></nodes>
    <resources>
      <!-- a database of another team -->
      <primitive id="db" class="ocf" provider="heartbeat" type="Dummy"/>
      <group id="g"><primitive id="dns-other" class="ocf" provider="heartbeat" type="Dummy"/></group>
      <template id="t" class="ocf" provider="heartbeat" type="Dummy"/>
    </resources>
    <constraints>
      <rsc_colocation id="db-with-g" rsc="db" with-rsc="g" score="10"/>
      <rsc_ticket id="tick" rsc="db" ticket="a"/>
      <rsc_order id="set"><resource_set id="set-0"><resource_ref id="db"/><resource_ref id="g"/></resource_set></rsc_order>
    </constraints>
    <acls><acl_role id="r"><acl_permission id="r-0" kind="write" reference="db"/></acl_role></acls>
    <tags><tag id="mine"><obj_ref id="db"/></tag></tags>
  </configuration>
  <status/>
</cib>
"""


def composition(text: str) -> Composition:
    return load(text).composition


def canonical(cib: Cib) -> str:
    return str(etree.tostring(cib.root, method="c14n").decode())


def foreign_part(cib: Cib) -> str:
    """The CIB without what the catalogue owns."""
    rest = Cib.parse(cib.text())
    for element in rest.owned():
        element.getparent().remove(element)
    return canonical(rest)


@settings(max_examples=40, deadline=None)
@given(st.lists(catalogues(), min_size=1, max_size=3))
def test_nothing_else_is_touched(texts: list[str]) -> None:
    start = cib = Cib.parse(FOREIGN)
    for text in texts:
        cib = Cib.parse(cib.replaced(composition(text)).text())
        assert foreign_part(cib) == canonical(start)
        assert canonical(cib.replaced(composition(text))) == canonical(cib)
    assert canonical(cib.replaced(composition("services: {}"))) == canonical(start)


@settings(max_examples=40, deadline=None)
@given(catalogues(), catalogues())
def test_there_and_back(one: str, other: str) -> None:
    first = Cib.parse(FOREIGN).replaced(composition(one))
    second = first.replaced(composition(other))
    again = second.replaced(composition(one))
    assert again.resources() == first.resources()
    assert again.constraints() == first.constraints()
    assert canonical(again) == canonical(first)


@settings(max_examples=40, deadline=None)
@given(catalogues())
def test_everything_that_is_written_is_owned(text: str) -> None:
    wanted = composition(text)
    cib = Cib.parse(FOREIGN).replaced(wanted)
    assert set(cib.resources()) == {resource.id for resource in wanted.resources}
    assert set(cib.constraints()) == {constraint.id for constraint in wanted.constraints}
    elements = (element for element in cib.configuration.iter(etree.Element) if element.tag not in ("obj_ref", "resource_ref"))
    found = [element.get("id") for element in elements if element.get("id")]
    assert len(found) == len(set(found))


def test_a_constraint_of_the_administrator_between_our_resources_stays() -> None:
    cib = Cib.parse(FOREIGN).replaced(composition(DNS))
    for line in (
        '<rsc_location id="cli-prefer-dns-vip4" rsc="dns-vip4" node="lb1" score="INFINITY"/>',
        '<rsc_colocation id="apart" rsc="dns-vip6" with-rsc="dns-vip4" score="-50"/>',
    ):
        cib.configuration.find("constraints").append(etree.fromstring(line))
    before = foreign_part(cib)
    changed = cib.replaced(composition(DNS.replace("example.com", "example.org")))
    assert foreign_part(changed) == before
    assert "cli-prefer-dns-vip4" in canonical(changed)
    with pytest.raises(CibError) as caught:
        cib.replaced(composition("services: {}"))
    assert caught.value.reasons == [
        "apart refers to dns-vip4, which the catalogue has no more: remove it there first",
        "apart refers to dns-vip6, which the catalogue has no more: remove it there first",
        "cli-prefer-dns-vip4 refers to dns-vip4, which the catalogue has no more: remove it there first",
    ]


def test_an_id_that_another_resource_has() -> None:
    taken = FOREIGN.replace(b'id="db"', b'id="dns-vip4"')
    with pytest.raises(CibError) as caught:
        Cib.parse(taken).replaced(composition(DNS))
    assert caught.value.reasons == ["dns-vip4 is in the CIB already, and is not the catalogue's: rename one of the two"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"<cib/>", "the document has no <configuration>: it is not a CIB"),
        (b"<cib", "the CIB is not XML: "),
        (b"", "the CIB is not XML: "),
    ],
)
def test_no_cib(data: bytes, said: str) -> None:
    with pytest.raises(CibError) as caught:
        Cib.parse(data)
    assert caught.value.reasons[0].startswith(said)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("dns-vip4", ("dns", "vip4")),
        ("dns-vip4-2", ("dns", "vip4-2")),
        ("web-1.example-pool-clone", ("web-1.example", "pool")),
        ("a-vip4-pool", ("a-vip4", "pool")),
        ("catalogue-sync-daemons-clone", ("catalogue", "sync-daemons")),
    ],
)
def test_ids_are_taken_apart(name: str, parts: tuple[str, str]) -> None:
    assert (service_of(name), role(name)) == parts
    assert stem(name) == "-".join(parts)


WEB = """
services:
  web:
    addresses: [198.51.100.25/24]
    ports: [tcp/80]
    real_servers: [10.0.0.41]
    announce: none
sync: {nic: eth0, syncid: 53}
"""


@pytest.mark.parametrize("text", [DNS, WEB], ids=["announced", "unicast"])
def test_what_crm_load_update_leaves_behind_is_still_owned(text: str) -> None:
    """It replaces the tag with that of the new file, and removes no resource."""
    loaded = Cib.parse(FOREIGN).replaced(composition(text))
    tag = loaded.configuration.find("tags/tag[@id='catalogue']")
    tag.getparent().remove(tag)
    left = Cib.parse(loaded.text())
    assert left.resources() == loaded.resources()
    assert left.constraints() == loaded.constraints()
    assert canonical(left.replaced(composition("services: {}"))) == canonical(Cib.parse(FOREIGN))


def test_a_resource_of_the_administrator_may_use_a_template_of_the_catalogue() -> None:
    cib = Cib.parse(FOREIGN).replaced(composition(DNS))
    mine = etree.SubElement(cib.configuration.find("resources"), "primitive", id="my-own", template="catalogue-vip")
    assert mine.get("id") not in Cib.parse(cib.text()).resources()
