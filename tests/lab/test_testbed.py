"""The lab itself: real kernels with real IPVS, routes that arrive, clients that count, power cuts that cut."""
from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab.testbed import VIP4, VIP6, VIPS, Lab, rootfs, wait_for
from tests.lab.testbed.base import REPOSITORY
from tests.lab.testbed.network import sweep
from tests.lab.testbed.report import Request, account
from tests.lab.testbed.router import RouteEvent, parse_event


def test_nodes_have_kernels_of_their_own_with_ipvs(lab: Lab) -> None:
    for node in lab.nodes:
        node.run("ipvsadm -A -t 203.0.113.1:80 -s mh").check()
        assert "203.0.113.1:80 mh" in node.run("ipvsadm -Ln").check().out
        node.run("ipvsadm -D -t 203.0.113.1:80").check()
        assert node.run("uname -r").out.strip() == lab.images.kernel_version


def test_commands_bring_back_code_output_and_errors(lab: Lab) -> None:
    node = lab.nodes[0]
    result = node.run("echo out; echo err >&2; exit 3")
    assert (result.rc, result.out, result.err) == (3, "out\n", "err\n")
    assert node.run("sleep 60", timeout=0.5).rc == 124
    began = time.monotonic()
    node.run("sleep 60 >/dev/null & echo done").check()
    assert time.monotonic() - began < 10, "a daemon left behind must not hold the answer back"
    node.put("/tmp/a b/c", "text")
    assert node.get("/tmp/a b/c") == "text"


def test_the_package_is_installed_by_its_deb(lab: Lab) -> None:
    for node in lab.nodes:
        assert node.run("dpkg-query -W -f '${Status}' ocf-anycast").check().out == "install ok installed"


def test_routes_and_answers(served: Lab) -> None:
    for site in served.sites:
        active = {vip: site.cluster.wait_active(f"bgp{6 if ':' in vip else 4}") for vip in VIPS}
        for vip, node in active.items():
            site.router.wait_route(vip, node)
    for vip in VIPS:
        served.core.wait_route(vip, "router-a")
    with served.client.stream() as stream:
        begin = time.time()
        time.sleep(3)
        stream.settle(begin + 2)
        report = stream.report(begin, begin + 2)
    assert report.lost == 0, report
    assert set(report.by_site) == {"a"}
    assert set(report.by_server) == {"rs-a1", "rs-a2"}, "both backends share the work"
    assert set(report.by_kind) == {"dns4", "dns6", "http4", "http6"}
    assert report.sent > 300


def test_a_cut_cable_is_silent(steady: Lab) -> None:
    """No carrier is lost: BFD notices."""
    link = steady.site_b.router.namespace.ip("link", "show", "uplink")
    steady.site_b.uplink.cut()
    try:
        assert steady.site_b.router.namespace.ip("link", "show", "uplink") == link
        wait_for(
            lambda: "Established" not in {state for peer, state in steady.core.peers().items() if peer.startswith("10.0.2.")},
            10, "the core has noticed",
        )
    finally:
        steady.site_b.uplink.mend()
    steady.wait_bgp()


MAKE_A_FABRIC = """
from tests.lab.testbed.network import Fabric
fabric = Fabric()
fabric.segment("lan")
print(fabric.run, flush=True)
input()
"""
SWEEP = "from tests.lab.testbed.network import sweep; sweep()"


def test_a_killed_run_is_swept_away_and_a_living_one_never() -> None:
    """Not even from another process namespace, in which there is no process of its number."""
    other = subprocess.Popen(
        [sys.executable, "-c", MAKE_A_FABRIC], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        run = other.stdout.readline().strip()
        namespace = Path("/run/netns", f"{run}-fabric")
        apart = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", SWEEP]
        subprocess.run(apart, cwd=REPOSITORY, check=True, timeout=60)
        assert run not in sweep()
        assert namespace.exists()
    finally:
        other.kill()
        other.communicate()
    assert run in sweep()
    assert not namespace.exists()
    assert run not in sweep()


def test_cached_images_are_pruned_but_never_those_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootfs, "CACHE", tmp_path)
    paths = [tmp_path / f"root-{number}" for number in range(5)]
    for age, path in enumerate(reversed(paths)):
        (path / "etc").mkdir(parents=True)
        os.utime(path, (1e9 - age, 1e9 - age))
    hold = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_SH); print(flush=True); input()"
    other = subprocess.Popen([sys.executable, "-c", hold, paths[0]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        other.stdout.readline()
        assert rootfs._in_use(paths[2], "root-*", 2) == paths[2]
        assert [path.exists() for path in paths] == [True, False, True, False, True]
    finally:
        other.kill()
        other.communicate()
    rootfs._in_use(paths[2], "root-*", 2)
    assert [path.exists() for path in paths] == [False, False, True, False, True]


def test_route_events_are_parsed() -> None:
    """What iproute2 6.1 prints for FRR's routes: one next hop, several, a withdrawal, and another program's route."""
    names = {"10.0.1.2": "router-a", "10.0.2.2": "router-b"}
    stamp = "[2026-01-02T03:04:05.250000]"

    def parse(text: str) -> object:
        return parse_event(f"{stamp} {text}\n", lambda address: names.get(address, address))

    at = 1767323045.25
    assert parse("192.0.2.53 nhid 12 via 10.0.1.2 dev wan-a proto bgp metric 20 ") == RouteEvent(at, VIP4, ("router-a",))
    assert parse("Deleted 192.0.2.53 nhid 12 via 10.0.1.2 dev wan-a proto bgp metric 20 ") == RouteEvent(at, VIP4, ())
    both = (
        "192.0.2.53 nhid 3 proto bgp metric 20 "
        "\\\tnexthop via 10.0.2.2 dev wan-b weight 1 \\\tnexthop via 10.0.1.2 dev wan-a weight 1 "
    )
    assert parse(both) == RouteEvent(at, VIP4, ("router-a", "router-b"))
    linked = parse("2001:db8:53::53 nhid 9 via fe80::1 dev wan-a proto bgp metric 20 pref medium")
    assert linked == RouteEvent(at, VIP6, ("fe80::1",))
    assert parse("10.1.0.0/24 nhid 12 via 10.0.1.2 dev wan-a proto bgp metric 20 ") is None


def test_the_account_of_a_stream() -> None:
    def request(kind: str, sent: float, server: str = "") -> Request:
        return Request(kind, sent, sent + 0.01 if server else None, server or None, None if server else "no answer")

    requests = [request("dns4", 0.0, "rs-a1"), request("dns4", 1.0), request("dns4", 2.0), request("dns4", 3.0, "rs-b1"),
                *(request("http4", at / 2, "rs-a2") for at in range(7))]
    report = account(requests, None, None)
    assert (report.sent, report.lost, report.gap) == (11, 2, 3.0)
    assert report.by_kind == {"dns4": 2, "http4": 0}
    assert report.by_site == {"a": 8, "b": 1}
    assert account(requests, 0.5, 2.5).gap == 1.5, "an outage that is not over counts up to the last request of the window"


@pytest.mark.parametrize(("before", "error", "after_s", "expected"), [
    ("rs-b1", "ConnectionResetError: [Errno 104] Connection reset by peer", 0.02, 1),
    ("rs-a1", "ConnectionResetError: [Errno 104] Connection reset by peer", 0.02, 0),  # no move
    ("rs-b1", "no answer", 0.02, 0),  # a packet was lost, or there was no route
    ("rs-b1", "ConnectionResetError: [Errno 104] Connection reset by peer", 0.6, 0),  # there was a gap
])
def test_only_a_connection_that_was_open_when_its_route_moved_is_cut_by_the_move(
    before: str, error: str, after_s: float, expected: int
) -> None:
    requests = [
        Request("http4", 1.00, 1.01, before, None),
        Request("dns4", 1.00, 1.01, "rs-b1", None),
        Request("http4", 1.02, None, None, error),
        Request("http4", 1.02 + after_s, 1.03 + after_s, "rs-a1", None),
    ]
    assert len(account(requests, None, None).cut_by_a_move) == expected
