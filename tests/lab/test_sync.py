"""Long-lived connections through a pair whose addresses move and whose node dies, with ipvs-sync and without."""
from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest

from tests.lab.testbed import VIPS, Lab, UmlNode, wait_for

SESSIONS = 20
REQUEST = b"GET / HTTP/1.1\r\nHost: www.anycast.test\r\n\r\n"
PATIENCE = 60.0
"""Seconds for an answer: TCP asks again ever more seldom while there is no route."""


class Sessions:
    """HTTP connections from the client that stay open."""

    def __init__(self, lab: Lab) -> None:
        addresses = [VIPS[number % len(VIPS)] for number in range(SESSIONS)]
        self._sockets = lab.client.namespace.within(
            lambda: [socket.create_connection((address, 80), 10) for address in addresses]
        )
        ends = [sock.getsockname()[:2] for sock in self._sockets]
        self.sources = {f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in ends}
        self.servers = self._ask(10)

    def alive(self) -> int:
        """How many are answered by the server that they have always had."""
        return sum(now == before for now, before in zip(self._ask(PATIENCE), self.servers))

    def _ask(self, limit: float) -> list[str]:
        return [self._answer(sock, limit) for sock in self._sockets]

    def _answer(self, sock: socket.socket, limit: float) -> str:
        sock.settimeout(limit)
        try:
            sock.sendall(REQUEST)
            reply = b""
            while not reply.endswith(b"\n") or b"\r\n\r\n" not in reply[:-1]:
                more = sock.recv(4096)
                if not more:
                    return "closed"
                reply += more
        except OSError as error:
            return str(error)
        return reply.rpartition(b"\r\n\r\n")[2].decode().strip()

    def __enter__(self) -> Sessions:
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self._sockets:
            sock.close()


@pytest.fixture(scope="module")
def unhelped(served: Lab) -> Iterator[Lab]:
    """Site A alone, where nothing has both nodes choose the same server for a connection: what lives on does so by ipvs-sync."""
    site = served.site_a
    site.cluster.run("crm_resource --cleanup", timeout=60).check()
    served.site_b.uplink.cut()
    try:
        help_connections(served, False)
        yield served
    finally:
        served.site_b.uplink.mend()
        help_connections(served, True)
        site.cluster.wait_idle()
        served.wait_bgp()


def help_connections(lab: Lab, help_them: bool) -> None:
    """Whether a node of site A finds the server of a connection that it has not seen the beginning of."""
    scheduler = "mh" if help_them else "rr"
    for node in lab.site_a.nodes:
        node.run(f"sysctl -q -w net.ipv4.vs.sloppy_tcp={int(help_them)}").check()
    lab.site_a.cluster.run(f"crm_resource -r pool -p scheduler -v {scheduler}").check()
    for node in lab.site_a.nodes:
        wait_for(
            lambda node=node: set(re.findall(r"-s (\w+)", node.run("ipvsadm -Sn").check().out)) == {scheduler},  # type: ignore[misc]
            40, f"{node.name} schedules by {scheduler}",
        )


def roles(lab: Lab) -> tuple[UmlNode, UmlNode]:
    """The node of site A that serves, and the other one."""
    active = lab.site_a.cluster.wait_active("bgp4")
    one, two = lab.site_a.nodes
    return (one, two) if one.name == active else (two, one)


def wait_known(node: UmlNode, sessions: Sessions) -> None:
    """Return when a node knows of every session."""

    def known() -> bool:
        lines = [line.split() for line in node.run("ipvsadm -Lnc").check().out.splitlines()]
        sources = {words[3] for words in lines if "ESTABLISHED" in words}
        return sources >= sessions.sources

    wait_for(known, 30, f"{node.name} knows {SESSIONS} sessions", every=0.3)


def move(lab: Lab, target: UmlNode) -> None:
    """`crm resource move` of everything to the other node, which is `target`."""
    lab.site_a.cluster.crm("resource move vip4 force")
    arrived(lab, target)
    lab.site_a.cluster.crm("resource clear vip4")


def arrived(lab: Lab, target: UmlNode) -> None:
    for resource in ("bgp4", "bgp6"):
        lab.site_a.cluster.wait_active(resource, target.name)
    lab.site_a.cluster.wait_idle()
    for vip in VIPS:
        lab.site_a.router.wait_route(vip, target.name, limit=15)


def test_sessions_outlive_standby_and_move(unhelped: Lab) -> None:
    cluster = unhelped.site_a.cluster
    first, second = roles(unhelped)
    with Sessions(unhelped) as sessions:
        assert set(sessions.servers) == {"rs-a1", "rs-a2"}
        wait_known(second, sessions)
        cluster.crm(f"node standby {first.name}")
        arrived(unhelped, second)
        assert sessions.alive() == SESSIONS, "after standby"
        cluster.crm(f"node online {first.name}")
        cluster.wait_idle()
        # The node comes back knowing nothing, and hears of a session when the state of that changes, or with its 50th packet.
        for _ in range(50):
            assert sessions.alive() == SESSIONS
        wait_known(first, sessions)
        move(unhelped, first)
        assert sessions.alive() == SESSIONS, "after a move"
    assert cluster.failed_actions() == []


def test_without_it_they_do_not(unhelped: Lab) -> None:
    """In a test before the power cut: a node that has booted has the kernel settings of its boot again."""
    cluster = unhelped.site_a.cluster
    _, second = roles(unhelped)
    try:
        cluster.crm("resource stop sync-clone")
        cluster.wait_idle()
        with Sessions(unhelped) as sessions:
            move(unhelped, second)
            alive = sessions.alive()
        print(f"{alive} of {SESSIONS} sessions are left")
        assert alive < SESSIONS
    finally:
        cluster.crm("resource start sync-clone")
        cluster.wait_idle()


def test_sessions_outlive_a_power_cut(unhelped: Lab) -> None:
    first, second = roles(unhelped)
    try:
        with Sessions(unhelped) as sessions:
            wait_known(second, sessions)
            first.power_off()
            assert sessions.alive() == SESSIONS
        assert roles(unhelped)[0] == second
    finally:
        first.power_on()
        unhelped.site_a.cluster.wait_online()
        unhelped.site_a.cluster.wait_idle()
