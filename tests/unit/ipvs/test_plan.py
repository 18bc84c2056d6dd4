"""The order of changes, and what they leave alone; that they lead to the wanted table is in test_table."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from ocfpy.ipvs.model import ServiceSettings, Table, parse_real_server, parse_virtual
from ocfpy.ipvs.plan import ADD, DELETE, plan

from tests.unit.ipvs.tables import bounded, tables, virtual_services

WLC = ServiceSettings("wlc")


def table(**services: str) -> Table:
    """A table of services on 192.0.2.53 by protocol, each a text of real servers."""
    found: Table = {}
    for proto, reals in services.items():
        servers = [parse_real_server(real) for real in reals.split()]
        found[parse_virtual(f"{proto}/192.0.2.53:53")] = WLC, {real.key: real for real in servers}
    return found


def test_nothing_to_do() -> None:
    same = table(tcp="10.0.0.1:53 10.0.0.2:53")
    assert plan(same, same, set(same)) == []
    assert plan({}, {}) == []


def test_new_service_comes_with_its_real_servers() -> None:
    assert [str(change) for change in plan({}, table(tcp="10.0.0.1:53,weight=4"))] == [
        "add virtual service tcp/192.0.2.53:53 wlc",
        "add real server 10.0.0.1:53 of tcp/192.0.2.53:53 weight 4",
    ]


def test_additions_before_removals_and_raises_before_drops() -> None:
    kernel = table(tcp="10.0.0.1:53 10.0.0.2:53 10.0.0.3:53,weight=0", udp="10.0.0.1:53")
    wanted = table(tcp="10.0.0.2:53,weight=0 10.0.0.3:53 10.0.0.4:53")
    assert [str(change) for change in plan(kernel, wanted, set(kernel))] == [
        "add real server 10.0.0.4:53 of tcp/192.0.2.53:53 weight 1",
        "edit real server 10.0.0.3:53 of tcp/192.0.2.53:53 weight 1",
        "edit real server 10.0.0.2:53 of tcp/192.0.2.53:53 weight 0",
        "delete real server 10.0.0.1:53 of tcp/192.0.2.53:53",
        "delete virtual service udp/192.0.2.53:53",
    ]


def test_settings_are_edited_in_place() -> None:
    kernel, wanted = table(tcp="10.0.0.1:53"), table(tcp="10.0.0.1:53")
    virtual = parse_virtual("tcp/192.0.2.53:53")
    wanted[virtual] = ServiceSettings("mh"), wanted[virtual][1]
    assert [str(change) for change in plan(kernel, wanted)] == ["edit virtual service tcp/192.0.2.53:53 mh"]


def test_services_of_others_are_left_alone() -> None:
    kernel = table(tcp="10.0.0.1:53", udp="10.0.0.1:53")
    assert plan(kernel, {}) == []
    assert plan(kernel, table(tcp="10.0.0.1:53")) == []


@bounded
@given(st.data())
def test_no_service_is_emptier_on_the_way_than_before_or_after(data: st.DataObject) -> None:
    among = tuple(data.draw(st.lists(virtual_services(), min_size=1, max_size=3, unique=True)))
    kernel, wanted = data.draw(tables(among)), data.draw(tables(among))
    verbs: dict[object, list[str]] = {}
    for change in plan(kernel, wanted, set(kernel)):
        if change.real is not None:
            verbs.setdefault(change.virtual, []).append(change.verb)
        if change.verb == DELETE and change.real is None:
            assert change.virtual not in wanted
    for seen in verbs.values():
        last_add = max((index for index, verb in enumerate(seen) if verb == ADD), default=-1)
        first_delete = min((index for index, verb in enumerate(seen) if verb == DELETE), default=len(seen))
        assert last_add < first_delete
