"""What becomes of the UDP clients and the persistent ones of a server that is taken out: the second part of pool_members.py."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from clients import DNS_QUESTION, Sessions, Stream  # type: ignore[import-not-found]  # beside this file
from hosts import (  # type: ignore[import-not-found]  # beside this file
    PREFIX4,
    TCP_PORT,
    UDP_PORT,
    VIP4,
    Host,
    answer,
    eventually,
    expect,
)

if TYPE_CHECKING:
    from pool_members import Pool  # type: ignore[import-not-found]

LIMIT_S = 40.0
TEMPLATE_LIMIT_S = 150.0
"""The kernel gives a persistent client another minute when it still has a connection at the end of its time."""
CLIENTS = 9
LONG = "10min"
SILENCE_S = 0.3
SILENCE = "silence"
ONE, TWO, THREE = "one", "two", "three"
FULL = {ONE: 10, TWO: 10, THREE: 10}
OUT, GONE = {**FULL, ONE: 0}, {TWO: 10, THREE: 10}


class Datagrams:
    """UDP clients, each with a port that it keeps."""

    def __init__(self, client: Host) -> None:
        self.sockets = client.within(lambda: [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(CLIENTS)])
        self.asked = 0
        for sock in self.sockets:
            sock.connect((VIP4, UDP_PORT))
        self.homes = self.servers()

    def servers(self, *silent: int) -> list[str]:
        """Who answers each of them now; the numbers of those that may wait in vain."""
        return [self._ask(sock, SILENCE_S if number in silent else 10) for number, sock in enumerate(self.sockets)]

    def of(self, server: str) -> list[int]:
        """The numbers of those that had a server at first."""
        return [number for number, home in enumerate(self.homes) if home == server]

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()

    def _ask(self, sock: socket.socket, limit_s: float) -> str:
        self.asked += 1
        number = self.asked.to_bytes(2, "big")
        sock.settimeout(limit_s)
        try:
            sock.send(number + DNS_QUESTION[2:])
            while not (reply := sock.recv(512)).startswith(number):
                pass  # to a question that was given up
        except OSError:
            return SILENCE
        spelled = reply[-4:].decode().strip()
        return next(name for name in FULL if name.startswith(spelled))


class Visitors:
    """Clients that are told apart by their addresses, as persistence does."""

    def __init__(self, client: Host, first: int) -> None:
        self.client = client
        self.sources = [f"{PREFIX4}{number}" for number in range(first, first + CLIENTS)]
        for source in self.sources:
            client.inside("ip", "address", "add", f"{source}/24", "dev", "eth0")
        self.homes = self.servers()

    def servers(self) -> list[str]:
        """Who gets a new connection of each of them now."""
        return [answer(self.client, VIP4, 10, source) for source in self.sources]

    def of(self, server: str) -> list[str]:
        """Those that had a server at first."""
        return [source for source, home in zip(self.sources, self.homes) if home == server]


def drains(pool: Pool, client: Host) -> Iterator[str]:
    pool.host.sysctl("net.ipv4.vs.expire_nodest_conn=0", "net.ipv4.vs.expire_quiescent_template=0")
    pool.agent.params.update(
        virtual=f"tcp/{VIP4}:80 udp/{VIP4}:53", real_servers=pool.reals(ONE, TWO, THREE), scheduler="rr", check="on",
        check_interval="200ms", check_timeout="100ms", drain_timeout=LONG, sorry_server="", slow_start="0s", min_up="0",
        quorum="1",
    )  # fmt: skip
    pool.agent.must("start")
    yield from datagrams(pool, client)
    yield from undrained(pool, client)
    yield from persistence(pool, client)
    yield from dead(pool, client)
    pool.agent.must("stop")
    expect(pool.weights(), {}, "the table after stop")


def drain(pool: Pool) -> None:
    pool.ctl("drain", pool.servers[ONE].ip4)
    pool.until(OUT, "the drained server has weight 0")


def undrain(pool: Pool) -> None:
    if pool.agent.params["drain_timeout"] != LONG:
        pool.change(drain_timeout=LONG)
    pool.ctl("undrain", pool.servers[ONE].ip4)
    pool.until(FULL, "the server has its weight back")


def give_up(pool: Pool) -> None:
    """Have the drain end by its time."""
    pool.change(drain_timeout="1s")
    pool.until(GONE, "the time to drain is over")


def leaving(pool: Pool, service: str) -> dict[str, Any]:
    """What is said of the drained server."""
    (reals,) = (one["real_servers"] for one in pool.status()["virtual"] if one["service"].startswith(service))
    found: dict[str, Any] = next(real for real in reals if real["server"].startswith(f"{pool.servers[ONE].ip4}:"))
    return found


def until_busy(pool: Pool, service: str, connections: int, clients: int) -> None:
    """Return when it waits for just so many, as the kernel says and as the daemon has seen."""

    def waits() -> bool:
        real = leaving(pool, service)
        seen = [real.get("drain", {}).get(name) for name in ("connections", "clients")]
        return real["state"] == "draining" and real["active"] + real["inactive"] == connections and seen == [connections, clients]

    eventually(waits, LIMIT_S, f"{connections} connections and {clients} clients are left", lambda: leaving(pool, service))


def line_of(pool: Pool, port: int) -> str:
    """The same for people."""
    (line,) = (line for line in pool.ctl("status").splitlines() if f" {pool.servers[ONE].ip4}:{port} " in line)
    return " ".join(line.split())


def expect_in(text: str, *words: str) -> None:
    expect([word for word in words if word not in text], [], f"what is missing in {text[-2000:]!r}")


def datagrams(pool: Pool, client: Host) -> Iterator[str]:
    expect_in(" ".join(pool.status()["warnings"]), f"clients of udp/{VIP4}:53", "expire_nodest_conn=1")
    clients, sessions = Datagrams(client), Sessions(client, [VIP4] * len(FULL))
    expect((set(clients.homes), set(sessions.servers)), (set(FULL), set(FULL)), "who serves")
    ours, (session,) = clients.of(ONE), sessions.of(ONE)
    drain(pool)
    expect(clients.servers(), clients.homes, "who serves those that keep asking")
    others = Datagrams(client)
    expect(others.of(ONE), [], "new clients of the drained server")
    others.close()
    until_busy(pool, "udp", len(ours), 0)
    expect_in(line_of(pool, UDP_PORT), f"0+{len(ours)} draining", "removed in")
    pool.agent.must("monitor")
    yield f"UDP: who keeps asking from the same port stays, also at weight 0, and counts: {line_of(pool, UDP_PORT)}"

    undrain(pool)
    expect(clients.servers(), clients.homes, "who serves after undrain")
    drain(pool)
    expect(clients.servers(), clients.homes, "who serves after another drain")
    expect(sessions.alive(), len(FULL), "the sessions that go on")
    give_up(pool)
    expect_in(pool.agent.log(), f"of udp/{VIP4}:53 is removed with {len(ours)} connections: drain_timeout is over")
    cut_off = [SILENCE if home == ONE else home for home in clients.homes]
    expect(clients.servers(*ours), cut_off, "who serves after the removal, with expire_nodest_conn=0")
    expect(sessions.ask(session, SILENCE_S), "timed out", "what the session hears")
    pool.host.sysctl("net.ipv4.vs.expire_nodest_conn=1")
    eventually(lambda: SILENCE not in clients.servers(*ours), LIMIT_S, "expire_nodest_conn=1 helps")
    expect(clients.servers().count(ONE), 0, "clients of the removed server")
    expect_in(sessions.ask(session, LIMIT_S), "reset")
    clients.close()
    sessions.close()
    yield "until drain_timeout ends it: no answer with expire_nodest_conn=0; with 1 another server's, and for TCP a reset"

    undrain(pool)
    clients = Datagrams(client)
    expect(set(clients.homes), set(FULL), "who serves")
    drain(pool)
    expect(clients.servers(), clients.homes, "who serves those that keep asking")
    give_up(pool)
    moved = clients.servers()
    expect([now for now, home in zip(moved, clients.homes) if home == ONE and now not in GONE], [], "clients that are cut off")
    expect([now for now, home in zip(moved, clients.homes) if now != home != ONE], [], "clients of others that have moved")
    undrain(pool)
    # From the next packet of each on.
    pool.host.inside("ipvsadm", "--set", "0", "0", "1")
    clients = Datagrams(client)
    expect(set(clients.homes), set(FULL), "who serves")
    before = pool.agent.log().count(f"of udp/{VIP4}:53 has drained")
    pool.ctl("drain", pool.servers[ONE].ip4)
    pool.until(GONE, "clients that have fallen silent are forgotten")
    expect(pool.agent.log().count(f"of udp/{VIP4}:53 has drained"), before + 1, "drains that ended by themselves")
    clients.close()
    yield "with 1 from the beginning no client misses an answer; a client that falls silent is forgotten, and the drain ends"


def undrained(pool: Pool, client: Host) -> Iterator[str]:
    undrain(pool)
    sessions = Sessions(client, [VIP4] * CLIENTS)
    expect(ONE in sessions.servers, True, "that the server has a session")
    with Stream(client, [VIP4]) as stream:
        stream.flow()
        drain(pool)
        stream.flow()
        undrain(pool)
        stream.flow()
    expect(sessions.alive(), CLIENTS, "the sessions that go on")
    sessions.close()
    yield f"undrain in the middle: weight 10 again, and nothing was lost of {stream.asked}"


def persistence(pool: Pool, client: Host) -> Iterator[str]:
    pool.change(persistence_timeout="3s")
    expect_in(" ".join(pool.status()["warnings"]), f"clients of tcp/{VIP4}:80, udp/{VIP4}:53", "expire_quiescent_template=1")
    expect(set(Visitors(client, 130).homes), set(FULL), "who serves")
    before = pool.agent.log().count(f"of tcp/{VIP4}:80 has drained")
    pool.ctl("drain", pool.servers[ONE].ip4)
    eventually(lambda: pool.weights() == GONE, TEMPLATE_LIMIT_S, "persistent clients are forgotten", pool.weights)
    expect(pool.agent.log().count(f"of tcp/{VIP4}:80 has drained"), before + 1, "drains that ended by themselves")
    yield "persistence: a client that does not come back is forgotten after its time, and the drain ends"

    undrain(pool)
    pool.change(persistence_timeout="10min")
    clients = Visitors(client, 140)
    expect(set(clients.homes), set(FULL), "who serves")
    ours = clients.of(ONE)
    drain(pool)
    expect(clients.servers(), clients.homes, "who serves those that come back, with expire_quiescent_template=0")
    expect(Visitors(client, 150).of(ONE), [], "new clients of the drained server")

    until_busy(pool, "tcp", 0, len(ours))
    expect_in(line_of(pool, TCP_PORT), "0+0 draining", f"waiting for persistent clients: {len(ours)}")
    yield f"it comes back to the server at weight 0, others never go there, and the drain waits: {line_of(pool, TCP_PORT)}"

    undrain(pool)
    expect(clients.servers(), clients.homes, "who serves after undrain")
    drain(pool)
    expect(clients.servers(), clients.homes, "who serves after another drain")
    with client.within(lambda: socket.create_connection((VIP4, TCP_PORT), 10, (ours[0], 0))) as session:
        pool.host.sysctl("net.ipv4.vs.expire_quiescent_template=1")
        expect(answer(client, VIP4, 10, ours[0]) in GONE, True, "that it is sent elsewhere, with expire_quiescent_template=1")
        session.sendall(b"?\n")
        expect(session.recv(100).decode().strip(), ONE, "who serves its old connection")
        until_busy(pool, "tcp", 1, 0)
    pool.until(GONE, "the drain ends with the last connection")
    moved = clients.servers()
    expect(moved.count(ONE), 0, "clients of the removed server")
    expect([now for now, home in zip(moved, clients.homes) if now != home != ONE], [], "clients of others that have moved")
    yield "with expire_quiescent_template=1 it goes elsewhere, its old connection goes on, and only that one is waited for"

    pool.host.sysctl("net.ipv4.vs.expire_quiescent_template=0")
    undrain(pool)
    clients = Visitors(client, 160)
    drain(pool)
    expect(clients.servers(), clients.homes, "who serves those that come back")
    give_up(pool)
    expect_in(pool.agent.log(), "persistent clients: drain_timeout is over")
    expect([now for now in clients.servers() if now not in GONE], [], "clients that are cut off")
    yield "when drain_timeout ends it, they go elsewhere with their next connection"


def dead(pool: Pool, client: Host) -> Iterator[str]:
    undrain(pool)
    pool.host.inside("ipvsadm", "--set", "0", "0", "300")
    pool.change(check="tcp", check_port="80", check_interval="1s", check_timeout="500ms", persistence_timeout="10min")
    visitors, clients = Visitors(client, 170), Datagrams(client)
    pool.servers[ONE].stop()
    pool.until(OUT, "the dead server has weight 0")
    stuck = visitors.of(ONE)[0]
    expect(answer(client, VIP4, 10, stuck) in FULL, False, "that a persistent client comes back to a dead server")
    pool.host.sysctl("net.ipv4.vs.expire_quiescent_template=1")
    expect(answer(client, VIP4, 10, stuck) in GONE, True, "that it does not, with expire_quiescent_template=1")
    expect(clients.servers(*clients.of(ONE)).count(SILENCE), len(clients.of(ONE)), "UDP clients that stay with a dead server")
    pool.change(quiesce="false")
    pool.until(GONE, "the dead server is removed")
    eventually(lambda: SILENCE not in clients.servers(*clients.of(ONE)), LIMIT_S, "UDP clients go elsewhere", clients.servers)
    clients.close()
    yield "a server that is dead keeps its UDP clients until it is removed (quiesce=false), its persistent ones until 1"
