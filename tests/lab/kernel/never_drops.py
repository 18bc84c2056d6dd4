#!/usr/bin/python3
"""No client notices what is done to a pool: never_drops.py. Run as root in a node of the lab.

A load balancer, three real servers and a client are namespaces on one segment. The client asks all the time, over
TCP and UDP, IPv4 and IPv6, and every step fails if an answer, a packet or a connection is lost. One line a step; the
exit code is 1 when one of them failed.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from clients import Stream, acquaint  # type: ignore[import-not-found]  # beside this file
from hosts import (  # type: ignore[import-not-found]  # beside this file
    OCF_DEGRADED,
    OCF_ERR_GENERIC,
    OCF_SUCCESS,
    VIP4,
    VIP6,
    Agent,
    Host,
    alone,
    balanced,
    eventually,
    expect,
    next_version,
    run,
    story,
)

LIMIT_S = 30.0
VIRTUAL = f"tcp/{VIP4}:80 udp/{VIP4}:53 tcp/[{VIP6}]:80 udp/[{VIP6}]:53"


class Pool(Agent):  # type: ignore[misc]
    """The agent, and what its daemon and the kernel have."""

    def __init__(self, host: Host, directory: str) -> None:
        super().__init__(
            host, "ipvs-pool", f"{directory}/run", "web:0", virtual=VIRTUAL, scheduler="wrr", check="tcp", check_port="80",
            check_interval="1s", check_timeout="900ms", rise="1", drain_dir=f"{directory}/drained",
        )  # fmt: skip
        self.base = f"{self.rundir}/anycast/ipvs-pool-web"

    def have(self, *servers: str) -> None:
        """Have it with these real servers, options behind a comma."""
        self.params["real_servers"] = " ".join(servers)

    def daemon(self) -> int:
        """Process id of the health daemon."""
        return int(Path(self.base).with_name("healthd.lock").read_text())

    def lose(self, number: signal.Signals) -> None:
        """End the daemon; returns when it is gone."""
        os.kill(self.daemon(), number)
        eventually(lambda: self.call("probe") == OCF_ERR_GENERIC, LIMIT_S, "the daemon is gone", lambda: self.reason)

    def weights(self, server: Host) -> set[int]:
        """What a server has behind the services, as ipvsadm sees it."""
        text = self.host.inside("ipvsadm", "-Sn")
        found = re.findall(rf"-r (?:{re.escape(server.ip4)}|\[{re.escape(server.ip6)}\]):\d+ .*-w (\d+)", text)
        return set(map(int, found))

    def wait(self, server: Host, *weights: int) -> None:
        """Return when a server has one of these weights behind every service, with none when it is not there at all."""
        eventually(
            lambda: self.weights(server) == set(weights), LIMIT_S, f"{server.name} has weight {weights}",
            lambda: self.host.inside("ipvsadm", "-Ln"),
        )  # fmt: skip


def of(server: Host, options: str = "") -> str:
    """A server in real_servers, for both families."""
    return f"{server.ip4}{options} [{server.ip6}]{options}"


def by_hand(host: Host, servers: list[Host]) -> None:
    """The table as another program has made it."""
    for option, vip4, vip6 in (("-t", f"{VIP4}:80", f"[{VIP6}]:80"), ("-u", f"{VIP4}:53", f"[{VIP6}]:53")):
        for vip, reals in ((vip4, [s.ip4 for s in servers]), (vip6, [f"[{s.ip6}]" for s in servers])):
            host.inside("ipvsadm", "-A", option, vip, "-s", "rr")
            for real in reals:
                host.inside("ipvsadm", "-a", option, vip, "-r", f"{real}:{vip.rpartition(':')[2]}", "-g", "-w", "3")


def settle(pool: Pool) -> None:
    """Returns when the daemon that has taken another one's place has all its verdicts."""
    eventually(lambda: pool.call("monitor") == OCF_SUCCESS, LIMIT_S, "the new daemon has its verdicts", lambda: pool.reason)


def restarts(pool: Pool, stream: Stream, servers: list[Host], directory: str) -> Iterator[str]:
    one, two, _ = servers
    took = pool.must("start")
    stream.flow()
    for server in (one, two):
        pool.wait(server, 1)
    yield f"start over a table that was there ({took:.2f} s): adopted, with another scheduler and other weights"

    pool.lose(signal.SIGKILL)
    stream.flow()
    took = pool.must("start")
    stream.flow()
    yield f"kill -9 of the daemon, and start ({took:.2f} s)"

    os.kill(pool.daemon(), signal.SIGKILL)
    eventually(lambda: pool.call("monitor") == OCF_DEGRADED, LIMIT_S, "monitor replaces the daemon", lambda: pool.reason)
    reason = pool.reason
    stream.flow()
    settle(pool)
    yield f"kill -9 of the daemon, and monitor: {reason}"

    before = pool.daemon()
    pool.path = f"{next_version(directory)}/ipvs-pool"
    took = pool.must("monitor", OCF_DEGRADED)
    reason = pool.reason
    stream.flow()
    expect(pool.daemon() != before, True, "that there is another daemon")
    settle(pool)
    pool.must("reload-agent")
    yield f"the first monitor after an upgrade puts the new daemon in the old one's place ({took:.2f} s): {reason}"

    pool.lose(signal.SIGTERM)
    # Without a cluster: an operator takes a server out by hand, and later starts the pool by hand.
    for option, vip, real in (("-t", f"{VIP4}:80", f"{two.ip4}:80"), ("-u", f"[{VIP6}]:53", f"[{two.ip6}]:53")):
        pool.host.inside("ipvsadm", "-e", option, vip, "-r", real, "-g", "-w", "0")
    stream.flow()
    pool.must("start")
    pool.wait(two, 1)
    stream.flow()
    pool.must("monitor")
    yield "unmanaged: a server that is healthy and was left at weight 0 has its weight back after a start"


def reloads(pool: Pool, stream: Stream, servers: list[Host]) -> Iterator[str]:
    one, two, three = servers
    pool.have(of(one, ",weight=5"), of(two), of(three))
    pool.must("reload-agent")
    pool.wait(three, 1)
    stream.flow()
    yield "reload-agent: one server more, another weight"

    pool.params.update(check="dns", check_port="53", check_name="a", scheduler="wlc")
    pool.must("reload-agent")
    pool.must("monitor")
    stream.flow()
    yield "reload-agent: other checks, another scheduler"

    leaving = next(server for server in (two, three) if server.name.encode() not in stream.servers)
    pool.have(*(of(server) for server in servers if server is not leaving))
    pool.must("reload-agent")
    pool.wait(leaving, 0)
    stream.flow()
    yield f"reload-agent: {leaving.name} is no longer wanted, and drains"

    pool.have(of(leaving))
    pool.must("reload-agent")
    pool.wait(leaving, 1)
    for server in servers:
        if server is not leaving:
            pool.wait(server, 0)
    stream.flow()
    yield "reload-agent: all servers replaced"


def steps(directory: str) -> Iterator[str]:
    with balanced() as (lb, servers, client):
        pool = Pool(lb, directory)
        by_hand(lb, servers[:2])
        pool.have(of(servers[0]), of(servers[1]))
        acquaint(client, servers[:2])
        with Stream(client) as stream:
            yield from restarts(pool, stream, servers, directory)
            yield from reloads(pool, stream, servers)
            stream.flow()
        yield f"nothing was lost of {stream.asked}"
        pool.must("stop")


if __name__ == "__main__":
    run("modprobe", "-a", "bridge", "veth")
    alone()
    sys.exit(story(steps))
