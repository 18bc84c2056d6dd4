"""What the clients of a virtual service ask it for, and how they notice that something was lost."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Sequence

from hosts import (  # type: ignore[import-not-found]  # beside this file
    TCP_PORT,
    UDP_PORT,
    VIP4,
    VIP6,
    Host,
    StepFailed,
    answer,
    eventually,
)

DNS_QUESTION = b"\x12\x34\1\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1"


def acquaint(client: Host, servers: Sequence[Host]) -> None:
    """Have the neighbours on the segment know each other: the first packet to an unknown neighbor may be lost."""
    names = {server.name for server in servers}
    for vips in ([VIP4], [VIP6], [server.ip4 for server in servers], [server.ip6 for server in servers]):
        seen: set[str] = set()
        end = time.monotonic() + 30
        while not names <= seen:
            if time.monotonic() > end:
                raise StepFailed(f"{', '.join(vips)}: answers from {', '.join(sorted(seen))} only")
            seen.update(answer(client, vip) for vip in vips)


class Sessions:
    """Long-lived TCP connections from one host, each of which is asked now and then."""

    def __init__(self, client: Host, addresses: Sequence[str]) -> None:
        def connect() -> list[socket.socket]:
            return [socket.create_connection((address, TCP_PORT), 10) for address in addresses]

        self.sockets = client.within(connect)
        ends = [sock.getsockname()[:2] for sock in self.sockets]
        self.sources = {f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in ends}
        self.servers = [self.ask(sock, 10) for sock in self.sockets]

    def alive(self, limit_s: float = 15) -> int:
        """How many answer, from the same server as ever."""
        return sum(self.ask(sock, limit_s) == server for sock, server in zip(self.sockets, self.servers))

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()

    def of(self, server: str) -> list[socket.socket]:
        """Those with a server."""
        return [sock for sock, home in zip(self.sockets, self.servers) if home == server]

    def ask(self, sock: socket.socket, limit_s: float) -> str:
        """Who answers one of them; what went wrong instead."""
        sock.settimeout(limit_s)
        try:
            sock.sendall(b"?\n")
            return sock.recv(100).decode().strip()
        except OSError as error:
            return str(error)


class Stream(threading.Thread):
    """What a client asks VIPs for, without a break: each `INTERVAL_S` a new TCP connection, a DNS question from a new port,
    and a word on connections that stay open, one for each VIP. Used in a `with`.

    Counts what is asked by kind, and keeps what went wrong. Hosts are parts of one kernel, where nothing is lost on the way, so
    that a packet that had to be sent twice was dropped.
    """

    INTERVAL_S = 0.03
    TIMEOUT_S = 10.0

    def __init__(self, client: Host, vips: Sequence[str] = (VIP4, VIP6)) -> None:
        super().__init__(daemon=True)
        self.client = client
        self.vips = [(socket.AF_INET6 if ":" in vip else socket.AF_INET, vip) for vip in vips]
        self.asked = {"tcp": 0, "udp": 0, "session": 0}
        self.servers: list[bytes] = []
        self.wrong: list[str] = []
        self.ending = threading.Event()

    def __enter__(self) -> Stream:
        self.start()
        self.flow(1)
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self.join()

    def flow(self, count: int = 10) -> None:
        """Return when `count` more of each kind have been asked."""
        goals = {kind: number + count for kind, number in self.asked.items()}
        eventually(
            lambda: self.wrong or all(self.asked[kind] >= goal for kind, goal in goals.items()), 60,
            "the client's stream flows", lambda: self.asked,
        )  # fmt: skip
        if self.wrong:
            raise StepFailed(f"a client lost: {'; '.join(self.wrong[:3])}; asked {self.asked}")

    def run(self) -> None:
        self.client.within(self._ask_on)

    def _ask_on(self) -> None:
        sessions = []
        try:
            for _, vip in self.vips:
                sessions.append(socket.create_connection((vip, TCP_PORT), self.TIMEOUT_S))
            self.servers = servers = [self._say(session).strip() for session in sessions]
            while not self.ending.wait(self.INTERVAL_S):
                for family, vip in self.vips:
                    with socket.create_connection((vip, TCP_PORT), self.TIMEOUT_S) as new:
                        self._say(new)
                    self.asked["tcp"] += 1
                    self._question(family, vip)
                    self.asked["udp"] += 1
                if [self._say(session).strip() for session in sessions] != servers:
                    raise OSError("a session is with another server")
                self.asked["session"] += 1
        except OSError as error:
            self.wrong.append(f"{error} after {self.asked}")
        finally:
            for session in sessions:
                session.close()

    def _say(self, sock: socket.socket) -> bytes:
        sock.sendall(b"?\n")
        answer = sock.recv(100)
        # total_retrans is the 32-bit word at 100 in struct tcp_info (linux/tcp.h), since 2.6.
        again = int.from_bytes(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)[100:104], sys.byteorder)
        if not answer or again:
            raise OSError(f"{again} packets were dropped" if again else "a connection was closed")
        return answer

    def _question(self, family: socket.AddressFamily, vip: str) -> None:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(self.TIMEOUT_S)
            sock.connect((vip, UDP_PORT))
            sock.send(DNS_QUESTION)
            sock.recv(512)
