"""/proc/net/ip_vs as real kernels print it (these texts are from 6.1 and 7.2)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ocfpy.ipvs.model import parse_virtual
from ocfpy.ipvs.proc import ProcReal, parse_proc, read_proc
from ocfpy.ocf.addresses import parse_address

HEADING = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
"""
TABLE = (
    HEADING
    + """\
TCP  C0000201:0050 mh  persistent 30000 FFFFFF00
  -> [2001:0db8:0000:0000:0000:0000:0000:0001]:0050      Tunnel  1      0          0         
  -> 0A000002:1F90      Masq    0      2          3         
  -> 0A000001:0050      Route   3      0          0         
UDP  [2001:0db8:0000:0000:0000:0000:0000:0053]:0035 rr persistent 1000 40000000
  -> [2001:0db8:0000:0000:0000:0000:0000:0011]:0035      Route   1      0          0         
SCTP  C0000201:0005 sed  
FWM  00000007 wlc persistent 6000 30000000
  -> [2001:0db8:0000:0000:0000:0000:0000:0011]:0000      Route   1      0          0         
FWM  00000007 wlc ops 
  -> 0A000001:0000      Route   1      0          0         
"""  # noqa: W291
)


def test_services_and_real_servers() -> None:
    table = parse_proc(TABLE)
    assert [str(virtual) for virtual in table] == [
        "tcp/192.0.2.1:80",
        "udp/[2001:db8::53]:53",
        "sctp/192.0.2.1:5",
        "fwmark6/7",
        "fwmark/7",
    ]
    web = table[parse_virtual("tcp/192.0.2.1:80")]
    assert web.scheduler == "mh"
    assert web.reals[parse_address("10.0.0.2"), 8080] == ProcReal(
        parse_address("10.0.0.2"), 8080, "nat", weight=0, active=2, inactive=3
    )
    assert {real.forward for real in web.reals.values()} == {"tunnel", "nat", "dr"}
    assert not table[parse_virtual("sctp/192.0.2.1:5")].reals


def test_mark_without_real_servers_has_the_family_that_is_left() -> None:
    v4_only = HEADING + "FWM  00000007 wlc \n"
    assert [str(virtual) for virtual in parse_proc(v4_only)] == ["fwmark/7"]
    other_has_servers = v4_only + "FWM  00000007 rr \n  -> 0A000001:0000      Route   1      0          0\n"
    assert {
        str(virtual): service.scheduler for virtual, service in parse_proc(other_has_servers).items()
    } == {
        "fwmark/7": "rr",
        "fwmark6/7": "wlc",
    }


TUNNEL = "  -> {}:0000      Tunnel  {}      0          0\n"
SIX = "[2001:0db8:0000:0000:0000:0000:0000:0011]"


def test_mark_whose_servers_are_tunnels_of_the_other_family() -> None:
    """The packets of a tunnel are of any family, so /proc tells nothing: netlink is asked how it looks there."""
    text = HEADING + "FWM  00000007 wlc \n" + TUNNEL.format(SIX, 1)
    look = ("wlc", {(parse_address("2001:db8::11"), 0): 1})
    asked: list[int] = []

    def ask(mark: int) -> dict[int, Any]:
        asked.append(mark)
        return {4: look}

    assert [str(virtual) for virtual in parse_proc(text, ask=ask)] == ["fwmark/7"]
    assert [str(virtual) for virtual in parse_proc(text, ask=lambda _: {6: look})] == ["fwmark6/7"]
    assert [str(virtual) for virtual in parse_proc(text)] == ["fwmark6/7"], "a guess, for want of an answer"
    assert not parse_proc(text, lambda virtual: virtual == parse_virtual("fwmark6/7"), ask)
    assert not parse_proc(text, lambda virtual: virtual == parse_virtual("fwmark/8"), ask)
    assert asked == [7, 7], "not for a mark that nobody wants"


@pytest.mark.parametrize("first", [4, 6])
def test_two_families_of_a_mark_that_look_much_the_same(first: int) -> None:
    text = HEADING + "".join(f"FWM  00000007 wlc \n{TUNNEL.format('0A000001', weight)}" for weight in (1, 2))
    server = parse_address("10.0.0.1"), 0
    looks: dict[int, Any] = {first: ("wlc", {server: 1}), 10 - first: ("wlc", {server: 2})}
    table = parse_proc(text, ask=lambda _: looks)
    assert {virtual.family: service.reals[server].weight for virtual, service in table.items()} == {
        first: 1,
        10 - first: 2,
    }


def test_empty_mark_has_the_family_that_netlink_says() -> None:
    empty = HEADING + "FWM  00000007 wlc \n"
    assert [str(virtual) for virtual in parse_proc(empty, ask=lambda _: {6: ("wlc", {})})] == ["fwmark6/7"]


def test_one_server_that_is_no_tunnel_tells() -> None:
    route = f"  -> {SIX}:0000      Route   1      0          0\n"
    text = HEADING + "FWM  00000007 wlc \n" + TUNNEL.format("0A000001", 1) + route

    def ask(mark: int) -> dict[int, Any]:
        raise AssertionError("nobody has to be asked")

    assert [str(virtual) for virtual in parse_proc(text, ask=ask)] == ["fwmark6/7"]


def test_only_some_services() -> None:
    wanted = parse_virtual("udp/[2001:db8::53]:53")
    table = parse_proc(TABLE, lambda virtual: virtual == wanted)
    assert list(table) == [wanted]
    assert list(table[wanted].reals) == [(parse_address("2001:db8::11"), 53)]
    assert not parse_proc(TABLE, lambda virtual: False)


def test_empty_table() -> None:
    assert parse_proc(HEADING) == {}
    assert parse_proc("") == {}


def test_file(tmp_path: Path) -> None:
    path = tmp_path / "ip_vs"
    path.write_text(TABLE)
    assert read_proc(str(path)) == parse_proc(TABLE)
    with pytest.raises(FileNotFoundError):
        read_proc(str(tmp_path / "none"))
