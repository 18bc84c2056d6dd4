#!/usr/bin/python3
"""Who gets traffic of an ipvs-pool, on a real kernel with real connections: pool_members.py. Run as root in a node of the lab.

The load balancer, three real servers, a sorry server and a client are namespaces on one segment. One line a step; the
exit code is 1 when one of them failed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clients import Sessions  # type: ignore[import-not-found]  # beside this file
from hosts import (  # type: ignore[import-not-found]  # beside this file
    OCF_DEGRADED,
    VIP4,
    Agent,
    Host,
    Observer,
    alone,
    answer,
    eventually,
    expect,
    run,
    story,
)
from pool_drains import drains  # type: ignore[import-not-found]  # beside this file

LIMIT_S = 40.0
"""For what takes a few check intervals; the rest is for a busy machine."""
ANSWER_S = 10.0
SESSIONS = 9
SLOW_START_S = 8
ROUNDING_S = 0.1
UNEQUAL = -1
"""In place of a weight that is not the same in all services."""
ONE, TWO, THREE, SORRY = "one", "two", "three", "sorry"


class Pool:
    """The agent, its daemon, and what the kernel makes of them."""

    def __init__(self, host: Host, servers: dict[str, Host], directory: str) -> None:
        self.host, self.servers = host, servers
        self.rundir = f"{directory}/anycast"
        self.agent = Agent(
            host,
            "ipvs-pool",
            directory,
            "web",
            virtual=f"tcp/{VIP4}:80",
            real_servers=self.reals(ONE, TWO, THREE),
            check_interval="1s",
            check_timeout="500ms",
            rise="1",
            fall="2",
            drain_timeout="10min",
            drain_dir=f"{directory}/drained",
        )

    def reals(self, *names: str, weight: int = 10) -> str:
        return " ".join(f"{self.servers[name].ip4},weight={weight}" for name in names)

    def change(self, **params: str) -> None:
        """Reconfigure as Pacemaker does."""
        self.agent.params.update(params)
        self.agent.must("reload-agent")

    def ctl(self, *words: str) -> str:
        return str(self.host.inside("anycastctl", *words, "--rundir", self.rundir))

    def status(self) -> dict[str, Any]:
        done = subprocess.run(
            ["ip", "netns", "exec", self.host.name, "anycastctl", "status", "--json", "--rundir", self.rundir],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        pool: dict[str, Any] = json.loads(done.stdout)["pools"][0]
        return pool

    def reals_now(self) -> list[dict[str, Any]]:
        """What the daemon says of each of the first service."""
        return list(self.status()["virtual"][0]["real_servers"])

    def states(self) -> dict[str, str]:
        names = {host.ip4: name for name, host in self.servers.items()}
        return {names[real["server"].partition(":")[0]]: real["state"] for real in self.reals_now()}

    def weights(self) -> dict[str, int]:
        """The kernel's table."""
        return dict(self.host.within(self.read))

    def read(self) -> dict[str, int]:
        """The same for a thread that is in the load balancer's namespace; of all services together."""
        names = {host.ip4: name for name, host in self.servers.items()}
        found: dict[str, int] = {}
        for line in Path("/proc/thread-self/net/ip_vs").read_text().splitlines()[3:]:
            words = line.split()
            if words[0] == "->":
                address = socket.inet_ntoa(bytes.fromhex(words[1].partition(":")[0]))
                name, weight = names[address], int(words[3])
                found[name] = weight if found.get(name, weight) == weight else UNEQUAL
        return found

    def observed(self) -> Observer:
        return Observer(self.read, self.host)

    def until(self, wanted: dict[str, int], what: str) -> float:
        return float(eventually(lambda: self.weights() == wanted, LIMIT_S, what, self.weights))

    def kill(self) -> None:
        os.kill(int(Path(f"{self.rundir}/healthd.lock").read_text()), signal.SIGKILL)
        eventually(lambda: self.agent.call("probe") == 1, LIMIT_S, "a probe misses the daemon")


def never_empty(states: list[dict[str, int]], what: str) -> None:
    expect([state for state in states if not any(state.values())], [], f"moments without a server: {what}")


def steps(pool: Pool, client: Host) -> Iterator[str]:
    one, three = pool.servers[ONE], pool.servers[THREE]
    full = {ONE: 10, TWO: 10, THREE: 10}
    pool.agent.must("start")
    expect(pool.weights(), full, "the table after start")
    sessions = Sessions(client, [VIP4] * SESSIONS)
    expect(set(sessions.servers), {ONE, TWO, THREE}, "who serves")

    pool.ctl("drain", one.ip4)
    took = pool.until({**full, ONE: 0}, "the drained server has weight 0")
    expect(pool.states()[ONE], "draining", "its state")
    expect(sessions.alive(), SESSIONS, "the sessions that go on")
    expect({answer(client, VIP4) for _ in range(9)}, {TWO, THREE}, "who serves new clients")
    yield f"anycastctl drain: weight 0 after {took:.1f} s, its sessions go on, new ones go elsewhere"

    pool.kill()
    killed_at = time.time()
    pool.agent.must("start")
    expect(pool.weights(), {**full, ONE: 0}, "the table after kill -9 and start")
    (draining,) = (real for real in pool.reals_now() if real["state"] == "draining")
    expect(draining["drain"]["since"] < killed_at, True, "that the drain has begun before")
    expect(sessions.alive(), SESSIONS, "the sessions that go on")
    pool.agent.must("stop")
    pool.agent.must("start")
    expect(pool.weights(), {TWO: 10, THREE: 10}, "the table after stop and start")
    expect(pool.states()[ONE], "drained", "its state")
    yield "it stays out over kill -9 and start, and over stop and start"
    sessions.close()

    pool.ctl("undrain", one.ip4)
    pool.until(full, "the server is back")
    sessions = Sessions(client, [VIP4] * SESSIONS)
    with pool.observed() as observer:
        pool.change(real_servers=pool.reals(TWO, THREE))
        expect(pool.weights(), {**full, ONE: 0}, "the table after reload-agent")
        expect(sessions.alive(), SESSIONS, "the sessions that go on")
        sessions.close()
        took = pool.until({TWO: 10, THREE: 10}, "the server has drained")
    never_empty(observer.seen, "a server is removed")
    mark = Path(pool.agent.params["drain_dir"], one.ip4)
    mark.touch()
    pool.ctl("undrain", one.ip4)
    expect(mark.exists(), False, "that a server of no pool is still marked as drained")
    yield f"a server that is no longer configured drains, and is gone {took:.1f} s after its last session"

    pool.change(real_servers=pool.reals(ONE, TWO, THREE))
    pool.until(full, "the server is back")
    sessions = Sessions(client, [VIP4] * SESSIONS)
    zero = pool.reals(ONE, weight=0) + " " + pool.reals(TWO, THREE)
    pool.change(real_servers=zero)
    expect(pool.weights(), {**full, ONE: 0}, "the table with weight=0")
    pool.change(drain_timeout="3s")
    pool.until({TWO: 10, THREE: 10}, "the time to drain is over")
    expect("drain_timeout is over" in pool.agent.log(), True, "the log says so")
    yield "weight=0 drains too; a session that does not end is given up with drain_timeout"
    sessions.close()

    pool.change(real_servers=pool.reals(ONE, TWO, THREE))
    pool.until(full, "the server is back")
    pool.change(slow_start=f"{SLOW_START_S}s")
    three.stop()
    pool.until({**full, THREE: 0}, "the dead server has weight 0")
    since: dict[int, float] = {}
    with Observer(lambda: since.setdefault(pool.read()[THREE], time.time()), pool.host):
        three.serve()
        eventually(lambda: pool.weights()[THREE] >= 3, LIMIT_S, "the ramp is under way", pool.weights)
        (begun,) = (real["slow_start"]["since"] for real in pool.reals_now() if "slow_start" in real)
        pool.kill()
        killed = max(since)
        pool.agent.must("monitor", OCF_DEGRADED)
        eventually(lambda: full[THREE] in since, LIMIT_S, "the weight is whole", pool.weights)
    expect(pool.weights(), full, "the table in the end")
    ramp, took = list(since), since[full[THREE]] - begun
    expect(ramp, sorted(ramp), "a weight that only grows")
    expect(len(ramp) >= 4, True, f"a weight that grows in steps: {ramp}")
    # The last of ten steps begins then.
    expect(took > 0.9 * SLOW_START_S - ROUNDING_S, True, f"a weight that is not whole at once: {took:.1f} s")
    yield f"slow start, kill -9 at weight {killed}: {' '.join(map(str, ramp))}, within {took:.1f} s"

    pool.kill()
    pool.host.inside("ipvsadm", "-e", "-t", f"{VIP4}:80", "-r", f"{one.ip4}:80", "-g", "-w", "0")
    pool.agent.must("start")
    pool.until(full, "the server has its weight again")
    yield "a server that is up and had weight 0 when the daemon came back has its weight again"

    sorry = pool.servers[SORRY]
    pool.change(sorry_server=sorry.ip4, slow_start="0s")
    with pool.observed() as observer:
        for name in (ONE, TWO, THREE):
            pool.servers[name].stop()
        pool.until({ONE: 0, TWO: 0, THREE: 0, SORRY: 1}, "the sorry server is in")
        expect(answer(client, VIP4), SORRY, "who serves")
        expect(pool.status()["attribute"]["value"], 0, "the attribute")
        pool.agent.must("monitor", OCF_DEGRADED)
        for name in (ONE, TWO, THREE):
            pool.servers[name].serve()
        took = pool.until(full, "the sorry server is out")
    never_empty(observer.seen, "a sorry server comes and goes")
    pool.agent.must("monitor")
    yield f"the sorry server has traffic without another server, in {len(observer.seen)} states without an empty moment"

    yield blue_green(pool, client)
    pool.change(real_servers=pool.reals(ONE, TWO, THREE))
    pool.until(full, "all are in")

    pool.change(sorry_server="", min_up="2", quorum="2")
    one.stop()
    pool.until({**full, ONE: 0}, "one is out")
    for name in (TWO, THREE):
        pool.servers[name].stop()
    eventually(lambda: pool.status()["virtual"][0]["down_but_pooled"] == 2, LIMIT_S, "two are pooled", pool.status)
    expect(pool.weights(), {**full, ONE: 0}, "the table with min_up=2")
    expect(pool.states(), {ONE: "down", TWO: "down but pooled", THREE: "down but pooled"}, "the states")
    pool.agent.must("monitor", OCF_DEGRADED)
    yield f"min_up=2 keeps the two that failed last, and monitor says so: {pool.agent.reason}"

    pool.servers[TWO].serve()
    eventually(lambda: pool.states()[TWO] == "up", LIMIT_S, "two is up", pool.states)
    expect((pool.status()["attribute"]["value"], pool.weights()), (0, {**full, ONE: 0}), "attribute and table without quorum")
    three.serve()
    eventually(lambda: pool.status()["attribute"]["value"] == 2, LIMIT_S, "the quorum is back", pool.status)
    one.serve()
    pool.until(full, "all are back")
    yield "with one of two that make the quorum the attribute is 0, with two it is 2"

    # As Pacemaker does it that was down meanwhile.
    pool.agent.params.update(real_servers=pool.reals(ONE, TWO), check_retry_interval="100ms")
    pool.agent.must("monitor")
    expect(pool.weights(), full, "the table before the cluster has found it running")
    pool.agent.must("probe")
    expect(pool.weights(), full, "the table after the probe")
    pool.agent.must("monitor")
    pool.until({ONE: full[ONE], TWO: full[TWO]}, "the parameters are in force")
    yield "parameters that were changed while the cluster was down are in force after the first monitor"

    pool.agent.must("stop")
    expect(pool.weights(), {}, "the table after stop")


def blue_green(pool: Pool, client: Host) -> str:
    """All servers are replaced while the new one is not up, with a sorry server; the daemon is killed meanwhile."""
    pool.change(real_servers=pool.reals(ONE))
    pool.until({ONE: 10}, "one is alone")
    pool.servers[TWO].stop()
    with Observer(lambda: answer(client, VIP4, ANSWER_S)) as asked, pool.observed() as observer:
        pool.change(real_servers=pool.reals(TWO))
        expect(pool.weights(), {ONE: 10, TWO: 0}, "the table while the new server is down")
        expect((pool.states()[ONE], pool.status()["attribute"]["value"]), ("leaving, still serving", 1), "state and attribute")
        pool.agent.must("monitor", OCF_DEGRADED)
        reason = pool.agent.reason
        pool.kill()
        pool.agent.must("monitor", OCF_DEGRADED)
        eventually(lambda: pool.states()[ONE] == "leaving, still serving", LIMIT_S, "its state after kill -9", pool.states)
        pool.servers[TWO].serve()
        took = pool.until({TWO: 10}, "the new server is in, and the old one has drained")
    never_empty(observer.seen, "all servers are replaced")
    expect([state for state in observer.seen if SORRY in state], [], "moments with the sorry server")
    expect(list(dict.fromkeys(asked.seen)), [ONE, TWO], "who answered the client, in this order")
    return f"all servers replaced: the old one serves, over kill -9, and goes {took:.1f} s after the new one came: {reason}"


def members(directory: str) -> Iterator[str]:
    hosts = {name: Host(name, 10 + number) for number, name in enumerate((ONE, TWO, THREE, SORRY))}
    balancer, client = Host("balancer", 2), Host("client", 3)
    balancer.sysctl("net.ipv4.ip_forward=1")
    balancer.inside("ip", "address", "add", f"{VIP4}/32", "dev", "lo")
    client.ask_at(balancer)
    # A connection that was closed is forgotten after a second, not after two minutes.
    balancer.inside("ipvsadm", "--set", "0", "1", "0")
    try:
        for host in hosts.values():
            host.have_vip()
            host.serve()
        pool = Pool(balancer, hosts, directory)
        yield from steps(pool, client)
        yield from drains(pool, client)
    finally:
        for host in hosts.values():
            host.stop()


if __name__ == "__main__":
    alone()
    run("modprobe", "-a", "ip_vs", "ip_vs_wlc")
    sys.exit(story(members))
