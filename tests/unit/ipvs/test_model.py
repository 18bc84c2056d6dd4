"""What users write, as values: round trips, and refusals that say what is wrong."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from ocfpy.ipvs.model import (
    RealServer,
    ServiceSettings,
    SyncDaemon,
    VirtualService,
    parse_endpoint,
    parse_netmask,
    parse_real_server,
    parse_scheduler_flag,
    parse_virtual,
)
from ocfpy.ipvs.refusals import problems
from ocfpy.ocf.addresses import parse_address

from tests.unit.ipvs.tables import bounded, virtual_services

TCP = parse_virtual("tcp/192.0.2.53:53")


@bounded
@given(virtual_services())
def test_virtual_service_reads_what_it_shows(virtual: VirtualService) -> None:
    assert parse_virtual(str(virtual)) == virtual


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tcp/192.0.2.53:53", "tcp/192.0.2.53:53"),
        ("udp/[2001:DB8:0::53]:53", "udp/[2001:db8::53]:53"),
        ("sctp/192.0.2.53:0", "sctp/192.0.2.53:0"),
        ("fwmark/7", "fwmark/7"),
        ("fwmark6/7", "fwmark6/7"),
    ],
)
def test_virtual_service_is_shown_canonically(text: str, shown: str) -> None:
    assert str(parse_virtual(text)) == shown
    assert parse_virtual(shown) == parse_virtual(text)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("192.0.2.53:53", "is not like tcp/"),
        ("tcp/", "is not like tcp/"),
        ("icmp/192.0.2.53:53", "begins with none of tcp, udp, sctp"),
        ("tcp/192.0.2.53", "has no port"),
        ("tcp/192.0.2.53:65536", "from 0 to 65535"),
        ("tcp/192.0.2.53:5_3", "from 0 to 65535"),
        ("tcp/192.0.2.53/32:53", "no prefix length"),
        ("tcp/www.example.net:80", "host names are not resolved"),
        ("tcp/2001:db8::53:53", "in brackets"),
        ("tcp/[192.0.2.53]:53", "brackets are for IPv6"),
        ("tcp/[2001:db8::53]53", "is not [address]:port"),
        ("tcp/[2001:db8::53", "is not [address]:port"),
        ("fwmark/0", "from 1 to 4294967295"),
        ("fwmark/x", "from 1 to 4294967295"),
        ("fwmark/99999999999", "from 1 to 4294967295"),
    ],
)
def test_bad_virtual_service_is_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)) as failure:
        parse_virtual(text)
    assert text.partition("/")[2][:8] in str(failure.value)


def test_real_server_options() -> None:
    real = parse_real_server("10.0.0.12:80,weight=2,forward=nat,lower=10,upper=100")
    assert real == RealServer(parse_address("10.0.0.12"), 80, weight=2, forward="nat", lower=10, upper=100)
    real = parse_real_server(
        "[2001:db8::12],forward=tunnel,tunnel_type=gue,tunnel_port=6080,tunnel_checksum=csum"
    )
    assert (real.tunnel_type, real.tunnel_port, real.tunnel_checksum) == ("gue", 6080, "csum")


def test_real_server_defaults() -> None:
    assert parse_real_server("10.0.0.12:80").forward == "dr"
    assert parse_real_server("10.0.0.12:80", default_forward="tunnel").forward == "tunnel"
    assert parse_real_server("10.0.0.12:80").weight == 1


def test_real_server_without_a_port_gets_the_one_of_the_service() -> None:
    real = parse_real_server("10.0.0.12,weight=3")
    assert real.behind(TCP).port == 53
    assert real.behind(TCP).weight == 3
    assert real.behind(parse_virtual("fwmark/7")).port == 0
    assert parse_real_server("10.0.0.12:8080").behind(TCP).port == 8080


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("dns1:53", "host names are not resolved"),
        ("10.0.0.12:53,", "an option is missing after the comma; separate servers by a space"),
        ("web1", "'web1' is not an address; host names are not resolved"),
        ("10.0.0.12:53,heavy", "'heavy' is not an option; there are weight, forward"),
        ("10.0.0.12:53,weight=65536", "weight is a number from 0 to 65535"),
        ("10.0.0.12:53,weight=-1", "weight is a number from 0 to 65535"),
        ("10.0.0.12:53,weight=1,weight=2", "weight is given twice"),
        ("10.0.0.12:53,forward=masq", "forward is one of dr, nat, tunnel"),
        ("10.0.0.12:53,tunnel_type=vxlan", "tunnel_type is one of ipip, gue, gre"),
    ],
)
def test_bad_real_server_is_refused_with_the_reason(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        parse_real_server(text)


def test_endpoint_without_a_port_is_not_port_0() -> None:
    assert parse_endpoint("192.0.2.1")[1] is None
    assert parse_endpoint("192.0.2.1:0")[1] == 0


def test_scheduler_flags_have_the_names_of_ipvsadm() -> None:
    assert parse_scheduler_flag("mh-port") == parse_scheduler_flag("sh-port") == "flag-2"
    assert parse_scheduler_flag("sh-fallback") == "flag-1"
    with pytest.raises(ValueError, match="there are flag-1"):
        parse_scheduler_flag("port")


@pytest.mark.parametrize(
    ("text", "family", "length"),
    [
        ("24", 4, 24),
        ("255.255.255.0", 4, 24),
        ("128.0.0.0", 4, 1),
        ("32", 4, None),
        ("255.255.255.255", 4, None),
        ("64", 6, 64),
        ("128", 6, None),
    ],
)
def test_netmask(text: str, family: int, length: int | None) -> None:
    assert parse_netmask(text, family) == length


@pytest.mark.parametrize(
    ("text", "family"), [("33", 4), ("0", 4), ("255.0.255.0", 4), ("0.0.0.0", 4), ("129", 6), ("/24", 4)]
)
def test_bad_netmask_is_refused(text: str, family: int) -> None:
    with pytest.raises(ValueError, match="netmask"):
        parse_netmask(text, family)


@pytest.mark.parametrize(
    ("virtual", "settings", "real", "complaint"),
    [
        ("tcp/192.0.2.53:0", {}, "10.0.0.1", "port 0 (every port) needs a persistence_timeout"),
        ("udp/192.0.2.53:5060", {"engine": "sip"}, "10.0.0.1", "needs a persistence_timeout"),
        ("tcp/192.0.2.53:53", {"one_packet": True}, "10.0.0.1", "one_packet is for udp"),
        ("udp/192.0.2.53:53", {"one_packet": True}, "10.0.0.1,forward=nat", "forward=nat does not work with one_packet"),
        ("tcp/192.0.2.53:53", {}, "[2001:db8::1]", "IPv6 behind IPv4 needs forward=tunnel"),
        ("tcp/192.0.2.53:53", {}, "10.0.0.1:8053", "forward=dr keeps the port, which is 53"),
        ("tcp/192.0.2.53:53", {}, "10.0.0.1,lower=5,upper=4", "lower=5 is above upper=4"),
        ("tcp/192.0.2.53:53", {}, "10.0.0.1,forward=tunnel,tunnel_type=gue", "gue needs a tunnel_port"),
    ],
)
def test_problem_is_found_before_the_kernel_meets_it(
    virtual: str, settings: dict[str, object], real: str, complaint: str
) -> None:
    server = parse_real_server(real)
    found = problems(parse_virtual(virtual), ServiceSettings(**settings), {server.key: server})  # type: ignore[arg-type]
    assert len(found) == 1
    assert complaint in found[0]
    assert found[0].startswith(str(parse_virtual(virtual)))


@pytest.mark.parametrize(
    ("virtual", "settings", "real"),
    [
        ("tcp/192.0.2.53:0", {"persistence_timeout": 60}, "10.0.0.1"),
        ("fwmark/7", {"one_packet": True}, "10.0.0.1"),
        ("tcp/192.0.2.53:53", {}, "10.0.0.1:8053,forward=nat,lower=5"),
        ("tcp/192.0.2.53:53", {}, "[2001:db8::1],forward=tunnel"),
    ],
)
def test_what_the_kernel_takes_is_no_problem(virtual: str, settings: dict[str, object], real: str) -> None:
    server = parse_real_server(real)
    assert not problems(parse_virtual(virtual), ServiceSettings(**settings), {server.key: server})  # type: ignore[arg-type]


def test_values_are_equal_by_their_fields() -> None:
    assert parse_virtual("tcp/192.0.2.53:53") == TCP
    assert len({TCP, parse_virtual("tcp/192.0.2.53:53"), parse_virtual("udp/192.0.2.53:53")}) == 2
    assert parse_virtual("fwmark/7") != parse_virtual("fwmark6/7")
    assert TCP != "tcp/192.0.2.53:53"
    assert "port=53" in repr(TCP)


def test_a_sync_daemon_is_as_wanted_but_for_what_the_interface_decides() -> None:
    wanted = SyncDaemon("master", "eth1", 7, parse_address("224.0.0.81"), 8848, 1)
    assert wanted.misses(wanted.replace(maxlen=1472)) == [], "a length that was left to the kernel"
    for name, value in (("nic", "eth0"), ("syncid", 8), ("group", parse_address("224.0.0.82")), ("port", 8849), ("ttl", 2)):
        assert wanted.misses(wanted.replace(**{name: value})) == [f"{name} {value} instead of {getattr(wanted, name)}"]
    assert wanted.replace(maxlen=1400).misses(wanted.replace(maxlen=1472)) == ["maxlen 1472 instead of 1400"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("10.0.0.1:53,weight", "'weight' is not an option"),
        ("10.0.0.1:53,heavy=2", "'heavy=2' is not an option"),
        ("::1", "in brackets"),
        ("10.0.0.1:00000000053", "is a number from 0 to 65535"),
        ("host:53", "'host:53': 'host' is not an address"),
        ("host", "'host' is not an address"),
    ],
)
def test_what_is_wrong_with_a_server_is_quoted(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        parse_real_server(text)
