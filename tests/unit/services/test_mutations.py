"""A catalogue with random mistakes: errors or a composition that can be written, and never an exception of another kind."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st
from ocfpy.services.check import check
from ocfpy.services.cib import Cib
from ocfpy.services.cib_xml import document
from ocfpy.services.export import as_ansible, as_crm, as_pcs
from ocfpy.services.problems import CatalogueError

from tests.unit.services.test_cib import FOREIGN

TEXT = """
defaults: {check_interval: 1s, announce: {min_peers: 2}, operations: {ipvs-pool: {start: {timeout: 90s}}}}
sync: {nic: eth0, syncid: 53}
services:
  dns:
    addresses: [192.0.2.53, "2001:db8:53::53"]
    ports: [udp/53, tcp/53]
    real_servers: [10.0.0.11, "2001:db8:a::11,weight=2"]
    families: apart
    check: dns
    check_name: example.com
    ipv6: {check_port: 53, announce: {route_map: six}}
  web:
    addresses: 198.51.100.25/24
    ports: tcp/80
    real_servers: 10.0.0.41
    announce: none
    prefer: lb1
""".lstrip()
PIECES = (*"\n :{}[]-'\"#|>%~0x\t\0é", "  ", "&a ", "*a", "!!int ", "null", "? ", "<<: ", *dict.fromkeys(TEXT.split()))

mutation = st.tuples(
    st.sampled_from(["insert", "delete", "replace", "swap"]),
    st.integers(0, len(TEXT)),
    st.integers(1, 30),
    st.sampled_from(PIECES),
)


def mutated(text: str, mutations: list[tuple[str, int, int, str]]) -> str:
    for kind, place, length, piece in mutations:
        if kind == "insert":
            text = text[:place] + piece + text[place:]
        elif kind == "delete":
            text = text[:place] + text[place + length :]
        elif kind == "replace":
            text = text[:place] + piece + text[place + length :]
        else:
            lines = text.splitlines(keepends=True)
            one, other = place % max(len(lines), 1), length % max(len(lines), 1)
            if lines:
                lines[one], lines[other] = lines[other], lines[one]
            text = "".join(lines)
    return text


@settings(max_examples=200, deadline=None)
@given(st.lists(mutation, min_size=1, max_size=4))
@example([])
def test_no_mistake_is_a_crash(mutations: list[tuple[str, int, int, str]]) -> None:
    try:
        checked = check(mutated(TEXT, mutations))
    except CatalogueError:
        return
    for problem in (*checked.errors, *checked.warnings):
        assert problem.message.isprintable()
    if not checked.errors:
        composition = checked.composition
        assert "\0" not in as_crm(composition) + as_pcs(composition) + as_ansible(composition) + document(composition)
        Cib.parse(FOREIGN).replaced(composition)
