"""The parameters of ipvs-pool: what its daemon is told for them, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from ocfpy.agents import ipvs_pool_build
from ocfpy.agents.ipvs_pool import IpvsPool
from ocfpy.ipvs.model import RealServer, VirtualService
from ocfpy.ocf.errors import ConfigError
from ocfpy.pool.backends import members

from tests.unit.agents.pool_agent import DNS, agent


def test_defaults(tmp_path: Path) -> None:
    pool = agent(tmp_path)
    spec = pool.spec()
    assert spec.attribute == "healthy-dns"
    (service,) = spec.services
    assert service.settings.scheduler == "wlc"
    check = service.check
    assert (check.type, check.interval, check.timeout, check.rise, check.fall) == (
        "tcp", 2.0, 1.0, 2, 3,
    )  # fmt: skip
    assert check.retry_interval == 0.0
    assert agent(tmp_path, check_retry_interval="200ms").spec().services[0].check.retry_interval == 0.2
    assert (check.options, check["status"]) == ((), "200-299")
    assert [(str(real), real.forward, real.weight) for real in service.reals.values()] == [
        ("10.0.0.11:53", "dr", 1),
        ("10.0.0.12:53", "dr", 1),
    ]
    assert pool.claim() == {"virtual": DNS, "attribute": "healthy-dns"}


def test_everything(tmp_path: Path) -> None:
    spec = agent(
        tmp_path,
        virtual="tcp/192.0.2.53:80 fwmark/7",
        real_servers="10.0.0.11:80,weight=2 10.0.0.12:80,forward=nat",
        scheduler="mh",
        scheduler_flags="mh-port mh-fallback",
        forward="tunnel",
        tunnel_type="gue",
        tunnel_port="6080",
        persistence_timeout="5min",
        persistence_netmask="255.255.255.0",
        persistence_engine="sip",
        check="http",
        check_port="8080",
        check_interval="500ms",
        check_timeout="250ms",
        check_host="www.example.com:80",
        check_path="/health?deep=1",
        check_method="POST",
        check_status="200 301-302",
        check_expect="re:^ok",
        rise="1",
        fall="5",
        quiesce="no",
        attribute="web-here",
        dampen="1.5s",
    ).spec()
    service, mark = spec.services
    settings, check = service.settings, service.check
    assert (mark.settings, mark.check) == (settings, check)
    assert (settings.scheduler, settings.flags) == ("mh", ("flag-1", "flag-2"))
    assert (settings.persistence_timeout, settings.netmask, settings.engine) == (300, 24, "sip")
    one, two = service.reals.values()
    assert (one.forward, one.tunnel_type, one.tunnel_port, one.weight) == ("tunnel", "gue", 6080, 2)
    assert (two.forward, two.tunnel_port) == ("nat", 0)
    assert (check.port, check.interval, check.timeout) == (8080, 0.5, 0.25)
    assert (check["host"], check["path"], check["method"]) == ("www.example.com:80", "/health?deep=1", "POST")
    assert (check.rise, check.fall, check["expect"]) == (1, 5, "re:^ok")
    assert (service.quiesce, spec.attribute, spec.dampen) == (False, "web-here", "1500ms")


def test_who_gets_traffic(tmp_path: Path) -> None:
    spec = agent(
        tmp_path,
        virtual=f"{DNS} udp/[2001:db8::53]:53",
        real_servers=" ".join([*(f"10.0.0.{n},weight=10" for n in range(1, 6)), "[fd00::1],weight=10 [fd00::2],weight=20"]),
        sorry_server="10.0.0.99:80,forward=nat [fd00::99]",
        quorum="50%",
        quorum_up="80%",
        drain_timeout="1min",
        drain_dir="/srv/drained",
        slow_start="30s",
    ).spec()
    dns, dns6 = spec.services
    assert [str(real) for real in (*dns.sorry.values(), *dns6.sorry.values())] == ["10.0.0.99:80", "[fd00::99]:53"]
    assert (dns.quorum, dns.quorum_up, dns6.quorum, dns6.quorum_up) == (3, 4, 1, 2)
    assert (dns.drain_timeout, dns.slow_start, spec.drain_dir) == (60.0, 30.0, "/srv/drained")
    assert agent(tmp_path, min_up="51%").spec().services[0].min_up == 2
    assert agent(tmp_path).spec().services[0].drain_timeout == 300.0
    assert agent(tmp_path, scheduler="sh", quiesce="no").spec().services[0].drain_timeout == 0.0


def test_a_large_pool_is_gone_through_once_for_each_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every monitor reads all of it: what grows with the square of its size would take longer than the operation may."""
    asked: list[str] = []

    def counted(virtual: VirtualService, reals: Sequence[RealServer]) -> list[RealServer]:
        asked.append(str(virtual))
        return members(virtual, reals)

    monkeypatch.setattr(ipvs_pool_build, "members", counted)
    virtual = [f"udp/192.0.2.{number}:53" for number in range(1, 9)]
    pool = agent(tmp_path, virtual=" ".join(virtual), real_servers=" ".join(f"10.0.0.{number}" for number in range(1, 99)))
    assert sorted(asked) == virtual
    assert [len(service.reals) for service in pool.build.services()] == [98] * 8
    assert sorted(asked) == virtual


def test_scheduling_by_the_packet_is_for_udp(tmp_path: Path) -> None:
    virtual = "udp/192.0.2.53:53 tcp/192.0.2.53:53 fwmark/7"
    spec = agent(tmp_path, virtual=virtual, check_port="53", one_packet="yes").spec()
    assert [service.settings.one_packet for service in spec.services] == [True, False, True]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"virtual": ""}, "parameter virtual: required"),
        ({"real_servers": ""}, "parameter real_servers: required"),
        ({"virtual": " "}, "parameter virtual: required, but not set"),
        ({"real_servers": "  "}, "parameter real_servers: required, but not set"),
        ({"virtual": "tcp/192.0.2.53"}, "has no port"),
        ({"real_servers": "web1:80"}, "host names are not resolved"),
        ({"virtual": f"{DNS} {DNS}"}, f"{DNS} is given twice"),
        ({"real_servers": "10.0.0.11 10.0.0.11:53"}, "10.0.0.11:53 is given twice"),
        ({"real_servers": "10.0.0.11:80"}, "real server 10.0.0.11:80: forward=dr"),
        ({"real_servers": "[fd00::11]"}, "has no real server of its address family"),
        ({"real_servers": "10.0.0.11 [fd00::11]"}, "real server [fd00::11] has no virtual service"),
        ({"virtual": "fwmark/7"}, "10.0.0.11 has no port to check: set check_port"),
        ({"virtual": "tcp/192.0.2.53:0"}, "needs a persistence_timeout"),
        ({"check": "nonsense"}, "not one of off, on, tcp, udp, ping, http, https"),
        ({"check_path": "/status"}, "check_path does not apply to check=tcp, only to http, https"),
        ({"check": "http", "check_ca": "/ca"}, "check_ca does not apply to check=http"),
        ({"check": "https", "check_key": "/key"}, "check_key needs check_cert"),
        ({"check": "http_proxy"}, "check=http_proxy needs check_request"),
        ({"check": "http_proxy", "check_request": "www.example.com"}, "is neither a URL"),
        ({"check": "http_proxy", "check_request": "a:443", "check_expect": "x"}, "a tunnel (check_request=HOST:PORT) has no"),
        ({"check": "http", "check_method": "HEAD", "check_expect": "x"}, "an answer to check_method=HEAD has no body"),
        ({"check": "external", "check_command": "check.sh"}, "has to begin with an absolute path"),
        ({"check": "http", "check_headers": "no colon"}, "is not a header line"),
        ({"check": "dns", "check_name": "a", "check_rcode": "NXDOMAIN NO"}, "'NO' is not one of NOERROR"),
        ({"check_request": "\\q"}, "is not one of"),
        ({"check": "dns"}, "check=dns needs check_name"),
        ({"check": "http", "check_path": "status"}, "check_path 'status' does not begin with /"),
        ({"check": "http", "check_path": "/a b"}, "check_path '/a b' has blanks or non-ASCII letters: write /a%20b"),
        ({"check": "http", "check_path": "/gr\u00f6\u00dfe?x=%20"}, "non-ASCII letters: write /gr%C3%B6%C3%9Fe?x=%20"),
        ({"check": ""}, f"{DNS}: check is not set, and the default tcp would check its servers over TCP: set check=dns, ntp"),
        ({"check": "", "virtual": "tcp/192.0.2.1:53 udp/192.0.2.1:5353"}, "udp/192.0.2.1:5353: check is not set"),
        ({"check": "", "virtual": "sctp/192.0.2.1:3868"}, "set check=ping or external, or check=tcp if they answer there"),
        ({"check_status": "2xx"}, "not an HTTP status"),
        ({"check_expect": "re:("}, "not a regular expression"),
        ({"check_timeout": "3s"}, "check_timeout (3 s) is longer than check_interval (2 s)"),
        ({"check_interval": "0s"}, "shorter than 100ms"),
        ({"check_host": "a\nb"}, "parameter check_host"),
        ({"check_host": "a b"}, "parameter check_host"),
        ({"check_name": "a;b"}, "parameter check_name"),
        ({"check_name": "a..b"}, "parameter check_name: 'a..b' has an empty label"),
        ({"check_name": ".a"}, "parameter check_name: '.a' has an empty label"),
        ({"check_name": "a.."}, "parameter check_name: 'a..' has an empty label"),
        ({"check_name": ".."}, "parameter check_name: '..' has an empty label"),
        ({"check_name": f"a.{'b' * 64}"}, "has a label of 64 characters, the maximum is 63"),
        ({"check_name": "a." * 126 + "bc"}, "has 254 characters, the maximum is 253"),
        ({"check_retry_interval": "3s"}, "check_retry_interval (3 s) is longer than check_interval (2 s)"),
        ({"rise": "0"}, "less than 1"),
        ({"scheduler": "wlc; reboot"}, "parameter scheduler"),
        ({"scheduler_flags": "nonsense"}, "not a scheduler flag"),
        ({"persistence_netmask": "33", "persistence_timeout": "60"}, "the length of the netmask"),
        (
            {"persistence_netmask": "24", "virtual": "tcp/192.0.2.1:80 tcp/[2001:db8::1]:80"},
            "use one pool for IPv4 and one for IPv6",
        ),
        ({"persistence_timeout": "1.5s"}, "whole seconds"),
        ({"persistence_timeout": "99999999h"}, "longer than 744h"),
        ({"dampen": "1000h"}, "longer than 1h"),
        ({"scheduler": "mh", "scheduler_flags": "mh-port"}, "add scheduler_flags=mh-fallback, or set quiesce=false"),
        ({"scheduler": "sh"}, "drops the clients of a server at weight 0"),
        ({"one_packet": "yes", "virtual": "tcp/192.0.2.53:53"}, "one_packet is for UDP"),
        ({"one_packet": "yes", "forward": "nat"}, "forward=nat does not work with one_packet"),
        ({"one_packet": "yes", "sorry_server": "10.0.0.9,forward=nat"}, "sorry_server 10.0.0.9:53: forward=nat does not work"),
        ({"attribute": "a b"}, "parameter attribute"),
        ({"min_up": "half"}, "parameter min_up"),
        ({"quorum": "0"}, "parameter quorum"),
        ({"quorum": "3"}, "its quorum is 3, but it has only 2 real servers"),
        ({"quorum": "2", "quorum_up": "1"}, "quorum_up (1 servers) is less than quorum (2)"),
        ({"sorry_server": "10.0.0.12"}, "sorry_server 10.0.0.12:53 is one of its real servers"),
        ({"sorry_server": "10.0.0.99,weight=0"}, "has weight 0, and never gets a client"),
        ({"sorry_server": "10.0.0.99:5353"}, "forward=nat changes it"),
        ({"sorry_server": "[fd00::99]"}, "sorry_server [fd00::99] has no virtual service of its address family"),
        ({"sorry_server": "10.0.0.99 10.0.0.99"}, "udp/192.0.2.53:53: sorry_server 10.0.0.99:53 is given twice"),
        ({"sorry_server": "10.0.0.99 10.0.0.99:53"}, "sorry_server 10.0.0.99:53 is given twice"),
        ({"sorry_server": "0.0.0.0"}, "sorry_server 0.0.0.0:53: 0.0.0.0 is an unspecified address"),
        ({"sorry_server": "192.0.2.53"}, "would lead back to it: this node is 127.0.0.1"),
        ({"min_up": "3"}, "min_up is 3, but it has only 2 real servers"),
        ({"virtual": "udp/0.0.0.0:53"}, "udp/0.0.0.0:53: 0.0.0.0 is an unspecified address"),
        ({"virtual": "udp/224.0.0.5:53"}, "224.0.0.5 is a multicast address"),
        ({"real_servers": "0.0.0.0 10.0.0.11"}, "real server 0.0.0.0:53: 0.0.0.0 is an unspecified address"),
        ({"real_servers": "239.1.1.1"}, "239.1.1.1 is a multicast address"),
        ({"real_servers": "255.255.255.255"}, "255.255.255.255 is the broadcast address"),
        ({"real_servers": "[::]", "virtual": "udp/[2001:db8::53]:53"}, ":: is the unspecified address"),
        ({"real_servers": "[ff05::2]", "virtual": "udp/[2001:db8::53]:53"}, "ff05::2 is a multicast address"),
        ({"real_servers": "[fe80::2]", "virtual": "udp/[2001:db8::53]:53"}, "fe80::2 is a link-local address"),
        ({"real_servers": "[::ffff:10.0.0.1]", "virtual": "udp/[2001:db8::53]:53"}, "is an IPv4 address written as IPv6"),
        ({"real_servers": "192.0.2.53"}, "it is the virtual service itself, and forward=dr would lead back to it"),
        (
            {"real_servers": "[2001:db8::53],forward=tunnel", "virtual": "udp/[2001:db8::53]:53"},
            "and forward=tunnel would lead back to it: this node is [::1]",
        ),
        ({"sorry_server": "10.0.0.99", "min_up": "1"}, "never gets a client: set only one"),
        ({"slow_start": "30s"}, "weight 1 of 10.0.0.11 has no room for steps: set weight=10 or more"),
        ({"check_via": "vip", "check": "udp"}, "check_via=vip: check=udp needs check_expect"),
        ({"check_via": "vip", "check": "ping"}, "check_via does not apply to check=ping"),
        ({"check_via": "vip", "virtual": "fwmark/7", "check_port": "80"}, "check_via=vip: fwmark/7 has no address to connect to"),
        (
            {"check_via": "vip", "real_servers": "[fd00::11],forward=tunnel", "check_bind": "2001:db8::1"},
            "check_via=vip: [fd00::11]:53 has another address family",
        ),
        ({"drain_timeout": "soon"}, "parameter drain_timeout"),
        ({"drain_dir": "relative"}, "parameter drain_dir"),
        (
            {"virtual": "nonsense", "persistence_netmask": "24"},
            "parameter virtual: 'nonsense' is not like tcp/",
        ),
    ],
)
def test_what_is_wrong_with_a_configuration(tmp_path: Path, params: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        agent(tmp_path, **params)
    assert said in raised.value.reason


@pytest.mark.parametrize(
    "name",
    [".", "a", "a.", "www.example.com.", "*.example.com", "0/26.2.0.192.in-addr.arpa", "b" * 63, "a." * 127, "a." * 126 + "b"],
)
def test_names_that_a_check_can_ask_for(tmp_path: Path, name: str) -> None:
    assert agent(tmp_path, check="dns", check_name=name).spec().services[0].check["name"] == name


@pytest.mark.parametrize("name", [".", "a.b.", "a..b", ".a", "b" * 63, "b" * 64, "a." * 127, "a." * 126 + "bc"])
def test_names_are_judged_as_the_check_does(tmp_path: Path, name: str) -> None:
    query = pytest.importorskip("dns.message").make_query
    try:
        query(name, "A")
    except Exception:
        with pytest.raises(ConfigError, match="check_name"):
            agent(tmp_path, check="dns", check_name=name)
    else:
        agent(tmp_path, check="dns", check_name=name)


@pytest.mark.parametrize("real_servers", ["", "10.0.0.11,weight=x"])
def test_an_error_is_said_once(tmp_path: Path, real_servers: str) -> None:
    with pytest.raises(ConfigError) as caught:
        agent(tmp_path, real_servers=real_servers)
    assert ";" not in caught.value.reason


@pytest.mark.parametrize(
    "params",
    [
        {"real_servers": "127.0.0.1 10.0.0.11"},
        {"real_servers": "[::1] [fd00::11]", "virtual": "udp/[2001:db8::53]:53"},
        {"real_servers": "192.0.2.53:5353,forward=nat"},
        {"real_servers": "240.0.0.1"},
        {"min_up": "2"},
        {"min_up": "100%"},
    ],
)
def test_what_looks_odd_and_works(tmp_path: Path, params: dict[str, str]) -> None:
    agent(tmp_path, **params)


def test_all_errors_of_the_servers_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        agent(tmp_path, real_servers="0.0.0.0 224.0.0.1 192.0.2.53", sorry_server="10.0.0.9 10.0.0.9", quorum="4")
    assert raised.value.reason.count(";") == 4


def test_all_errors_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        agent(tmp_path, check="dns", check_timeout="5s", fall="0")
    assert raised.value.reason.count(";") == 2


def test_every_parameter_but_the_attribute_can_be_reloaded() -> None:
    assert [parameter.name for parameter in IpvsPool.parameters() if not parameter.reloadable] == [
        "attribute"
    ]
    assert IpvsPool.can_reload()


def test_a_check_that_is_switched_off_keeps_its_parameters(tmp_path: Path) -> None:
    check = agent(tmp_path, check="off", check_path="/health", check_name="a").spec().services[0].check
    assert (check.type, check["path"]) == ("off", "/health")


def test_a_service_by_mark_is_checked_at_the_usual_port(tmp_path: Path) -> None:
    check = agent(tmp_path, virtual="fwmark/7", check="http").spec().services[0].check
    assert (check.port_of(0), check.port_of(8080), check.replace(port=81).port_of(8080)) == (80, 8080, 81)


def test_no_message_and_no_log_shows_a_secret(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        agent(tmp_path, check_secret="hush\n" * 2 + "hush")
    assert "hush" not in raised.value.reason
    assert "hush" not in repr(agent(tmp_path, check="off", check_secret="hush").spec())


@pytest.mark.parametrize(
    ("params", "warning"),
    [
        ({"scheduler": "rrr"}, "rrr is not a scheduler that Linux has: did you mean rr?"),
        ({"scheduler": "x"}, "x is not a scheduler that Linux has: there are rr, wrr, lc,"),
        (
            {"scheduler": "rr", "real_servers": "10.0.0.1,weight=3 10.0.0.2,weight=0 10.0.0.3"},
            "the scheduler rr ignores weights, so weight=3 of 10.0.0.1 has no effect: wrr does",
        ),
        (
            {"scheduler": "lc", "real_servers": " ".join(f"10.0.0.{n},weight=2" for n in range(1, 8))},
            "weight=2 of 10.0.0.4 and 3 more has no effect: wlc does",
        ),
        ({"check_interval": "1000"}, "parameter check_interval: 1000 is 1000 s; write 1000ms for milliseconds, or 1000s"),
        ({"check_intervall": "1s"}, "ipvs-pool has no parameter check_intervall, which is ignored: did you mean check_interval?"),
    ],
)
def test_what_is_probably_not_meant(tmp_path: Path, params: dict[str, str], warning: str) -> None:
    (said,) = agent(tmp_path, **params).config_warnings()
    assert warning in said


def test_slow_start_without_weights(tmp_path: Path) -> None:
    params = {"slow_start": "10s", "real_servers": "10.0.0.1,weight=10"}
    assert agent(tmp_path, **params).config_warnings() == []
    assert "slow_start has no effect with scheduler=rr" in agent(tmp_path, scheduler="rr", **params).config_warnings()[1]


@pytest.mark.parametrize("scheduler", ["wlc", "wrr", "sed", "mh"])
def test_nothing_is_said_of_what_is_usual(tmp_path: Path, scheduler: str) -> None:
    pool = agent(
        tmp_path, scheduler=scheduler, scheduler_flags="flag-1", real_servers="10.0.0.1,weight=3", check_interval="60",
        persistence_timeout="600", drain_timeout="300",
    )  # fmt: skip
    assert pool.config_warnings() == []


@pytest.mark.parametrize(
    "params",
    [
        {"check": "tcp"},
        {"check": "", "virtual": f"{DNS} tcp/192.0.2.53:53"},
        {"check": "", "check_port": "8080"},
        {"check": "", "virtual": "fwmark/7", "check_port": "80"},
        {"check": "http", "check_headers": "@/etc/anycast/headers"},
        {"check": "http", "check_method": "POST", "check_request": "@/etc/anycast/body"},
        {"check": "http_proxy", "check_request": "@/etc/anycast/url", "check_expect": "x"},
        {"check": "ldap", "check_request": "@/etc/anycast/search"},
    ],
)
def test_checks_that_are_taken(tmp_path: Path, params: dict[str, str]) -> None:
    assert agent(tmp_path, **params).check_config() == []


SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "params",
    [
        {"check": "http", "check_headers": f"Authorization Bearer {SECRET}"},
        {"check": "http", "check_headers": f"Authorization: Bearer \\q{SECRET}"},
        {"check": "http", "check_headers": f"X: {SECRET}\x01"},
        {"check": "tcp", "check_request": f"AUTH {SECRET}\\"},
        {"check": "tcp", "check_request": f"AUTH {SECRET}\\x"},
        {"check": "http_proxy", "check_request": f"u:{SECRET}@example.com"},
        {"check": "sip", "check_request": f"{SECRET}@example.com"},
        {"check": "ldap", "check_request": f"dc=x??{SECRET}"},
        {"check": "ldap", "check_request": f"???(a={SECRET}"},
        {"check": "ldap", "check_request": f"???(a={SECRET})({SECRET})"},
        {"check": "ldap", "check_request": f"???(a={SECRET}%5cq)"},
        {"check": "ldap", "check_request": f"???({SECRET})"},
        {"check": "ldap", "check_request": f"a?b?c?d?{SECRET}"},
        {"check": "ldap", "check_request": f"%z{SECRET}"},
    ],
)
def test_what_may_be_secret_is_in_no_reason(tmp_path: Path, params: dict[str, str]) -> None:
    with pytest.raises(ConfigError) as raised:
        agent(tmp_path, **params)
    assert "check_" in raised.value.reason
    assert SECRET not in raised.value.reason
