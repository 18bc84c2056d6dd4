#!/usr/bin/python3
"""The life of ipvs-sync on a real kernel, and what it is for: sync_lifecycle.py. Run as root in a node of the lab.

Two load balancers, two real servers and a client are namespaces on one segment. One line a step; the exit code
is 1 when one of them failed.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from clients import Sessions  # type: ignore[import-not-found]  # beside this file
from hosts import (  # type: ignore[import-not-found]  # beside this file
    OCF_ERR_ARGS,
    OCF_ERR_GENERIC,
    OCF_NOT_RUNNING,
    VIP4,
    VIP6,
    Agent,
    Host,
    StepFailed,
    alone,
    eventually,
    expect,
    story,
)

SESSIONS = 20
SETTLED_S = 20.0
"""The kernel sends within two seconds; the rest is for a busy machine."""


def daemons(host: Host) -> dict[str, str]:
    """How each daemon is set, in the words of ipvsadm."""
    found = re.findall(r"^(\w+) sync daemon \((.*)\)$", host.inside("ipvsadm", "-Ln", "--daemon"), re.M)
    return dict(found)


def both(text: str) -> dict[str, str]:
    return {"master": text, "backup": text}


def known(host: Host, sessions: Sessions) -> int:
    """How many of these this host knows as established."""
    lines = [line.split() for line in host.inside("ipvsadm", "-Lnc").splitlines()]
    return len(sessions.sources & {words[3] for words in lines if "ESTABLISHED" in words})


def lifecycle(agent: Agent) -> Iterator[str]:
    host = agent.host
    default = "mcast=eth0, syncid=7, maxlen=1472, group=224.0.0.81, port=8848, ttl=1"
    agent.must("validate-all")
    agent.must("probe", OCF_NOT_RUNNING)
    agent.must("stop")
    took = agent.must("start")
    expect(daemons(host), both(default), "the daemons")
    yield f"start brings up both daemons in {took:.2f} s; monitor is content in {agent.must('monitor'):.2f} s"
    agent.must("start")
    agent.must("probe")

    host.inside("ipvsadm", "--stop-daemon", "master")
    agent.must("monitor", OCF_ERR_GENERIC)
    expect(agent.reason, "the master daemon does not run", "the reason")
    host.inside("ipvsadm", "--start-daemon", "master", "--mcast-interface", "eth0", "--syncid", "9")
    agent.must("monitor", OCF_ERR_GENERIC)
    expect(agent.reason, "the master daemon has syncid 9 instead of 7", "the reason")
    yield f"monitor says what is wrong: {agent.reason}"
    agent.must("start")
    expect(daemons(host), both(default), "the daemons after start")

    host.unplug()
    host.plug()
    agent.must("monitor", OCF_ERR_GENERIC)
    reason = agent.reason
    agent.must("stop")
    agent.must("start")
    agent.must("monitor")
    yield f"an interface that was made anew is noticed, and a restart is the cure: {reason}"

    host.inside("ip", "link", "set", "eth0", "down")
    agent.must("monitor", 190)
    host.inside("ip", "link", "set", "eth0", "up")
    eventually(lambda: agent.call("monitor") == 0, 10, "monitor is content", lambda: agent.reason)
    yield "one that is down is a degradation: nothing here could mend it"

    second = Agent(host, "ipvs-sync", agent.rundir, "second", nic="eth0", syncid="8")
    second.must("probe", OCF_NOT_RUNNING)
    second.must("start", OCF_ERR_GENERIC, CRM_meta_timeout="6000")
    reason = second.reason
    second.must("stop")
    expect(daemons(host), both(default), "the daemons of the first resource")
    yield f"a second resource does not start, and its stop does no harm: {reason}"

    agent.must("stop")
    expect(daemons(host), {}, "the daemons after stop")
    agent.must("stop")
    agent.must("probe", OCF_NOT_RUNNING)
    group6 = {"mcast_group": "ff02::81", "maxlen": "1400", "mcast_port": "9000", "mcast_ttl": "3"}
    agent.must("start", **group6)
    words = "mcast=eth0, syncid=7, maxlen=1400, group=ff02::81, port=9000, ttl=3"
    expect(daemons(host), both(words), "the daemons on IPv6")
    agent.must("monitor", **group6)
    agent.must("start")
    expect(daemons(host), both(default), "the daemons after a start with other parameters")
    agent.must("stop", nic="", syncid="")
    expect(daemons(host), {}, "the daemons after a stop without a configuration")
    yield "IPv6, every parameter; a start with other ones restarts, a stop needs none"

    for milliseconds in range(20, 260, 40):
        for action in ("start", "stop"):
            agent.killed(action, milliseconds / 1000)
            if agent.call("probe") not in (0, OCF_ERR_GENERIC, OCF_NOT_RUNNING):
                raise StepFailed(f"probe after a {action} killed at {milliseconds} ms: {agent.reason}")
        agent.must("start")
        agent.must("monitor")
        agent.killed("stop", milliseconds / 1000)
        agent.must("stop")
        expect(daemons(host), {}, f"the daemons, with a stop killed at {milliseconds} ms")
        agent.must("probe", OCF_NOT_RUNNING)
    yield "killed at any moment: the next start or stop puts it right"

    agent.must("start", OCF_ERR_ARGS, nic="eth9")
    agent.must("stop")
    host.inside("ipvsadm", "-A", "-t", f"{VIP4}:80")
    host.inside("ipvsadm", "-a", "-t", f"{VIP4}:80", "-r", "[fd00:77::99]:80", "-i")
    agent.must("start", OCF_ERR_ARGS)
    reason = agent.reason
    agent.must("stop")
    host.inside("ipvsadm", "-C")
    yield f"the kernel does not do both: {reason}"


def sharing(agents: list[Agent], client: Host, servers: list[Host]) -> Iterator[str]:
    one, two = (agent.host for agent in agents)
    for host in (one, two):
        host.have_vip()
        for service, reals in ((f"{VIP4}:80", [s.ip4 for s in servers]), (f"[{VIP6}]:80", [f"[{s.ip6}]" for s in servers])):
            host.inside("ipvsadm", "-A", "-t", service, "-s", "rr")
            for real in reals:
                host.inside("ipvsadm", "-a", "-t", service, "-r", f"{real}:80", "-g")
    for server in servers:
        server.have_vip()
        server.serve()
    for agent in agents:
        agent.must("start")
    addresses = [VIP4, VIP6] * (SESSIONS // 2)

    client.ask_at(one)
    sessions = Sessions(client, addresses)
    expect(sorted(set(sessions.servers)), [server.name for server in servers], "the servers that answer")
    took = eventually(
        lambda: known(two, sessions) == SESSIONS, SETTLED_S, "the other node knows them", lambda: known(two, sessions)
    )
    client.ask_at(two)
    expect(sessions.alive(), SESSIONS, "sessions that live on at the other node")
    sessions.close()
    yield f"the other node knows {SESSIONS} sessions after {took:.2f} s, and all go on there with their servers"

    agents[1].must("stop")
    client.ask_at(one)
    sessions = Sessions(client, addresses)
    client.ask_at(two)
    expect(sessions.alive(), 0, "sessions that live on at a node that never heard of them")
    sessions.close()
    agents[0].must("stop")
    yield "without it none does"


def steps(directory: str) -> Iterator[str]:
    one, two, client = Host("lb1", 1), Host("lb2", 2), Host("client", 3)
    servers = [Host("rs1", 11), Host("rs2", 12)]
    agents = [
        Agent(host, "ipvs-sync", f"{directory}/{host.name}", "sync:0", nic="eth0", syncid="7") for host in (one, two)
    ]
    try:
        yield from lifecycle(agents[0])
        yield from sharing(agents, client, servers)
    finally:
        for server in servers:
            server.stop()


if __name__ == "__main__":
    alone()
    sys.exit(story(steps))
