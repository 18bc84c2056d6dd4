#!/usr/bin/python3
"""Fifty pools on one node, and what happens to their daemon, to their servers and to other pools: many_pools.py.

Run as root in a node of the lab, with the package installed. Load balancer, real servers and a client are namespaces on one
segment. One line a step, with what was measured; the exit code is 1 when one of them failed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import hostile  # type: ignore[import-not-found]  # beside this file
from clients import Stream  # type: ignore[import-not-found]  # beside this file
from hosts import (  # type: ignore[import-not-found]  # beside this file
    OCF_DEGRADED,
    OCF_SUCCESS,
    Agent,
    Host,
    Observer,
    StepFailed,
    alone,
    answer,
    balanced,
    eventually,
    expect,
    halt,
    next_version,
    run,
    story,
)

POOLS = 50
STREAMED = 4
"""Pools that the client asks all the time, of both families and with all servers."""
AT_ONCE = 4
"""Actions that Pacemaker runs at the same time on a node of two cores (node-action-limit)."""
FIRST_ADDRESS = 53
PREFIX4, PREFIX6 = "192.0.2.", "2001:db8::"
INTERVAL_S, FALL = 2.0, 2
PROMISED_S = INTERVAL_S * FALL
"""A server that refuses is out after so long, at the latest."""
SLACK_S = 10.0
"""What a machine that has other things to do may take on top of that."""
LIMIT_S = 60.0
OBSERVED_S = 0.1
"""How often the table is looked at, which is not cheap."""
MOST_INTERPRETERS = 30
"""A start with its first verdict costs as much as this number of interpreters that do nothing, at most; 4 to 7 were measured."""
UNLOADABLE = Path("/etc/modprobe.d/many-pools.conf")


class Pool(Agent):  # type: ignore[misc]
    """A pool of two servers, one of which all pools have; each pool has checks of its own."""

    def __init__(self, lb: Host, rundir: str, number: int, servers: Sequence[Host]) -> None:
        self.is_ipv6 = bool(number % 2)
        self.vip = f"{PREFIX6}{FIRST_ADDRESS + number}" if self.is_ipv6 else f"{PREFIX4}{FIRST_ADDRESS + number}"
        self.servers = (servers[number // 2 % 2], servers[-1])
        host = f"[{self.vip}]" if self.is_ipv6 else self.vip
        super().__init__(
            lb, "ipvs-pool", rundir, f"p{number}:0", virtual=f"tcp/{host}:80 udp/{host}:53",
            real_servers=" ".join(f"[{server.ip6}]" if self.is_ipv6 else server.ip4 for server in self.servers),
            check="tcp", check_port="80", check_interval=f"{INTERVAL_S}s", check_timeout=f"{1900 + number}ms", fall=str(FALL),
            rise="1",
        )  # fmt: skip


class Table:
    """The kernel's table of the load balancer, read from /proc by code that shares nothing with the library."""

    def __init__(self, lb: Host) -> None:
        self.lb = lb

    def read(self) -> dict[str, dict[str, int]]:
        """{"TCP C0000235:0050": {"0A4D000B:0050": 1}}; to be called in the host's namespace."""
        table: dict[str, dict[str, int]] = {}
        reals: dict[str, int] = {}
        for line in Path("/proc/thread-self/net/ip_vs").read_text().splitlines():
            words = line.split()
            if words[0] in ("TCP", "UDP"):
                reals = table.setdefault(f"{words[0]} {words[1]}", {})
            elif words[0] == "->" and words[1] != "RemoteAddress:Port":
                reals[words[1]] = int(words[3])
        return table

    def weights(self, server: Host) -> Counter[int]:
        """In how many services a server has which weight."""
        table = self.lb.within(self.read)
        return Counter(weight for reals in table.values() for weight in weights_of(server, reals))

    def times_of_death(self, server: Host, services: int) -> list[float]:
        """Seconds until it has weight 0 in a service, for each that has it; returns when it has in that many."""
        begun = time.monotonic()
        seen: dict[str, float] = {}

        def watch() -> None:
            while len(seen) < services:
                now = time.monotonic() - begun
                for service, reals in self.read().items():
                    if any(weight == 0 for weight in weights_of(server, reals)):
                        seen.setdefault(service, now)
                if now > LIMIT_S:
                    raise StepFailed(f"{server.name} is dead, and out of {len(seen)} of {services} services after {now:.0f} s")
                time.sleep(0.02)

        self.lb.within(watch)
        return sorted(seen.values())


def weights_of(server: Host, reals: dict[str, int]) -> Iterator[int]:
    """What /proc shows of one server."""
    number = int(server.ip4.rpartition(".")[2])
    # fd00:77::13 is written with its digits as they are, 10.77.0.13 in hexadecimal.
    names = (f"0A4D00{number:02X}:", f"[fd00:0077:0000:0000:0000:0000:0000:{number:04d}]:")
    return (weight for real, weight in reals.items() if real.startswith(names))


class Node:
    """The load balancer with its pools."""

    def __init__(self, lb: Host, servers: list[Host], directory: str) -> None:
        self.lb, self.servers, self.rundir = lb, servers, f"{directory}/run"
        self.table = Table(lb)
        self.pools = [Pool(lb, self.rundir, number, servers) for number in range(POOLS)]
        self.troubles: list[Trouble] = []
        self.keys = {pool.instance.partition(":")[0] for pool in self.pools}

    def daemon(self) -> int:
        """Process id of the health daemon; StepFailed unless there is exactly one here, which has the lock."""
        pid = int(Path(f"{self.rundir}/anycast/healthd.lock").read_text())
        # A program that it starts has its command line for a moment.
        eventually(lambda: self.daemons() == [pid], LIMIT_S, f"{pid} is the only health daemon", self.daemons)
        return pid

    def daemons(self) -> list[int]:
        """The processes whose command line has the run directory."""
        found = []
        for number in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                words = Path("/proc", number, "cmdline").read_text().split("\0")
                found += [int(number)] if f"{self.rundir}/anycast" in words else []
        return found

    def all(self, action: str, pools: Sequence[Agent] | None = None) -> list[int]:
        """The exit codes of an action of all pools, as many at the same time as Pacemaker would have."""
        with ThreadPoolExecutor(AT_ONCE) as executor:
            return list(executor.map(lambda pool: pool.call(action), self.pools if pools is None else pools))

    def must_all(self, action: str) -> float:
        """Seconds that an action of all pools takes; StepFailed unless all succeed."""
        begun = time.monotonic()
        codes = self.all(action)
        expect(Counter(codes), Counter({OCF_SUCCESS: POOLS}), f"{action} of {POOLS} pools: {self.reasons()}")
        return time.monotonic() - begun

    def reasons(self) -> set[str]:
        """What the last actions have said."""
        return {pool.reason for pool in self.pools if pool.reason}

    def states(self) -> Counter[str]:
        """What the daemon says of the pools, and "stale" where it says nothing."""
        argv = ["ip", "netns", "exec", self.lb.name, "anycastctl", "status", "--json", "--rundir", f"{self.rundir}/anycast"]
        said = subprocess.run(argv, capture_output=True, text=True)  # exit code 1 unless all is well
        found = (pool for pool in json.loads(said.stdout)["pools"] if pool["resource"] in self.keys)
        return Counter("stale" if pool.get("stale") else pool["state"].partition(" ")[0] for pool in found)

    def await_running(self) -> None:
        """Return when the daemon says that all pools run."""
        eventually(lambda: self.states() == Counter(running=POOLS), LIMIT_S, "all pools run", self.states)

    def detection(self) -> list[float]:
        """Kill the server that all pools have, and see when each service has it out; afterwards all is as before."""
        victim = self.servers[-1]
        services = 2 * POOLS
        victim.stop()
        times = self.table.times_of_death(victim, services)
        victim.serve()
        eventually(
            lambda: self.table.weights(victim)[1] == services, LIMIT_S, f"{victim.name} is back everywhere",
            lambda: self.table.weights(victim),
        )  # fmt: skip
        return times


def shown(times: Sequence[float]) -> str:
    return f"median {statistics.median(times):.2f} s, last {max(times):.2f} s"


class Trouble(Agent):  # type: ignore[misc]
    """A pool with something wrong about it; `words` are what its monitor says then."""

    def __init__(self, node: Node, name: str, words: str, server: Host, port: int, **params: str) -> None:
        number = FIRST_ADDRESS + POOLS + len(node.troubles)
        self.virtual = f"{PREFIX4}{number}:80"
        super().__init__(
            node.lb, "ipvs-pool", node.rundir, f"{name}:0", virtual=f"tcp/{self.virtual}",
            real_servers=server.ip4, check_port=str(port), check_interval="2s", check_timeout="1s", fall="1", **params,
        )  # fmt: skip
        self.words = words
        self.path = node.pools[0].path
        node.troubles.append(self)

    def await_words(self) -> None:
        """Return when the monitor says them."""

        def says() -> bool:
            self.call("monitor")
            return self.words in self.reason

        eventually(says, LIMIT_S, f"{self.instance} says {self.words!r}", lambda: self.reason)


def prepare(lb: Host, servers: list[Host], client: Host) -> None:
    """Have all addresses of the documentation's networks be VIPs, not only those two."""
    for host in (lb, *servers):
        host.inside("ip", "route", "add", "local", f"{PREFIX4}0/24", "dev", "lo")
        host.inside("ip", "-6", "route", "add", "local", f"{PREFIX6}/64", "dev", "lo")
        host.sysctl("net.ipv6.ip_nonlocal_bind=1")  # answers to datagrams come from such an address
    client.inside("ip", "route", "add", f"{PREFIX4}0/24", "via", lb.ip4)
    client.inside("ip", "route", "add", f"{PREFIX6}/64", "via", lb.ip6)


def acquaint(client: Host, pools: Sequence[Pool]) -> None:
    """Have the neighbors know each other: the first packet to an unknown one may be lost."""
    for pool in pools:
        seen: set[str] = set()
        eventually(
            partial(have_answered, client, pool, seen), LIMIT_S, f"all servers of {pool.vip} answer", partial(sorted, seen)
        )  # fmt: skip


def have_answered(client: Host, pool: Pool, seen: set[str]) -> bool:
    """Ask once more; whether all servers of the pool have answered by now."""
    seen.add(answer(client, pool.vip))
    return {server.name for server in pool.servers} <= seen


def started(node: Node) -> Iterator[str]:
    begun = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as executor:
        list(executor.map(lambda _: node.lb.inside(sys.executable, "-IS", "-c", ""), range(POOLS)))
    bare = time.monotonic() - begun
    took = node.must_all("start")
    node.await_running()
    node.daemon()
    if took > MOST_INTERPRETERS * bare:
        raise StepFailed(f"{POOLS} pools take {took:.1f} s to start, {POOLS} interpreters that do nothing {bare:.1f} s")
    yield (
        f"{POOLS} pools are started by their agents, {AT_ONCE} at a time, and have their verdicts, in {took:.1f} s;"
        f" {POOLS} interpreters that do nothing take {bare:.1f} s"
    )
    took = node.must_all("monitor")
    yield f"their monitors take {took:.1f} s"


def handed_over(node: Node, stream: Stream, directory: str) -> Iterator[str]:
    """Nothing is lost, no pool fails and no weight changes while the daemon is killed, hangs and is of another version."""
    before = node.daemon()
    os.kill(before, signal.SIGKILL)
    stream.flow()
    took = node.pools[-1].must("monitor", OCF_DEGRADED)
    after = node.daemon()
    others = node.all("monitor", node.pools[:-1])
    expect(Counter(others), Counter({OCF_SUCCESS: POOLS - 1}), f"the monitors after the first one: {node.reasons()}")
    expect(node.daemon(), after, "the daemon after all monitors")
    yield f"kill -9: the first monitor replaces it for all pools, in {took:.2f} s; {taken_over(node, stream, before)}"

    before = node.daemon()
    halt(before)
    stream.flow()
    yield f"SIGSTOP: {monitored(node)}; {taken_over(node, stream, before)}"

    before = node.daemon()
    agents = next_version(directory)
    hostile.spoil(f"{directory}/ocf/lib/anycast")
    for pool in node.pools:
        pool.path = f"{agents}/ipvs-pool"
    yield f"an upgrade: {monitored(node)}; {taken_over(node, stream, before)}"


def monitored(node: Node) -> str:
    """Have all pools monitored; StepFailed unless each runs and some have found another daemon in place of the old one."""
    begun = time.monotonic()
    codes = Counter(node.all("monitor"))
    took = time.monotonic() - begun
    if not codes[OCF_DEGRADED] or set(codes) > {OCF_SUCCESS, OCF_DEGRADED}:
        raise StepFailed(f"the monitors say {codes}: {node.reasons()}")
    return f"the monitors of all pools take {took:.1f} s, and {codes[OCF_DEGRADED]} of them say that the daemon was replaced"


def taken_over(node: Node, stream: Stream, before: int) -> str:
    """StepFailed unless another daemon runs all pools, with all its verdicts."""
    expect(node.daemon() != before, True, "that there is another daemon")
    node.await_running()
    stream.flow()
    return f"asked so far {stream.asked['tcp']} connections, {stream.asked['udp']} datagrams"


def with_costly_answers(node: Node, bad: Host, clean_s: float) -> Iterator[str]:
    """No other pool is held up by servers whose answers cost processor time and memory without end."""
    http = {"check": "http", "check_expect": "nowhere"}
    dns = {"check": "dns", "check_transport": "tcp", "check_rdtype": "CNAME", "check_name": "a", "check_expect": "none"}
    regex = {"check": "tcp", "check_expect": hostile.NESTED}
    begin(
        [
            Trouble(node, "body", "no 'nowhere' in the body", bad, hostile.ENDLESS_BODY, **http),
            Trouble(node, "line", "not an HTTP answer", bad, hostile.ENDLESS_LINE, **http),
            Trouble(node, "pointers", "no 'none' among the records", bad, hostile.DNS_POINTERS, **dns),
            Trouble(node, "regex", "takes more than 100 ms for the answer", bad, hostile.BACKTRACKING, **regex),
        ]
    )
    yield f"servers with costly answers: {on_time(node, clean_s)}"


def with_poison(node: Node, directory: str, clean_s: float) -> Iterator[str]:
    """Nor by pools whose checks have faults or never end, whose files hang, whose table the kernel refuses."""
    share = Path(directory, "share")
    share.mkdir()
    (share / "secret").write_text("secret\n")
    server = node.servers[0]
    files = {"check_user": "user", "check_secret": f"{share}/secret", "drain_dir": f"{share}/drained"}
    command = {"check": "external", "check_command": "/usr/bin/tail -f /dev/null"}
    faults = [
        Trouble(node, "raises", "RuntimeError: a fault of the check", server, 80, check="imap"),
        Trouble(node, "dies", "killed by signal 6", server, 80, check="pop3"),
        Trouble(node, "burns", "more than 1 s of processor time without a pause", server, 80, check="ftp"),
        Trouble(node, "swells", "out of memory", server, 80, check="smtp"),
        Trouble(node, "never-ends", "timed out", server, 80, **command),
    ]
    refused = Trouble(node, "refused", "the kernel has no IPVS scheduler 'sed'", server, 80, check="tcp", scheduler="sed")
    hangs = Trouble(node, "files", "", server, 80, check="http", **files)
    refused.must("start")
    hangs.must("start")
    UNLOADABLE.write_text("install ip_vs_sed /bin/false\n")
    try:
        eventually(partial(taken_out, node.lb, refused.virtual), LIMIT_S, "the scheduler is unloaded")
        with hostile.hanging(str(share)):
            begin(faults)
            refused.await_words()
            eventually(lambda: f"reading {share}/drained timed out" in node.pools[0].log(), LIMIT_S, "the files hang")
            yield f"pools with something wrong about them: {on_time(node, clean_s)}"
    finally:
        UNLOADABLE.unlink()


def taken_out(lb: Host, virtual: str) -> bool:
    """Take a service out of the table, and its scheduler out of the kernel; whether the daemon was not quicker."""
    subprocess.run(["ip", "netns", "exec", lb.name, "ipvsadm", "-D", "-t", virtual], capture_output=True)
    return subprocess.run(["rmmod", "ip_vs_sed"], capture_output=True).returncode == 0


def begin(troubles: Sequence[Trouble]) -> None:
    """Start pools, and return when each is in the trouble that it is there for."""
    with ThreadPoolExecutor(AT_ONCE) as executor:
        list(executor.map(lambda one: one.must("start"), troubles))
    for trouble in troubles:
        trouble.await_words()


def on_time(node: Node, clean_s: float) -> str:
    """What the other pools notice of it: how soon a dead server is out, and the monitors are done."""
    monitors_s = node.must_all("monitor")
    times = node.detection()
    if max(times) > max(clean_s, PROMISED_S) + INTERVAL_S + SLACK_S:
        raise StepFailed(f"a dead server is out after {shown(times)}, without them after {clean_s:.2f} s")
    return f"a dead server is out after {shown(times)}; monitors of all pools take {monitors_s:.1f} s"


def steps(directory: str) -> Iterator[str]:
    with balanced() as (lb, servers, client):
        prepare(lb, servers, client)
        node = Node(lb, servers, directory)
        yield from started(node)
        streamed = node.pools[:STREAMED]
        acquaint(client, streamed)
        observer = Observer(node.table.read, lb)
        observer.PAUSE_S = OBSERVED_S
        with observer, Stream(client, [pool.vip for pool in streamed]) as stream:
            yield from handed_over(node, stream, directory)
        for table in observer.seen:
            empty = [service for service, reals in table.items() if len(reals) < 2 or not any(reals.values())]
            expect((len(table), empty), (2 * POOLS, []), "services of the table meanwhile, and those without servers")
        yield f"nothing was lost of {stream.asked}; the table had {len(observer.seen)} states meanwhile"
        clean = node.detection()
        yield f"a dead server of all pools is out of {len(clean)} services: {shown(clean)}"
        bad = Host("bad", 20)
        try:
            bad.start(sys.executable, "-S", hostile.__file__)
            yield from with_costly_answers(node, bad, max(clean))
            yield from with_poison(node, directory, max(clean))
        finally:
            bad.stop()


def story_of_many(directory: str) -> Iterator[str]:
    try:
        yield from steps(directory)
    finally:
        with contextlib.suppress(OSError, ValueError):
            os.kill(int(Path(f"{directory}/run/anycast/healthd.lock").read_text()), signal.SIGKILL)


if __name__ == "__main__":
    run("modprobe", "-a", "bridge", "veth", "fuse")
    alone()
    # A file system that is mounted later is to hang in the namespaces of the hosts, too.
    run("mount", "--make-rshared", "/")
    # As /run, where the agents' files are: writing them does not wait for a disk.
    run("mount", "-t", "tmpfs", "tmpfs", tempfile.gettempdir())
    # There is no cluster here, and a command that fails is tried again and again.
    tool = Path("/usr/sbin/attrd_updater")
    if tool.exists():
        run("mount", "--bind", "/usr/bin/true", str(tool))
        sys.exit(story(story_of_many))
    tool.symlink_to("/usr/bin/true")
    try:
        sys.exit(story(story_of_many))
    finally:
        tool.unlink()
