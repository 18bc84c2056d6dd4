"""What an operator gets wrong, and what a host lacks: each its OCF code and one sentence; stop and probe succeed all the same."""
from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.testbed import VIP4, VIP6, Result
from tests.lab.testbed.bench import PLAN, Bench, agent_command
from tests.lab.testbed.router import wait_bgp

OCF_SUCCESS, OCF_ERR_GENERIC, OCF_ERR_ARGS, OCF_ERR_INSTALLED, OCF_ERR_CONFIGURED, OCF_NOT_RUNNING = 0, 1, 2, 5, 6, 7
POOL = {"virtual": f"tcp/{VIP4}:80", "real_servers": PLAN.lan4(21), "check": "on"}

WRONG = [
    ("anycast-vip", {"ip": "198.51.100.1", "gate": "none"}, OCF_ERR_ARGS, ("198.51.100.1", "/etc/anycast/allowed-prefixes")),
    (
        "anycast-vip", {"ip": VIP4, "gate": "none", "allowed_prefixes": "203.0.113.0/24"},
        OCF_ERR_CONFIGURED, (VIP4, "allowed_prefixes"),
    ),
    ("anycast-vip", {"ip": f"{VIP4}/24", "gate": "none"}, OCF_ERR_CONFIGURED, ("/24",)),
    ("anycast-vip", {}, OCF_ERR_CONFIGURED, ("ip",)),
    ("anycast-vip", {"ip": VIP4, "services": f"tcp/{VIP4}"}, OCF_ERR_CONFIGURED, ("services", f"tcp/{VIP4}")),
    ("bgp-announce", {"prefix": "198.51.100.1/32"}, OCF_ERR_ARGS, ("198.51.100.1", "/etc/anycast/allowed-prefixes")),
    (
        "bgp-announce", {"prefix": f"{VIP4}/32", "allowed_prefixes": "203.0.113.0/24"},
        OCF_ERR_CONFIGURED, (VIP4, "allowed_prefixes"),
    ),
    ("bgp-announce", {"prefix": f"{VIP4}/32", "peers": "10.3.0.1;exit"}, OCF_ERR_CONFIGURED, ("peers", "10.3.0.1;exit")),
    ("bgp-announce", {"prefix": f"{VIP4}/32\nno router bgp"}, OCF_ERR_CONFIGURED, ("prefix",)),
    ("ipvs-pool", {**POOL, "virtual": "tcp/192.0.2.53"}, OCF_ERR_CONFIGURED, ("virtual", "tcp/192.0.2.53")),
    ("ipvs-pool", {**POOL, "virtual": f"tcp/{VIP4}:80 udp/{VIP6}:53"}, OCF_ERR_CONFIGURED, ("virtual", VIP6)),
    (
        "ipvs-pool", {**POOL, "real_servers": "10.3.0.21 server.example.com"},
        OCF_ERR_CONFIGURED, ("real_servers", "server.example.com"),
    ),
    ("ipvs-pool", {**POOL, "real_servers": "10.3.0.21,weight=heavy"}, OCF_ERR_CONFIGURED, ("real_servers", "weight")),
    (
        "ipvs-pool", {**POOL, "virtual": "tcp/192.0.2.53", "real_servers": "server.example.com", "rise": "none"},
        OCF_ERR_CONFIGURED, ("virtual", "real_servers", "rise"),
    ),
    ("ipvs-pool", {**POOL, "scheduler": "fastest"}, OCF_ERR_ARGS, ("fastest",)),
    ("ipvs-sync", {"nic": "eth7", "syncid": "7"}, OCF_ERR_ARGS, ("no network interface eth7",)),
    ("ipvs-sync", {"nic": "eth0", "syncid": "0", "mcast_group": VIP4}, OCF_ERR_CONFIGURED, ("syncid", "mcast_group", VIP4)),
]


def reason(result: Result) -> str:
    """The one exit reason; there must be exactly one, of one line."""
    reasons = [line for line in result.err.splitlines() if line.startswith("ocf-exit-reason:")]
    assert len(reasons) == 1, result
    assert "Traceback" not in result.err, result
    return reasons[0]


def stop_and_probe_succeed(bench: Bench, agent: str, parameters: dict[str, str]) -> None:
    probe = bench.agent(agent, "probe", **parameters)
    assert probe.rc == OCF_NOT_RUNNING, probe
    stop = bench.agent(agent, "stop", **parameters)
    assert stop.rc == OCF_SUCCESS, stop


@pytest.mark.parametrize(("agent", "parameters", "code", "words"), WRONG)
def test_wrong_configuration(bench: Bench, agent: str, parameters: dict[str, str], code: int, words: tuple[str, ...]) -> None:
    start = bench.agent(agent, "start", **parameters)
    assert start.rc == code, start
    for word in words:
        assert word in reason(start)
    stop_and_probe_succeed(bench, agent, parameters)


def the_second_is_refused(bench: Bench, agent: str, same: dict[str, str]) -> None:
    """Another resource with what the first one has waits, and says who has it; its stop takes nothing from the first."""
    start = bench.node.run(agent_command(agent, "start", "second", same, timeout_s=3))
    assert start.rc == OCF_ERR_GENERIC, start
    assert "resource first " in reason(start)
    assert "s for it to stop)" in reason(start)
    assert bench.agent(agent, "probe", "second", **same).rc == OCF_NOT_RUNNING
    assert bench.agent(agent, "stop", "second", **same).rc == OCF_SUCCESS
    assert bench.agent(agent, "monitor", "first", **same).rc == OCF_SUCCESS


def test_two_addresses_alike(bench: Bench) -> None:
    same = {"ip": VIP4, "gate": "none"}
    assert bench.agent("anycast-vip", "start", "first", **same).rc == OCF_SUCCESS
    try:
        the_second_is_refused(bench, "anycast-vip", same)
    finally:
        assert bench.agent("anycast-vip", "stop", "first", **same).rc == OCF_SUCCESS


@pytest.fixture
def announced(bench: Bench) -> Iterator[None]:
    """The address, and its announcement by a resource "first"."""
    wait_bgp([bench.router])
    vip, route = {"ip": VIP4, "gate": "none"}, {"prefix": f"{VIP4}/32"}
    assert bench.agent("anycast-vip", "start", "vip", **vip).rc == OCF_SUCCESS
    start = bench.agent("bgp-announce", "start", "first", **route)
    assert start.rc == OCF_SUCCESS, start
    yield
    assert bench.agent("bgp-announce", "stop", "first", **route).rc == OCF_SUCCESS
    assert bench.agent("anycast-vip", "stop", "vip", **vip).rc == OCF_SUCCESS


@pytest.mark.usefixtures("announced")
def test_two_announcements_of_one_prefix(bench: Bench) -> None:
    the_second_is_refused(bench, "bgp-announce", {"prefix": f"{VIP4}/32"})


def test_two_pools_with_one_service(bench: Bench) -> None:
    assert bench.agent("ipvs-pool", "start", "first", **POOL).rc == OCF_SUCCESS
    try:
        the_second_is_refused(bench, "ipvs-pool", POOL)
        assert f"{VIP4}:80" in bench.node.run("ipvsadm -Ln").out
    finally:
        assert bench.agent("ipvs-pool", "stop", "first", **POOL).rc == OCF_SUCCESS


@pytest.fixture
def without_frr(bench: Bench) -> Iterator[None]:
    """A host on which FRR is not installed: its sockets and its programs are not there."""
    bench.node.run("/usr/lib/frr/frrinit.sh stop; mv /usr/lib/frr /usr/lib/frr.gone; mv /usr/bin/vtysh /usr/bin/vtysh.gone")
    bench.node.run("rm -f /run/frr/*")
    yield
    bench.node.run("mv /usr/lib/frr.gone /usr/lib/frr; mv /usr/bin/vtysh.gone /usr/bin/vtysh")
    bench.node.run("/usr/lib/frr/frrinit.sh start", timeout=60)


@pytest.mark.usefixtures("without_frr")
def test_no_frr(bench: Bench) -> None:
    parameters = {"prefix": f"{VIP4}/32"}
    start = bench.agent("bgp-announce", "start", **parameters)
    assert start.rc == OCF_ERR_INSTALLED, start
    assert "bgpd" in reason(start)
    stop_and_probe_succeed(bench, "bgp-announce", parameters)


@pytest.mark.usefixtures("announced", "without_frr")
def test_frr_goes_while_it_announces(bench: Bench) -> None:
    """Nothing is announced any more, and a stop has nothing to do."""
    parameters = {"prefix": f"{VIP4}/32"}
    assert bench.agent("bgp-announce", "probe", "first", **parameters).rc == OCF_NOT_RUNNING
    stop = bench.agent("bgp-announce", "stop", "first", **parameters)
    assert stop.rc == OCF_SUCCESS, stop


@pytest.fixture
def without_ipvs(bench: Bench) -> Iterator[None]:
    """A kernel whose IPVS modules are not there."""
    directory = f"/usr/lib/modules/{bench.images.kernel_version}"
    lines = bench.node.run("lsmod").check().out.splitlines()
    loaded = " ".join(sorted((line.split()[0] for line in lines if line.startswith("ip_vs")), reverse=True))
    bench.node.run(f"modprobe -r {loaded}" if loaded else "true").check()
    bench.node.run(f"mv {directory} {directory}.gone").check()
    assert bench.node.run("test -e /proc/net/ip_vs").rc == 1
    yield
    bench.node.run(f"mv {directory}.gone {directory}; modprobe ip_vs").check()


@pytest.mark.usefixtures("without_ipvs")
def test_no_ipvs(bench: Bench) -> None:
    start = bench.agent("ipvs-pool", "start", **POOL)
    assert start.rc == OCF_ERR_INSTALLED, start
    assert "ip_vs" in reason(start)
    stop_and_probe_succeed(bench, "ipvs-pool", POOL)
    vip = bench.agent("anycast-vip", "start", ip=VIP4)
    assert vip.rc != OCF_SUCCESS, vip
    assert "IPVS" in reason(vip)
    stop_and_probe_succeed(bench, "anycast-vip", {"ip": VIP4})
