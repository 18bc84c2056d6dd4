"""/proc/net/ip_vs as real kernels print it (these texts are from 6.1 and 7.2)."""

from __future__ import annotations

from pathlib import Path

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
    assert [service.persistent for service in table.values()] == [True, True, False, True, False]
    assert [str(virtual) for virtual, service in table.items() if service.one_packet] == ["fwmark/7"]


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
