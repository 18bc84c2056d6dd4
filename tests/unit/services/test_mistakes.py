"""What the catalogue's reader says of mistakes: the exact sentences, and all of them at once."""

from __future__ import annotations

import pytest
from ocfpy.services.check import check
from ocfpy.services.problems import CatalogueError

from tests.unit.services.catalogues import DNS


def said(text: str) -> list[str]:
    """The errors as LINE:COLUMN: MESSAGE."""
    try:
        errors = list(check(text).errors)
    except CatalogueError as error:
        errors = error.problems
    return [problem.text("").removeprefix(":") for problem in errors]


def dns(line: str) -> str:
    """The catalogue with another line in the service, which is line 8 then."""
    return f"{DNS}    {line}\n"


def web(*lines: str) -> str:
    """A service with these lines, the first of which is line 3."""
    return "\n".join(("services:", "  web:", *(f"    {line}" for line in lines))) + "\n"


WEB = ("addresses: [192.0.2.80]", "ports: [tcp/80]", "real_servers: [10.0.0.21]")


def test_a_catalogue_without_mistakes() -> None:
    assert said(DNS) == []
    assert said(web(*WEB)) == []
    assert said("services: {}") == []


SYNTAX = {
    "": ["1:1: the file has no keys: write services: and the services below it"],
    "- dns\n": ["1:1: the file has no keys: write services: and the services below it"],
    "services: [\n": ["2:1: the file is not YAML: did not find expected node content while parsing a flow node"],
    "services: *x\n": ["1:11: the file is not YAML: found undefined alias"],
    "services: !!python/object:os.system {}\n": [
        "1:11: the tag tag:yaml.org,2002:python/object:os.system is not used in a catalogue: remove it"
    ],
    "services: {}\nservices: {}\n": ["2:1: duplicate key services: it stands in line 1 already"],
    "services: {}\n? [a, b]\n: c\n": ["2:3: a key has to be a single word"],
    "services:\n": [],
    "defaults: {}\n": ["1:1: the key services is missing; `services: {}` is a catalogue without a service"],
    "services: {}\nservice: {}\n": ["2:1: unknown key service: did you mean services?"],
    "services: {}\nxyz: {}\n": ["2:1: unknown key xyz; the file has defaults, sync, services"],
    "services: {}\ndefaults: 3\n": ["2:1: defaults has to be keys with values, such as KEY: VALUE"],
    "services: {}\nsync:\n": ["2:1: sync is empty"],
}


@pytest.mark.parametrize("text", SYNTAX, ids=range(len(SYNTAX)))
def test_mistakes_of_syntax(text: str) -> None:
    assert [line.replace("found undefined alias 'x'", "found undefined alias") for line in said(text)] == SYNTAX[text]


LINES = {
    "chek: tcp": "8:5: unknown key chek in service dns: did you mean check?",
    "real-servers: [10.0.0.12]": "8:5: unknown key real-servers in service dns: did you mean real_servers?",
    "check: tcp": "8:5: duplicate key check: it stands in line 6 already",
    "fall: 0": "8:5: fall: '0' is less than 1",
    "fall: [1, 2]": "8:5: fall takes one value, not a list",
    "fall: {a: 1}": "8:5: fall takes one value, not keys with values",
    "fall:": "8:5: fall has no value: remove the key, or give it one",
    'fall: "3\\n"': "8:5: fall: '3\\n' has a line break or another unprintable character",
    "check_interval: 5000": "8:5: check_interval: '5000' is longer than 1h; write 5000ms for milliseconds",
    "check_timeout: 5x": "8:5: check_timeout: '5x' is not a time, such as 500ms, 2s or 1min",
    "scheduler_flags: [mh-fallback, mh-prt]": "8:5: scheduler_flags: 'mh-prt' is not a scheduler flag; there are "
    "flag-1, flag-2, flag-3, sh-fallback, sh-port, mh-fallback, mh-port",
    "ip: 192.0.2.53": "8:5: ip in service dns is made from addresses: remove it",
    "prefix: 192.0.2.53/32": "8:5: prefix in service dns is made from addresses: remove it",
    "min_peers: 2": "8:5: min_peers is a parameter of bgp-announce: write announce: {min_peers: ...}",
    "syncid: 2": "8:5: syncid is a parameter of ipvs-sync: write it in sync",
    "families: seperate": "8:5: families: 'seperate' is not one of together, apart",
    "active: two": "8:5: active: 'two' is not one of one, both",
    "prefer: lb1 lb2": "8:5: prefer: 'lb1 lb2' is not the name of a node",
    "announce: yes": "8:5: announce in service dns is none, or has parameters of bgp-announce: {min_peers: 2}",
    "announce: {min_peer: 2}": "8:16: unknown key min_peer in announce: did you mean min_peers?",
    "announce: {min_peers: -1}": "8:16: min_peers: '-1' is less than 0",
    "announce: {attribute: healthy-x}": "8:16: attribute in announce is that of the pool: write it in the service, "
    "or leave it out",
    "announce: {prefix: 192.0.2.53}": "8:16: prefix in announce is made from addresses: remove it",
    "operations: {ipvs-pol: {}}": "8:18: unknown agent ipvs-pol in operations: did you mean ipvs-pool?",
    "operations: {ipvs-pool: {begin: {timeout: 3s}}}": "8:30: unknown operation begin of ipvs-pool; it has start, stop, monitor, "
    "reload-agent",
    "operations: {ipvs-pool: {start: {timeout: 3y}}}": "8:38: timeout of start of ipvs-pool: '3y' is not a time, such as 500ms, "
    "2s or 1min",
    "operations: {ipvs-pool: {start: {interval: 3s}}}": "8:38: interval of start of ipvs-pool: only monitor has an interval",
    "operations: {ipvs-pool: {stop: {on-fail: explode}}}": "8:37: on-fail of stop of ipvs-pool: 'explode' is not one of ignore, "
    "block, stop, restart, standby, fence",
    "ipv6: {check_port: 53}": "8:12: service dns: check_port cannot differ between IPv4 and IPv6 in one pool: set families: "
    "apart",
    "ipv6: {chek_port: 53}": "8:12: unknown key chek_port in ipv6 in service dns: did you mean check_port?",
    "ipv6: {operations: {ipvs-pool: {start: {timeout: 90s}}}}": "8:45: service dns: timeout of start cannot differ between IPv4 "
    "and IPv6 in one pool: set families: apart",
    "ipv4: {announce: none}": "8:5: ipv4 in service dns: announce: none is for both address families",
    "<<: {fall: 2}": "8:5: merge keys (<<) are not supported: put what services share in defaults",
    "config: /etc/ldirectord.cf": "4:5: service dns: ports and config exclude each other",
    "scheduler: mh": "2:3: dns-pool: scheduler=mh drops the clients of a server at weight 0: add scheduler_flags=mh-fallback, or "
    "set quiesce=false",
}


@pytest.mark.parametrize("line", LINES)
def test_a_mistake_in_a_service(line: str) -> None:
    found = said(dns(line))
    assert LINES[line] in found
    if not line.startswith("config"):
        assert found == [LINES[line]]


SERVICES = {
    (): ["2:3: service web is empty"],
    WEB[:2]: ["2:3: web-pool: real_servers: required, but not set"],
    WEB[1:]: ["2:3: service web has no addresses: write addresses: [192.0.2.53]"],
    (WEB[0], WEB[2]): ["3:5: service web has no ports: write ports: [tcp/80]"],
    ("addresses: []", *WEB[1:]): ["3:5: service web has no addresses: write addresses: [192.0.2.53]"],
    ("addresses: [192.0.2.300]", *WEB[1:]): ["3:17: addresses: '192.0.2.300' is not an IP address"],
    ("addresses: [127.0.0.1]", *WEB[1:]): [
        "3:17: addresses: 127.0.0.1 is a loopback address, which cannot be the address of a service"
    ],
    ("addresses: [192.0.2.0/24]", *WEB[1:]): [
        "3:17: addresses: 192.0.2.0/24 is a network: leave the length out, or set announce: none"
    ],
    ("addresses: [192.0.2.80, 192.0.2.80]", *WEB[1:]): [
        "3:29: addresses: 192.0.2.80 is an address of this service, line 3 already"
    ],
    ('addresses: ["192.0.2.80 192.0.2.81"]', *WEB[1:]): [
        "3:17: addresses: '192.0.2.80 192.0.2.81' is more than one item of the list"
    ],
    ("addresses: [2001:db8:: ]", *WEB[1:]): [
        "3:17: addresses: each item of the list is one value: write an IPv6 address in quotes"
    ],
    (WEB[0], "ports: [80]", WEB[2]): ["4:13: ports: '80' has no protocol: write tcp/80 or udp/80"],
    (WEB[0], "ports: [tcp/http]", WEB[2]): ["4:13: ports: 'tcp/http': the port must be 1 to 65535"],
    (WEB[0], "ports: [http/80]", WEB[2]): ["4:13: ports: 'http/80' is not a port such as tcp/80; protocols are tcp, udp, sctp"],
    (WEB[0], "ports: [tcp/80, tcp/80]", WEB[2]): ["4:21: ports: tcp/80 stands there twice"],
    (WEB[0], WEB[1], "real_servers: [www.example.com]"): [
        "5:5: real_servers: 'www.example.com' is not an address; host names are not resolved"
    ],
    (WEB[0], WEB[1], 'real_servers: ["2001:db8::1"]'): [
        "2:3: web-pool: real server [2001:db8::1] has no virtual service of its address family",
        "2:3: web-pool: tcp/192.0.2.80:80 has no real server of its address family, IPv4",
    ],
    (*WEB, "ipv6: {check_port: 8080}"): ["6:12: service web: it has no IPv6 address, but settings for IPv6"],
    (*WEB, "active: both", "prefer: lb1"): [
        "7:5: service web: prefer is for active: one; with active: both every node has the service"
    ],
    (*WEB, "active: both", "announce: none"): [
        "2:3: service web: active: both needs an announcement; with announce: none set active: one"
    ],
    (*WEB, "gate: any", "announce: none"): [
        "6:5: gate is a parameter of anycast-vip, which a service with announce: none does not have"
    ],
}  # fmt: skip


@pytest.mark.parametrize("lines", SERVICES, ids=range(len(SERVICES)))
def test_mistakes_of_a_service(lines: tuple[str, ...]) -> None:
    text = web(*lines) if lines else "services:\n  web:\n"
    assert said(text) == SERVICES[lines]


def test_an_alias_to_itself() -> None:
    assert "8:22: an alias refers to the value that it stands in" in said(dns("scheduler_flags: &a [*a]"))


def test_services_that_cannot_be_beside_each_other() -> None:
    other = DNS.replace("services:\n  dns:", "  web:").replace("192.0.2.53", "192.0.2.54").replace("53::53", "53::54")
    assert said(DNS + other) == []
    assert said(DNS + other.replace("192.0.2.54", "192.0.2.53")) == [
        "9:17: addresses: 192.0.2.53 is an address of service dns, line 3 already"
    ]
    assert said(f"{DNS}{other}    attribute: healthy-dns-pool\n") == [
        "14:5: attribute: service dns has healthy-dns-pool already"
    ]
    assert said(f"{DNS}{other.replace('ports: [udp/53, tcp/53]', 'virtual: [udp/192.0.2.53:53]')}") == [
        "10:5: virtual: service dns has udp/192.0.2.53:53 already"
    ]


@pytest.mark.parametrize("name", ["2dns", "dns/1", "-dns", "a b", ""])
def test_names_that_make_no_ids(name: str) -> None:
    text = DNS.replace("  dns:", f'  "{name}":')
    assert said(text) == [
        f"2:3: service name '{name}': a name is a letter, followed by letters, digits, dots, hyphens and underscores"
    ]


def test_names_that_are_taken_or_too_long() -> None:
    assert said(DNS.replace("  dns:", "  catalogue:")) == [
        "2:3: service name 'catalogue' begins with catalogue, as ids that services share do"
    ]
    (long,) = said(DNS.replace("  dns:", f"  {'d' * 65}:"))
    assert long.endswith("... is longer than 64 characters".replace("... ", "...' "))


def test_mistakes_in_defaults_are_said_once() -> None:
    other = DNS.replace("services:\n  dns:", "  web:").replace("192.0.2.53", "192.0.2.54").replace("53::53", "53::54")
    text = f"defaults: {{check_interval: 1x, attribute: a, ports: [tcp/1], prefix: x}}\n{DNS}{other}"
    assert said(text) == [
        "1:12: check_interval: '1x' is not a time, such as 500ms, 2s or 1min",
        "1:32: attribute cannot be a default: it is of one service",
        "1:46: ports cannot be a default: write it in each service",
        "1:62: prefix in defaults is made from addresses: remove it",
    ]


def test_mistakes_of_all_kinds_at_once() -> None:
    text = f"""
defaults: {{chek: dns}}
sync: {{nic: eth0, syncid: 530, ncast: 1, mcast_grup: 224.0.0.1}}
{DNS}    fall: 0
    announce: {{min_peers: none}}
""".lstrip()
    assert said(text) == [
        "1:12: unknown key chek in defaults: did you mean check?",
        "2:19: syncid: '530' is more than 255",
        "2:32: unknown key ncast in sync; it has the parameters of ipvs-sync: nic, syncid, mcast_group, mcast_port, mcast_ttl, "
        "maxlen",
        "2:42: unknown key mcast_grup in sync: did you mean mcast_group?",
        "10:5: fall: '0' is less than 1",
        "11:16: min_peers: 'none' is not a whole number",
    ]


def test_a_file_that_is_too_large_or_too_deep() -> None:
    assert said("#" * (4 * 1024 * 1024 + 1)) == [" the file is larger than 4 MiB"]
    (deep,) = said("services: " + "[" * 5000)
    assert "not YAML" in deep or "nested too deeply" in deep
