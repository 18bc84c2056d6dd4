"""What a file means: services as ipvsadm would put them into the kernel, checks, fallbacks."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from ocfpy.checks.expect import unescape
from ocfpy.checks.registry import TYPES
from ocfpy.checks.settings import CheckSettings
from ocfpy.ldirectord.parser import parse
from ocfpy.ldirectord.translate import MAX_RANGE, MAX_SERVERS, Translation, translate
from ocfpy.ocf.addresses import Address, parse_address
from ocfpy.pool.spec import ServiceSpec

HOSTS = {("web1", 4): "10.0.0.1", ("web3", 4): "10.0.0.3", ("web1", 6): "fd00::1", ("vip", 4): "192.0.2.1"}
PORTS = {("http", ""): 80, ("http", "tcp"): 80, ("domain", "udp"): 53, ("domain", "tcp"): 53}
HEAD = "virtual=192.0.2.1:80\n"


class KnownNames:
    node = "lb1"

    def host(self, name: str, family: int) -> Address | None:
        text = HOSTS.get((name, family), name.strip("[]"))
        try:
            address = parse_address(text)
        except ValueError:
            return None
        return address if address.family == family else None

    def port(self, name: str, protocol: str) -> int | None:
        return int(name) if name.isdigit() and int(name) < 65536 else PORTS.get((name, protocol))


def meaning(text: str) -> Translation:
    parsed = parse(text)
    assert parsed.faults == []
    return translate(parsed.config, KnownNames())


def service(*lines: str, head: str = HEAD, above: str = "") -> ServiceSpec:
    result = meaning(above + head + "".join(f"    {line}\n" for line in lines))
    assert result.faults == result.unresolved == []
    return result.services[-1]


def reals(*lines: str, head: str = HEAD) -> list[tuple[str, str, int, int, int]]:
    return [
        (str(real), real.forward, real.weight, real.lower, real.upper)
        for real in service(*lines, "checktype=on", head=head).reals.values()
    ]


def check(*lines: str, head: str = HEAD, above: str = "", real: str = "real=10.0.0.1 gate") -> CheckSettings:
    return service(real, *lines, head=head, above=above).check


def test_real_servers() -> None:
    assert reals("real=10.0.0.1:80 gate", "real=web3:http ipip 5", "real=10.0.0.4:8080 masq 0 l:3 u:7") == [
        ("10.0.0.1:80", "dr", 1, 0, 0),
        ("10.0.0.3:80", "tunnel", 5, 0, 0),
        ("10.0.0.4:8080", "nat", 0, 3, 7),
    ]
    # ipvsadm gives those that cannot have another port the one of the service.
    assert reals("real=10.0.0.1:8080 gate", "real=10.0.0.2 gate", "real=10.0.0.3 masq") == [
        ("10.0.0.1:80", "dr", 1, 0, 0),
        ("10.0.0.2:80", "dr", 1, 0, 0),
        ("10.0.0.3", "nat", 1, 0, 0),
    ]
    assert reals("real=10.0.0.1:8080 gate", "real=10.0.0.2 gate", head="virtual=7\n") == [
        ("10.0.0.1:8080", "dr", 1, 0, 0),
        ("10.0.0.2", "dr", 1, 0, 0),
    ]
    assert [text for text, *_ in reals("real=web1->web3:80 masq")] == ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]
    assert reals("real6=web1 gate 2", head="virtual6=[2001:db8::1]:80\n") == [("[fd00::1]:80", "dr", 2, 0, 0)]


@pytest.mark.parametrize(
    ("head", "virtual"),
    [
        ("virtual=192.0.2.1:80\n", "tcp/192.0.2.1:80"),
        ("virtual=vip:http\n", "tcp/192.0.2.1:80"),
        ("virtual=192.0.2.1:53\n", "udp/192.0.2.1:53"),
        ("virtual=192.0.2.1:domain\n", "udp/192.0.2.1:53"),
        ("virtual=192.0.2.1:53\n    protocol=tcp\n", "tcp/192.0.2.1:53"),
        ("virtual6=[2001:db8::1]:80\n", "tcp/[2001:db8::1]:80"),
        ("virtual=7\n", "fwmark/7"),
        ("virtual6=7\n", "fwmark6/7"),
    ],
)
def test_virtual_services(head: str, virtual: str) -> None:
    assert str(service("checktype=on", head=head).virtual) == virtual


def test_settings() -> None:
    settings = service("checktype=on").settings
    assert (settings.scheduler, settings.flags, settings.persistence_timeout, settings.one_packet) == ("wrr", (), 0, False)
    settings = service(
        "scheduler=sh", "schedflags=sh-port,sh-fallback", "persistent=60", "netmask=255.255.255.0", "checktype=on"
    ).settings
    assert (settings.scheduler, settings.flags, settings.persistence_timeout, settings.netmask) == (
        "sh", ("flag-1", "flag-2"), 60, 24,
    )  # fmt: skip
    assert service("ops=yes", "protocol=udp", "checktype=on").settings.one_packet
    assert service("persistent=60", "netmask=64", "checktype=on", head="virtual6=[::2]:80\n").settings.netmask == 64


def test_what_has_no_effect_in_ldirectord_either_is_said() -> None:
    lines = ["ops=yes", "netmask=255.255.255.0", "checkinterval=3", "checktype=on"]
    result = meaning(HEAD + "".join(f"    {line}\n" for line in lines))
    assert sorted(note.line for note in result.warnings) == [2, 3, 4]
    (spec,) = result.services
    assert (spec.settings.one_packet, spec.settings.netmask, spec.check.interval) == (False, None, 2.0)


@pytest.mark.parametrize(
    ("scheduler", "words"),
    [
        ("rrr", "rrr is not a scheduler that Linux has: did you mean rr?"),
        ("rr", "the scheduler rr ignores weights, so weight=5 of 10.0.0.1:80 has no effect: wrr does"),
        ("wrr", ""),
    ],
)
def test_a_scheduler_that_is_probably_not_meant(scheduler: str, words: str) -> None:
    result = meaning(f"virtual=192.0.2.1:80\n    real=10.0.0.1:80 gate 5\n    scheduler={scheduler}\n    checktype=on\n")
    assert [(note.line, note.text) for note in result.warnings] == ([(3, words)] if words else [])


def test_quiescent_and_fallback() -> None:
    plain = service("checktype=on")
    assert (plain.quiesce, plain.sorry, plain.fallback_command, plain.readd) == (False, {}, "", False)
    above = "quiescent=yes\nreaddquiescent=yes\nfallback=127.0.0.1:8080 masq\nfallbackcommand=/bin/down\n"
    common = service("checktype=on", above=above)
    assert (common.quiesce, common.readd, common.fallback_command) == (True, True, "/bin/down")
    assert [(str(real), real.forward) for real in common.sorry.values()] == [("127.0.0.1:8080", "nat")]
    own = service("checktype=on", "quiescent=no", "fallback=10.0.0.9", "fallbackcommand=/bin/own", above=above)
    assert (own.quiesce, own.fallback_command) == (False, "/bin/own")
    assert [(str(real), real.forward) for real in own.sorry.values()] == [("10.0.0.9:80", "dr")]
    six = service("checktype=on", head="virtual6=[::2]:80\n", above="fallback=127.0.0.1\nfallback6=[::1] gate\n")
    assert list(map(str, six.sorry.values())) == ["[::1]:80"]
    mark = service("checktype=on", head="virtual=7\n", above="fallback=127.0.0.1:80\n")
    assert list(map(str, mark.sorry.values())) == ["127.0.0.1:80"]


@pytest.mark.parametrize(
    ("above", "lines", "connect", "negotiate"),
    [
        ("", [], 5, 30),
        ("checktimeout=3\n", [], 3, 3),
        ("negotiatetimeout=7\n", [], 7, 7),
        ("checktimeout=3\nnegotiatetimeout=7\n", [], 3, 7),
        ("checktimeout=3\nnegotiatetimeout=7\n", ["checktimeout=4"], 4, 4),
        ("checktimeout=3\nnegotiatetimeout=7\n", ["negotiatetimeout=4"], 4, 4),
        ("checktimeout=3\n", ["checktimeout=4", "negotiatetimeout=5"], 4, 5),
    ],
)
def test_each_timeout_stands_in_for_the_other(above: str, lines: list[str], connect: int, negotiate: int) -> None:
    assert check("checktype=connect", *lines, above=above).timeout == connect
    assert check("checktype=negotiate", *lines, above=above).timeout == negotiate


def test_interval_and_failures() -> None:
    assert (check().interval, check().rise, check().fall) == (10, 1, 1)
    above = "checkinterval=2\nfailurecount=3\n"
    assert (check(above=above).interval, check(above=above).fall) == (2, 3)
    lines = "checkinterval=5", "failurecount=4"
    assert (check(*lines, above=above).interval, check(*lines, above=above).fall) == (2, 4)
    assert check(*lines, above=f"{above}fork=yes\n").interval == 5


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (["checktype=on"], "on"),
        (["checktype=off"], "off"),
        (["checktype=connect"], "tcp"),
        (["service=none"], "on"),
        (["service=http"], "http"),
        (["service=https"], "https"),
        ([], "http"),
        (["service=simpletcp", 'request="x"', "checkport=7"], "tcp"),
    ],
)
def test_types(lines: list[str], kind: str) -> None:
    assert check(*lines).type == kind


def test_http() -> None:
    plain = check()
    assert (plain["path"], plain["method"], plain["status"], plain["expect"], plain["host"]) == ("/", "GET", "200-399", "", "")
    full = check('request="a b?c=d"', 'receive="^ok"', "virtualhost=www.example.com", "httpmethod=HEAD")
    assert (full["path"], full["method"], full["status"]) == ("/a%20b?c=d", "HEAD", "200-299")
    assert (full["expect"], full["host"]) == ("re:(?a-m:^ok)", "www.example.com")


@pytest.mark.parametrize(("kind", "verified"), [("https", False), ("ldaps", False), ("imaps", True), ("pops", True)])
def test_a_certificate_is_verified_where_ldirectord_does(kind: str, verified: bool) -> None:
    assert check(f"service={kind}").flag("tls_verify") is verified


def test_requests_of_single_servers() -> None:
    spec = service(
        'request="all"', 'receive="fine"', "real=10.0.0.1 gate", 'real=10.0.0.2 gate 1 "own", "good"',
        'real=10.0.0.3 gate "http://10.0.0.3:80/x?y", ""', "real=10.0.0.4 gate",
    )  # fmt: skip
    assert (spec.check["path"], spec.check["expect"]) == ("/all", "re:(?a-m:fine)")
    assert [(str(address), own["path"], own["expect"]) for (address, _), own in spec.checks.items()] == [
        ("10.0.0.2", "/own", "re:(?a-m:good)"),
        ("10.0.0.3", "/x?y", ""),
    ]


def test_the_port_that_is_checked() -> None:
    assert check().port == 0
    assert check("checkport=8080").port == 8080
    assert check(real="real=10.0.0.1:8080 gate").port == 8080  # though traffic goes to 80
    assert check("checktype=connect", "service=https", head="virtual=7\n").port == 443
    assert check("checktype=connect", head="virtual=7\n", real="real=10.0.0.1:25 gate").port == 0


def test_dns() -> None:
    lines = 'request="www.example.com"', 'receive="192\\.0\\.2\\.7"'
    asked = check(*lines, head="virtual=192.0.2.1:53\n")
    assert (asked.type, asked["name"], asked["rdtype"], asked["transport"]) == ("dns", "www.example.com", "A", "udp")
    reverse = check('request="192.0.2.7"', 'receive="www"', head="virtual=192.0.2.1:53\n")
    assert (reverse["name"], reverse["rdtype"]) == ("7.2.0.192.in-addr.arpa", "PTR")
    assert check('request="::1"', 'receive="x"', head="virtual=192.0.2.1:53\n")["name"].endswith("0.0.ip6.arpa")
    assert check(*lines, "protocol=tcp", head="virtual=192.0.2.1:53\n")["transport"] == "tcp"


@pytest.mark.parametrize("kind", ["mysql", "pgsql"])
def test_a_backslash_in_a_query_reaches_the_database(kind: str) -> None:
    query = r"SELECT 1 FROM t WHERE name LIKE 'a\_b\\n'"
    asked = check(f"service={kind}", 'login="me"', f'request="{query}"')
    assert unescape(asked["request"]).decode() == query


def test_of_escapes_ldirectord_knows_the_line_break_only() -> None:
    asked = check("service=simpletcp", r'request="a\nb\tc"', "checkport=7")
    assert unescape(asked["request"]) == b"a\nb\\tc"


def test_combined() -> None:
    combined = check("checktype=5")
    assert (combined.type, combined.connects) == ("http", 5)
    assert check("checktype=0").connects == 0


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 0, "no virtual service"),
        (f"{HEAD}    checktype=on\n\n{HEAD}    checktype=on\n", 4, "the same virtual service as on line 1"),
        (f"{HEAD}    real=10.0.0.1 gate\n    real=10.0.0.1:81 gate\n", 3, "already on line 2"),
        (f"{HEAD}    real=10.0.0.9->10.0.0.1 gate\n", 2, "is not a range"),
        (f"{HEAD}    real=10.0.0.0->10.1.0.0 gate\n", 2, "is not a range"),
        (f"{HEAD}    real=10.0.0.1:nope gate\n", 2, "is not a port"),
        (f"{HEAD}    real=10.0.0.1:70000 gate\n", 2, "is not a port"),
        ("virtual=192.0.2.1:nope\n", 1, "is not a port of tcp"),
        ("virtual=192.0.2.1:0\n    checktype=on\n", 1, "needs persistent"),
        (f"{HEAD}    netmask=255.0.255.0\n    persistent=5\n", 2, "is not a netmask"),
        (f"{HEAD}    schedflags=nope\n", 2, "not a scheduler flag"),
        (f"{HEAD}    real=10.0.0.1 gate l:5 u:3\n", 2, "lower=5 is above upper=3"),
        ("virtual=7\n    checktype=connect\n    real=10.0.0.1 gate\n", 3, "set checkport"),
        ("virtual=192.0.2.1:53\n    real=10.0.0.1 gate\n", 2, "needs request and receive"),
        (f"{HEAD}    protocol=udp\n    ops=yes\n    checktype=on\n    real=10.0.0.1 masq\n", 5, "forward=nat does not work"),
        ("virtual=192.0.2.1:1521\n    real=10.0.0.1 gate\n", 2, "service=oracle is refused"),
        (f'{HEAD}    real=10.0.0.1 gate "http://10.0.0.2/", "x"\n', 2, "for another server than 10.0.0.1"),
        ("virtual6=[::2]:80\n    real6=[::1]->[::3] gate\n", 2, "range of IPv6"),
    ],
)
def test_faults(text: str, line: int, said: str) -> None:
    (fault,) = meaning(text).faults
    assert fault.line == line
    assert said in fault.text


def test_unknown_names_may_be_known_later() -> None:
    result = meaning(f"fallback=sorry\n{HEAD}    real=web9:80 gate\n    checktype=on\nvirtual=nobody:80\n")
    assert [note.line for note in result.unresolved] == [3, 1, 5, 1]
    assert result.faults == []


def test_all_types_exist() -> None:
    assert {"on", "off", "tcp", "http", "https", "dns"} <= set(TYPES)


def test_ranges_do_not_write_more_servers_than_the_maximum() -> None:
    lines = "".join(f"\treal=10.{number}.0.0->10.{number}.15.255:80 masq\n" for number in range(200))
    begun = time.thread_time()
    tracemalloc.start()
    try:
        translated = meaning("virtual=192.0.2.80:80\n" + lines + "virtual=192.0.2.81:80\n" + lines)
        memory = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert list(map(str, translated.faults)) == [
        f"line 6: the file has more than {MAX_SERVERS} real servers, which is the maximum"
    ]
    assert memory < 64 << 20  # 200 such lines alone were 1.4 GiB in two sections
    assert time.thread_time() - begun < 30
    assert MAX_SERVERS == 4 * MAX_RANGE
