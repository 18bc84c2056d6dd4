"""What the table cannot show: certificates, hosts that are gone, source addresses and marks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from ocfpy.checks.base import Result
from ocfpy.healthd.vip_probe import VipPath

from tests.checks.cases import TLS
from tests.checks.observe import attempt, make
from tests.checks.world import PROXY4, PROXY6, World
from tests.frr.namespace import run

GONE4, GONE6 = "10.78.0.9", "fd78::9"
"""No host has it, and no router reports that."""
UNREACHABLE = "host unreachable"
"""Said at once by a kernel that has looked for the host before."""
HTTPS = {"check": "https", **TLS}


@pytest.fixture(scope="module")
def silence(world: World) -> Iterator[None]:
    """A network without hosts, to which everything is routed and from which nothing comes."""
    world.namespace.ip("link", "add", "void", "type", "veth", "peer", "name", "nothing")
    world.namespace.ip("link", "set", "nothing", "up")
    world.namespace.ip("addr", "add", "10.78.0.1/24", "dev", "void")
    world.namespace.ip("addr", "add", "fd78::1/64", "dev", "void", "nodad")
    world.namespace.ip("link", "set", "void", "up")
    yield
    world.namespace.ip("link", "del", "void")


@pytest.mark.parametrize(
    ("params", "port", "reason"),
    [
        (HTTPS, 443, ""),
        (HTTPS, 445, "certificate has expired"),
        ({**HTTPS, "check_tls_verify": "false"}, 445, ""),
        ({**HTTPS, "check_tls_verify": "false", "check_tls_name": "other.example.com"}, 443, ""),
        ({**HTTPS, "check_tls_name": ""}, 443, "certificate is for server.example.com, not 10.77.0.1 (check_tls_name)"),
        ({**HTTPS, "check_tls_name": "", "check_host": "server.example.com:443"}, 443, ""),
        ({**HTTPS, "check_ca": ""}, 443, "certificate is signed by a CA that is not known (check_ca)"),
        ({**HTTPS, "check_ca": "{server.pem}"}, 443, "certificate is signed by a CA that is not known (check_ca)"),
        (HTTPS, 80, "the server does not speak TLS"),
        ({**HTTPS, "check_status": "400"}, 444, ""),
    ],
)
def test_certificates(world: World, params: dict[str, str], port: int, reason: str) -> None:
    server = world.started("nginx")
    assert attempt(world, params, server.address4, port).reason == reason


def test_a_certificate_for_an_address(world: World) -> None:
    server = world.started("nginx")
    for address in (server.address4, server.address6):
        assert attempt(world, {**HTTPS, "check_tls_name": ""}, address, 446).reason == ""


def test_a_file_that_is_replaced_is_read_again(world: World, tmp_path: Path) -> None:
    server = world.started("nginx")
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(world.pki.certificate.read_bytes())
    check = make(world, {**HTTPS, "check_ca": str(trusted)}, server.address4, 443, 30)
    assert "CA that is not known" in world.run(check.run()).reason
    trusted.write_bytes(world.pki.ca.read_bytes())
    assert world.run(check.run()).reason == ""
    trusted.unlink()
    assert world.run(check.run()).reason == f"{trusted}: No such file or directory"


@pytest.mark.parametrize("address", [GONE4, GONE6])
@pytest.mark.parametrize("check", ["tcp", "udp", "ping"])
def test_a_host_that_is_gone(world: World, silence: None, check: str, address: str) -> None:
    result = attempt(world, {"check": check}, address, 53, timeout=1)
    doing = "connecting" if check == "tcp" else "waiting for the reply to a ping"
    assert result.reason in (f"timed out after 1 s, {doing}", UNREACHABLE)


def test_a_closed_port_of_a_host_that_answers_no_ping(world: World) -> None:
    host = world.namespace.command("sysctl", "-qw")
    run(*host, "net.ipv4.icmp_echo_ignore_all=1", "net.ipv6.icmp.echo_ignore_all=1")
    try:
        for address in (PROXY4, PROXY6):
            assert attempt(world, {"check": "udp"}, address, 9, timeout=1).reason == "connection refused"
    finally:
        run(*host, "net.ipv4.icmp_echo_ignore_all=0", "net.ipv6.icmp.echo_ignore_all=0")


@pytest.mark.parametrize("check", ["tcp", "udp", "ping", "http"])
def test_a_host_without_a_way_to_it(world: World, check: str) -> None:
    assert attempt(world, {"check": check}, "192.0.2.99", 53, timeout=1).reason == "network unreachable"


@pytest.mark.parametrize("group_range", ["1 0", "0 2147483647"])
def test_ping_with_and_without_the_right_to_raw_sockets(world: World, group_range: str) -> None:
    run(*world.namespace.command("sysctl", "-qw", f"net.ipv4.ping_group_range={group_range}"))
    server = world.started("nginx")
    for address in (server.address4, server.address6):
        result = attempt(world, {"check": "ping"}, address, 80)
        assert result.reason == ""
        assert result.seconds < 5


def seen_by_a_server(world: World, address: str, bind: str) -> tuple[Result, list[str]]:
    """The result of a tcp check, and whom the server saw."""
    check = make(world, {"check": "tcp", "check_expect": "hello", "check_bind": bind}, address, 4000, 30)
    peers: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peers.append(writer.get_extra_info("peername")[0])
        writer.write(b"hello")
        writer.close()

    async def story() -> Result:
        async with await asyncio.start_server(serve, address, 4000):
            return await check.run()

    return world.run(story()), peers


def test_the_source_address(world: World) -> None:
    server = world.started("nginx")
    both = f"{server.address4} {server.address6}"
    assert seen_by_a_server(world, PROXY4, both)[1] == [server.address4]
    assert seen_by_a_server(world, PROXY6, both)[1] == [server.address6]
    assert seen_by_a_server(world, PROXY4, server.address6)[1] == [PROXY4]
    result, peers = seen_by_a_server(world, PROXY4, "192.0.2.77")
    assert (result.reason, peers) == ("the source address (check_bind) is not on this node", [])


class Marked:
    """Stands in for healthd.vip_probe.VipPath: what it leads to is tried in the lab, where there is IPVS."""

    mark = 7

    def open(self) -> None:
        pass

    def source(self) -> str:
        return ""

    def hint(self) -> str:
        return "marked"


def test_a_mark_is_on_what_is_sent(world: World, silence: None) -> None:
    world.namespace.ip("rule", "add", "pref", "1", "fwmark", "7", "prohibit")
    check = make(world, {"check": "tcp"}, GONE4, 80, 1)
    assert world.run(check.run()).reason in ("timed out after 1 s, connecting", UNREACHABLE)
    check.way = cast(VipPath, Marked())
    assert world.run(check.run()).reason == f"Permission denied, connecting (through {GONE4}: marked)"


def test_checks_one_after_the_other_leave_nothing_open(world: World) -> None:
    """A descriptor that a failure leaves behind would end a daemon after some weeks."""
    server = world.started("nginx")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for params, port in (
        ({"check": "tcp"}, 80), ({"check": "tcp"}, 81), ({"check": "ping"}, 0), ({"check": "udp"}, 80), ({"check": "udp"}, 81),
        (HTTPS, 443), (HTTPS, 445), (HTTPS, 80), ({**HTTPS, "check_tls_name": "a"}, 443),
    ):  # fmt: skip
        attempt(world, params, server.address4, port or 80)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
