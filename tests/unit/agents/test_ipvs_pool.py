"""The agent around the health daemon: its parameters, and what it makes of the daemon's answers."""

from __future__ import annotations

import fcntl
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable

import pytest
from ocfpy import __version__
from ocfpy.agents import ipvs_pool
from ocfpy.agents.ipvs_pool import IpvsPool
from ocfpy.health import control
from ocfpy.health.checks.registry import TYPES
from ocfpy.health.marks import Marks
from ocfpy.health.spec import read_spec
from ocfpy.ipvs.model import VirtualService, parse_virtual
from ocfpy.ipvs.proc import ProcService
from ocfpy.ocf import dispatch
from ocfpy.ocf.context import Context
from ocfpy.ocf.errors import ConfigError, DeadlineError, HostError, NotInstalledError, ServiceError

DNS = "udp/192.0.2.53:53"
LIMIT_S = 20
MINIMUM = {"virtual": DNS, "real_servers": "10.0.0.11 10.0.0.12"}


def environ(rundir: Path, params: Mapping[str, str], **more: str) -> dict[str, str]:
    return {
        "OCF_RESOURCE_INSTANCE": "dns:1",
        "OCF_RESOURCE_PROVIDER": "anycast",
        "HA_RSCTMP": str(rundir),
        "HA_LOGFACILITY": "none",
        **{f"OCF_RESKEY_{name}": value for name, value in params.items()},
        **more,
    }


def agent(rundir: Path, **params: str) -> IpvsPool:
    context = Context(["ipvs-pool", "monitor"], environ(rundir, {**MINIMUM, **params}), "ipvs-pool")
    return IpvsPool(context, lenient=False)


@contextmanager
def daemon_that_says(pool: IpvsPool, *answers: str) -> Iterator[list[str]]:
    """Answers one question after the other; yields the questions."""
    Path(pool.context.rundir).mkdir(exist_ok=True)
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(pool.paths.socket)
        server.listen()
        server.settimeout(LIMIT_S)

        def serve() -> None:
            for answer in answers:
                connection, _ = server.accept()
                with connection:
                    heard.append(connection.recv(100).decode().strip())
                    connection.sendall(f"{answer}\n".encode())

        thread = threading.Thread(target=serve)
        thread.start()
        yield heard
        thread.join(LIMIT_S)


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
        check_method="HEAD",
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
    assert (check["host"], check["path"], check["method"]) == ("www.example.com:80", "/health?deep=1", "HEAD")
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
        ({"real_servers": "web1:80"}, "host names are not looked up"),
        ({"virtual": f"{DNS} {DNS}"}, f"{DNS} is given twice"),
        ({"real_servers": "10.0.0.11 10.0.0.11:53"}, "10.0.0.11:53 is given twice"),
        ({"real_servers": "10.0.0.11:80"}, "real server 10.0.0.11:80: forward=dr"),
        ({"real_servers": "[fd00::11]"}, "has no real server of its address family"),
        ({"real_servers": "10.0.0.11 [fd00::11]"}, "real server [fd00::11] has no virtual service"),
        ({"virtual": "fwmark/7"}, "which port of 10.0.0.11 is to be checked? set check_port"),
        ({"virtual": "tcp/192.0.2.53:0"}, "needs a persistence_timeout"),
        ({"check": "nonsense"}, "not one of off, on, tcp, udp, ping, http, https"),
        ({"check_path": "/status"}, "check_path means nothing to check=tcp, only to http, https"),
        ({"check": "http", "check_ca": "/ca"}, "check_ca means nothing to check=http"),
        ({"check": "https", "check_key": "/key"}, "check_key needs check_cert"),
        ({"check": "http_proxy"}, "check=http_proxy needs check_request"),
        ({"check": "http_proxy", "check_request": "www.example.com"}, "is neither a URL"),
        ({"check": "external", "check_command": "check.sh"}, "has to begin with an absolute path"),
        ({"check": "http", "check_headers": "no colon"}, "is not a header line"),
        ({"check": "dns", "check_name": "a", "check_rcode": "NXDOMAIN NO"}, "'NO' is not one of NOERROR"),
        ({"check_request": "\\q"}, "is not one of"),
        ({"check": "dns"}, "check=dns needs check_name"),
        ({"check": "http", "check_path": "status"}, "has to start with /"),
        ({"check": "http", "check_path": "/a b"}, "without blanks"),
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
        ({"check_name": f"a.{'b' * 64}"}, "has a label of 64 characters, and 63 are allowed"),
        ({"check_name": "a." * 126 + "bc"}, "has 254 characters, and 253 are allowed"),
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
        ({"attribute": "a b"}, "parameter attribute"),
        ({"min_up": "half"}, "parameter min_up"),
        ({"quorum": "0"}, "parameter quorum"),
        ({"quorum": "3"}, "its quorum takes 3 servers, and it has 2"),
        ({"quorum": "2", "quorum_up": "1"}, "quorum_up (1 servers) is less than quorum (2)"),
        ({"sorry_server": "10.0.0.12"}, "sorry_server 10.0.0.12:53 is one of its real servers"),
        ({"sorry_server": "10.0.0.99,weight=0"}, "has weight 0, and never gets a client"),
        ({"sorry_server": "10.0.0.99:5353"}, "forward=nat changes it"),
        ({"sorry_server": "[fd00::99]"}, "sorry_server [fd00::99] has no virtual service of its address family"),
        ({"sorry_server": "10.0.0.99 10.0.0.99"}, "udp/192.0.2.53:53: sorry_server 10.0.0.99:53 is given twice"),
        ({"sorry_server": "10.0.0.99 10.0.0.99:53"}, "sorry_server 10.0.0.99:53 is given twice"),
        ({"sorry_server": "0.0.0.0"}, "sorry_server 0.0.0.0:53: 0.0.0.0 is an unspecified address"),
        ({"sorry_server": "192.0.2.53"}, "would lead back to it: this node is 127.0.0.1"),
        ({"min_up": "3"}, "min_up keeps 3 servers in service, and it has 2"),
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
        ({"sorry_server": "10.0.0.99", "min_up": "1"}, "never gets a client: use one"),
        ({"slow_start": "30s"}, "weight 1 of 10.0.0.11 has no room for steps, write weight=10 or more"),
        ({"check_via": "vip", "check": "udp"}, "check_via=vip: check=udp needs check_expect"),
        ({"check_via": "vip", "check": "ping"}, "check_via means nothing to check=ping"),
        ({"check_via": "vip", "virtual": "fwmark/7", "check_port": "80"}, "check_via=vip: fwmark/7 has no address to go to"),
        (
            {"check_via": "vip", "real_servers": "[fd00::11],forward=tunnel", "check_bind": "2001:db8::1"},
            "check_via=vip: [fd00::11]:53 is of another address family",
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


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        ("running", "running", ""),
        ("degraded no backend is alive: why", "degraded", "no backend is alive: why"),
        ("failed cannot edit", "failed", "cannot edit"),
        ("starting", "failed", "the health daemon has no verdict on every real server yet"),
    ],
)
def test_what_the_daemon_says_is_the_status(tmp_path: Path, answer: str, kind: str, reason: str) -> None:
    pool = agent(tmp_path)
    with daemon_that_says(pool, answer) as heard:
        status = pool.observe(pool.claim())
    assert (status.kind, status.reason) == (kind, reason)
    assert heard == ["monitor"]


def test_a_daemon_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipvs_pool, "MONITOR_TIMEOUT_S", 0.1)
    pool = agent(tmp_path)
    with daemon_that_says(pool):
        status = pool.observe(pool.claim())
    assert (status.kind, status.reason) == ("failed", "the health daemon does not answer within 0.1 s")


def test_a_daemon_that_hangs_is_said_within_a_short_timeout(tmp_path: Path) -> None:
    pool = agent(tmp_path, CRM_meta_timeout="2000")
    with daemon_that_says(pool):
        status = pool.observe(pool.claim())
    assert status.kind == "failed"
    assert status.reason.startswith("the health daemon does not answer within 0."), status


def lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spawn: Callable[[], None]) -> IpvsPool:
    """A pool whose daemon is gone, as a monitor meets it; spawn() is what starting another one does."""
    monkeypatch.setattr(ipvs_pool, "read_proc", lambda only: {parse_virtual(DNS): ProcService("wlc", {})})
    monkeypatch.setattr(control, "spawn", lambda *_: spawn())
    context = Context(
        ["ipvs-pool", "monitor"], environ(tmp_path, MINIMUM, OCF_RESKEY_CRM_meta_interval="10000"), "ipvs-pool"
    )
    context.state.write({"virtual": DNS, "attribute": "healthy-dns"})
    return IpvsPool(context)


def test_a_daemon_that_is_gone_is_replaced_by_a_monitor_but_not_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawned: list[bool] = []
    pool = lost(tmp_path, monkeypatch, lambda: spawned.append(True))
    status = pool.observe(pool.claim())
    assert (status.kind, status.reason) == ("degraded", "the health daemon is gone: another one has taken its place")
    with daemon_that_says(pool, "starting"):
        assert pool.observe(pool.claim()).kind == "degraded"
    assert pool.observe(pool.claim()).kind == "failed"
    record = pool.context.state.read() or {}
    pool.context.state.write({**record, "replaced": repr(time.monotonic() - ipvs_pool.LAST_S)})
    assert pool.observe(pool.claim()).kind == "degraded"
    assert spawned == [True, True]
    assert (pool.context.state.read() or {})["virtual"] == DNS


def test_one_that_is_lost_is_replaced_by_one_that_does_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = lost(tmp_path, monkeypatch, lambda: None)
    told: list[str] = []
    monkeypatch.setattr(control, "spawn", lambda _, spec, __: told.extend(map(str, spec.virtual)))
    in_force = pool.spec().replace(services=(pool.services()[0].replace(virtual=parse_virtual("udp/192.0.2.99:53")),))
    in_force.write(pool.paths.spec)  # before somebody edited the file that config names
    assert pool.observe(pool.claim()).kind == "degraded"
    assert told == ["udp/192.0.2.99:53"]


def test_one_that_does_not_start_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spawn() -> None:
        raise ServiceError("the table is full")

    pool = lost(tmp_path, monkeypatch, spawn)
    status = pool.observe(pool.claim())
    assert status.kind == "failed"
    assert status.reason.endswith(", and another one does not start: the table is full")


def test_one_that_takes_longer_than_a_monitor_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spawn() -> None:
        raise DeadlineError("timed out waiting for the first verdict")

    pool = lost(tmp_path, monkeypatch, spawn)
    assert pool.observe(pool.claim()).kind == "degraded"


@pytest.mark.parametrize(
    ("recorded", "in_kernel", "kind"),
    [
        (False, None, "stopped"),
        (False, [DNS], "stopped"),  # ldirectord's, perhaps
        (True, None, "stopped"),
        (True, [], "stopped"),
        (True, ["tcp/192.0.2.99:99"], "stopped"),
        (True, [DNS], "failed"),
    ],
)
def test_without_a_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: bool, in_kernel: list[str] | None, kind: str
) -> None:
    def read_proc(only: Any) -> dict[VirtualService, ProcService]:
        if in_kernel is None:
            raise FileNotFoundError
        return {virtual: ProcService("wlc", {}) for virtual in map(parse_virtual, in_kernel) if only(virtual)}

    monkeypatch.setattr(ipvs_pool, "read_proc", read_proc)
    pool = agent(tmp_path)
    if recorded:
        pool.context.state.write(pool.claim())
    assert pool.observe(pool.claim()).kind == kind


def test_a_daemon_that_does_not_listen_yet_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a start leaves it that is killed a moment after it has started the daemon."""
    monkeypatch.setattr(ipvs_pool, "read_proc", lambda only: {})
    pool = agent(tmp_path)
    pool.context.state.write(pool.claim())
    with open(pool.paths.lock, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        status = pool.observe(pool.claim())
        assert (status.kind, status.reason) == ("failed", "the health daemon is there, but does not listen yet")
        pool.context.state.write({**pool.claim(), "replaced": repr(time.monotonic())})
        assert pool.observe(pool.claim()).kind == "degraded"
    assert pool.observe(pool.claim()).kind == "stopped"


def test_a_module_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TYPES["dns"], "needs", ("no_such_module", "python3-dnspython"))
    control.require_module("tcp")
    with pytest.raises(NotInstalledError, match="install package python3-dnspython"):
        control.require_module("dns")


def test_a_virtual_service_belongs_to_one_pool(tmp_path: Path) -> None:
    pool = agent(tmp_path)
    other = Context(["ipvs-pool", "start"], environ(tmp_path, {}, OCF_RESOURCE_INSTANCE="web"), "ipvs-pool")
    other.state.write({"virtual": "tcp/192.0.2.1:80"})
    pool.check_claim(pool.claim())
    other.state.write({"virtual": f"tcp/192.0.2.1:80 {DNS}"})
    with pytest.raises(HostError, match=f"resource web already has {DNS}"):
        pool.check_claim(pool.claim())


def test_two_pools_do_not_share_an_attribute(tmp_path: Path) -> None:
    pool = agent(tmp_path, attribute="healthy-web")
    other = Context(["ipvs-pool", "start"], environ(tmp_path, {}, OCF_RESOURCE_INSTANCE="web"), "ipvs-pool")
    other.state.write({"virtual": "tcp/192.0.2.1:80", "attribute": "healthy-web"})
    with pytest.raises(HostError, match="resource web already has the node attribute healthy-web"):
        pool.check_claim(pool.claim())


def test_stop_without_a_daemon_removes_what_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleaned: list[tuple[list[str], str]] = []
    monkeypatch.setattr(
        control,
        "clean_up",
        lambda virtual, attribute, *_: cleaned.append((list(map(str, virtual)), attribute)),
    )
    context = Context(["ipvs-pool", "stop"], environ(tmp_path, {}), "ipvs-pool")
    context.state.write({"virtual": f"{DNS} fwmark6/7", "attribute": "healthy-dns"})
    code = dispatch.main(IpvsPool, ["ipvs-pool", "stop"], environ(tmp_path, {"virtual": "nonsense"}))
    assert code == 0
    assert cleaned == [([DNS, "fwmark6/7"], "healthy-dns")]
    assert not list(Path(context.rundir).iterdir())
    context.state.write({"virtual": DNS, "attribute": "healthy-dns"})  # of a reload-agent that was killed right away
    pool = agent(tmp_path, virtual=f"{DNS} tcp/192.0.2.53:53")
    pool.spec().write(pool.paths.spec)
    assert dispatch.main(IpvsPool, ["ipvs-pool", "stop"], environ(tmp_path, {"virtual": "nonsense"})) == 0
    assert cleaned[1:] == [([DNS, "tcp/192.0.2.53:53"], "healthy-dns")]


def test_stop_asks_the_daemon_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "clean_up", lambda *_: pytest.fail("the daemon has done it"))
    pool = agent(tmp_path)
    with daemon_that_says(pool, "running", "stopped") as heard:
        pool.stop(pool.claim())
    assert heard == ["monitor", "stop"]
    assert not list(Path(pool.context.rundir).iterdir())


def test_stop_closes_the_ways_that_the_daemon_could_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[dict[str, int]] = []
    monkeypatch.setattr("ocfpy.health.ways.remove_ways", lambda marks: closed.append(marks.held()))
    pool = agent(tmp_path)
    with daemon_that_says(pool, "running", "stopped"):
        Marks(pool.paths.base).set(["tcp/192.0.2.1:80 10.0.0.11:80"])
        pool.stop(pool.claim())
    assert [list(held) for held in closed] == [["tcp/192.0.2.1:80 10.0.0.11:80"]]


def test_a_reload_that_cannot_be_leaves_the_record_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocfpy.ipvs.kernel.require_ipvs", lambda deadline: None)
    before, now = agent(tmp_path), agent(tmp_path, virtual="tcp/192.0.2.54:53")
    other = Context(["ipvs-pool", "start"], environ(tmp_path, {}, OCF_RESOURCE_INSTANCE="web"), "ipvs-pool")
    other.state.write(now.claim())
    before.spec().write(before.paths.spec)
    now.context.state.write(now.claim())  # as dispatch does before it calls us
    with pytest.raises(HostError, match="resource web already has"):
        now.reload_agent(now.claim())
    assert now.context.state.read() == before.claim()


def test_until_a_reload_is_done_stop_knows_of_both_configurations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocfpy.ipvs.kernel.require_ipvs", lambda deadline: None)
    before, now = agent(tmp_path), agent(tmp_path, virtual="tcp/192.0.2.54:53")
    Path(before.context.rundir).mkdir()
    before.spec().write(before.paths.spec)
    before.context.state.write({**before.claim(), "kept": "yes"})
    with daemon_that_says(now, __version__, "failed cannot add") as heard, pytest.raises(Exception, match="cannot add"):
        now.reload_agent(now.claim())
    assert heard == ["version", "reload"]
    record = now.context.state.read()
    assert record is not None
    assert set(record["virtual"].split()) == {DNS, "tcp/192.0.2.54:53"}
    Path(now.paths.socket).unlink()
    with daemon_that_says(now, __version__, "running"):
        now.reload_agent(now.claim())
    record = now.context.state.read()
    assert record is not None
    assert record.pop("parameters")
    assert record == {**now.claim(), "kept": "yes"}


def test_a_daemon_of_another_version_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocfpy.ipvs.kernel.require_ipvs", lambda deadline: None)
    started: list[list[str]] = []
    monkeypatch.setattr(control, "spawn", lambda paths, spec, deadline: started.append(list(map(str, spec.virtual))))
    pool = agent(tmp_path)
    Path(pool.context.rundir).mkdir()
    with daemon_that_says(pool, "failed there is no command 'version'"):
        pool.reload_agent(pool.claim())
    assert started == [[DNS]]


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


def monitored(tmp_path: Path, **params: str) -> IpvsPool:
    """The pool as a recurring monitor meets it."""
    return IpvsPool(
        Context(
            ["ipvs-pool", "monitor"],
            environ(tmp_path, {**MINIMUM, **params}, OCF_RESKEY_CRM_meta_interval="10000"),
            "ipvs-pool",
        )
    )


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a pool has been started with the least of parameters, as far as its record says."""
    monkeypatch.setattr("ocfpy.ipvs.kernel.require_ipvs", lambda deadline: None)
    monkeypatch.setattr(control, "spawn", lambda *_: None)
    pool = monitored(tmp_path)
    pool.context.state.write(pool.claim())
    pool.start(pool.claim())
    pool.spec().write(pool.paths.spec)
    return tmp_path


def test_a_monitor_with_the_parameters_of_the_start_asks_and_no_more(told: Path) -> None:
    pool = monitored(told)
    with daemon_that_says(pool, "running") as heard:
        assert pool.observe(pool.claim()).kind == "running"
    assert heard == ["monitor"]


def probe(rundir: Path, **params: str) -> None:
    pool = agent(rundir, **params)
    with daemon_that_says(pool, "running") as heard:
        assert pool.observe(pool.claim()).kind == "running"
    assert heard == ["monitor"]
    Path(pool.paths.socket).unlink()


def test_parameters_that_were_changed_while_nobody_watched_are_put_in_force(told: Path) -> None:
    changed = {"real_servers": "10.0.0.11 10.0.0.13", "check_interval": "5s"}
    probe(told, **changed)
    pool = monitored(told, **changed)
    with daemon_that_says(pool, "running", __version__, "running") as heard:
        assert pool.observe(pool.claim()).kind == "running"
    assert heard == ["monitor", "version", "reload"]
    assert [str(real) for real in read_spec(pool.paths.spec).services[0].reals.values()] == ["10.0.0.11:53", "10.0.0.13:53"]
    Path(pool.paths.socket).unlink()
    with daemon_that_says(pool, "degraded something else"):
        assert pool.observe(pool.claim()).reason == "something else"


def test_parameters_that_pacemaker_has_yet_to_reload_are_left_to_it(told: Path) -> None:
    probe(told)
    pool = monitored(told, real_servers="10.0.0.13")
    with daemon_that_says(pool, "running") as heard:
        assert pool.observe(pool.claim()).kind == "running"
    assert heard == ["monitor"]


def test_parameters_that_cannot_be_put_in_force_are_a_reason(told: Path) -> None:
    probe(told, real_servers="10.0.0.13")
    pool = monitored(told, real_servers="10.0.0.13")
    with daemon_that_says(pool, "running", __version__, "failed the kernel says no"):
        status = pool.observe(pool.claim())
    before = "the parameters were changed while the cluster was down, and are not in force: "
    assert (status.kind, status.reason) == ("degraded", f"{before}the kernel says no")
    Path(pool.paths.socket).unlink()
    changed = {"real_servers": "10.0.0.13", "attribute": "another"}
    probe(told, **changed)
    pool = monitored(told, **changed)
    with daemon_that_says(pool, "running"):
        assert pool.observe(pool.claim()).reason == f"{before}attribute is another one, which takes a restart"
    assert (pool.context.state.read() or {})["attribute"] == "healthy-dns"


def test_the_record_of_an_older_version_is_believed(told: Path) -> None:
    agent(told).context.state.write(agent(told).claim())
    probe(told, real_servers="10.0.0.13")
    pool = monitored(told, real_servers="10.0.0.13")
    with daemon_that_says(pool, "running") as heard:
        assert pool.observe(pool.claim()).kind == "running"
    assert heard == ["monitor"]
