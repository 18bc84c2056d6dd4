#!/usr/bin/python3
"""check_via=vip on a real kernel: vip_checks.py. Run as root in a node of the lab.

A load balancer and two real servers are namespaces on one segment. One line a step; the exit code is 1 when one
of them failed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from hosts import (  # type: ignore[import-not-found]  # beside this file
    OCF_ERR_ARGS,
    VIP4,
    VIP6,
    Agent,
    Host,
    alone,
    eventually,
    expect,
    run,
    story,
)

LIMIT_S = 20.0
"""For a verdict, which takes two checks a second apart."""


class Pool:
    """The agent, and what its daemon says."""

    def __init__(self, host: Host, directory: str, virtual: str, reals: str, **params: str) -> None:
        rundir = f"{directory}/{host.name}"
        self.base = f"{rundir}/anycast/ipvs-pool-web"
        self.agent = Agent(
            host, "ipvs-pool", rundir, "web:0", virtual=virtual, real_servers=reals, check_via="vip",
            check_interval="1s", check_timeout="900ms", rise="1", fall="2", **params,
        )  # fmt: skip

    def states(self) -> dict[str, str]:
        """State of each server, with the reason: {"tcp/192.0.2.53:80 10.77.0.11:80": "down: connection refused"}."""
        found = {}
        for service in json.loads(Path(f"{self.base}.status").read_text())["virtual"]:
            for real in service["real_servers"]:
                reason = f": {real['reason']}" if real["state"] != "up" else ""
                found[f"{service['service']} {real['server']}"] = f"{real['state']}{reason}"
        return found

    def wait(self, server: Host, state: str, limit: float = LIMIT_S) -> float:
        """Seconds until a server is up, or down, behind all services."""

        def there() -> bool:
            ours = [text for name, text in self.states().items() if server.ip4 in name or server.ip6 in name]
            return all(text.startswith(state) for text in ours)

        return float(eventually(there, limit, f"{server.name} is {state}", self.states))

    def reason(self, server: str) -> str:
        """Why a server is down, by its address."""
        return next(text for name, text in self.states().items() if server in name)

    def kill(self) -> None:
        """SIGKILL for the daemon."""
        os.kill(int(Path(self.base).with_name("healthd.lock").read_text()), signal.SIGKILL)


def private(host: Host) -> int:
    """How many services there are for single servers."""
    return sum("FWM" in line for line in host.inside("cat", "/proc/net/ip_vs").splitlines())


def tunnels(server: Host) -> None:
    """Its ends of a tunnel, for both families."""
    server.inside("ip", "link", "set", "tunl0", "up")
    server.inside("ip", "link", "set", "ip6tnl0", "up")
    server.inside("ip", "-6", "tunnel", "add", "lb6", "mode", "ip6ip6", "local", server.ip6, "remote", "::")
    server.inside("ip", "link", "set", "lb6", "up")
    server.sysctl("net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.tunl0.rp_filter=0")


def steps(directory: str) -> Iterator[str]:
    lb, one, two = Host("lb", 1), Host("rs1", 11), Host("rs2", 12)
    reals = f"{one.ip4} {two.ip4} [{one.ip6}] [{two.ip6}]"
    # A node without the addresses has some route to them, as in real life.
    lb.inside("ip", "route", "add", "default", "via", "10.77.0.254")
    lb.inside("ip", "-6", "route", "add", "default", "via", "fd00:77::254")
    pool = Pool(lb, directory, f"tcp/{VIP4}:80 tcp/[{VIP6}]:80 udp/{VIP4}:53", reals, check_port="80")
    agent = pool.agent
    try:
        one.have_vip()
        for server in (one, two):
            server.serve()

        agent.must("start", check_via="real")
        pool.wait(two, "up")
        agent.must("stop")
        yield "rs2 lacks the addresses, and check_via=real says that it is up"

        agent.must("start", OCF_ERR_ARGS)
        yield f"a host that would not hear the answers is told so: {agent.reason}"
        lb.sysctl("net.ipv4.conf.eth0.accept_local=1", "net.ipv4.conf.all.rp_filter=1")
        agent.must("start", OCF_ERR_ARGS)
        expect("rp_filter=2" in agent.reason, True, agent.reason)
        lb.sysctl("net.ipv4.conf.eth0.rp_filter=2")

        took = agent.must("start")
        pool.wait(one, "up")
        pool.wait(two, "down")
        for address, vip in ((two.ip4, VIP4), (two.ip6, VIP6)):
            expect(f"is {vip} on the loopback of {address}?" in pool.reason(address), True, pool.reason(address))
        expect(private(lb), 6, "services for single servers")
        yield f"check_via=vip says that it is down, on the node without the addresses ({took:.1f} s): {pool.reason(two.ip4)}"

        two.have_vip()
        took = pool.wait(two, "up")
        yield f"with the addresses it is up, after {took:.1f} s"

        vip = Agent(lb, "anycast-vip", agent.rundir, "vip4", ip=VIP4)
        vip.must("start")
        vip.must("monitor")
        lb.inside("ip", "address", "add", f"{VIP6}/128", "dev", "lo", "nodad", "preferred_lft", "0")
        two.lose_vip()
        pool.wait(two, "down")
        pool.wait(one, "up")
        vip.must("monitor")
        two.have_vip()
        took = pool.wait(two, "up")
        yield "so it is on the node with the addresses, whose gate does not see the services for single servers"

        lb.inside("ipvsadm", "-C")
        eventually(lambda: private(lb) == 6, LIMIT_S, "they are back", lambda: private(lb))
        agent.must("monitor")
        expect(set(pool.states().values()), {"up"}, "the states after ipvsadm -C")
        pool.kill()
        agent.must("start")
        expect(private(lb), 6, "services for single servers after a kill and a start")
        yield "ipvsadm -C takes no server out, and a daemon that was killed leaves nothing twice"

        agent.must("reload-agent", virtual=f"udp/{VIP4}:53 udp/[{VIP6}]:53", check="dns", check_name="a", check_port="53")
        pool.wait(one, "up")
        two.stop()
        pool.wait(two, "down")
        expect("connection refused" in pool.reason(two.ip4), True, pool.reason(two.ip4))
        expect(private(lb), 4, "services for single servers after a reload")
        two.serve()
        pool.wait(two, "up")
        yield "UDP: a port that is closed is a refusal here, too"

        agent.must("reload-agent", forward="tunnel")
        pool.wait(two, "down")
        expect("does 10.77.0.12 have a device for ipip" in pool.reason(two.ip4), True, pool.reason(two.ip4))
        for server in (one, two):
            tunnels(server)
        pool.wait(two, "up")
        pool.wait(one, "up")
        yield "without their end of the tunnel they are down, with it they are up"

        agent.must("reload-agent", forward="nat")
        pool.wait(two, "up")
        expect(private(lb), 6, "services for single servers after the last reload")
        agent.must("reload-agent", check_via="real")
        expect(private(lb), 0, "services for single servers with check_via=real")
        agent.must("start")
        pool.kill()
        agent.must("stop")
        expect((private(lb), lb.inside("ipvsadm", "-Sn")), (0, ""), "the table after a kill and a stop")
        expect([name for name in os.listdir(f"{agent.rundir}/anycast") if "web" in name or name == "check-marks"], [], "files")
        yield "NAT; and nothing is left after check_via=real, nor after a kill and a stop"
    finally:
        for server in (one, two):
            server.stop()


if __name__ == "__main__":
    run("modprobe", "-a", "ipip", "ip6_tunnel", "bridge", "veth")
    alone()
    sys.exit(story(steps))
