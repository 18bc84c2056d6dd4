#!/usr/bin/python3
"""The life of an ipvs-pool on a real kernel: pool_lifecycle.py. Run as root in a node of the lab.

Everything happens in a network namespace of its own, with two servers (DNS, HTTP) in namespaces behind it, and
vanishes with it. One line a step; the exit code is 1 when one of them failed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

from hosts import (  # type: ignore[import-not-found]  # beside this file
    OCF_DEGRADED,
    OCF_ERR_ARGS,
    OCF_ERR_GENERIC,
    OCF_NOT_RUNNING,
    OCF_SUCCESS,
    Agent,
    Observer,
    StepFailed,
    alone,
    expect,
    halt,
    run,
    story,
)
from hosts import eventually as poll
from pool_backends import BACKENDS, Backend  # type: ignore[import-not-found]  # beside this file

INTERVAL_S, TIMEOUT_S, RISE, FALL = 1.0, 0.5, 2, 2
CALM_LIMIT_S = 30.0  # an attribute follows a change that is not to or from 0 after five seconds
SLACK_S = 15.0  # what a slow machine may take on top of what is promised
VIRTUAL = "udp/192.0.2.53:53 tcp/192.0.2.53:80 tcp/[2001:db8::53]:80"
FOREIGN = "tcp/192.0.2.99:99"


def eventually(probe: Callable[[], object], limit: float, what: str) -> float:
    """Seconds until probe() is true; StepFailed with the table when it is not within `limit` seconds."""
    return float(poll(probe, limit, what, weights))


def weights() -> dict[str, dict[str, int]]:
    """The kernel's table, as an oracle that shares no code with the library: {"udp/192.0.2.53:53":
    {"10.254.0.11": 1}}.
    """
    table: dict[str, dict[str, int]] = {}
    service: dict[str, int] = {}
    for line in Path("/proc/net/ip_vs").read_text().splitlines():
        words = line.split()
        if words and words[0] in ("TCP", "UDP"):
            service = table.setdefault(f"{words[0].lower()}/{spelled(words[1])}", {})
        elif words and words[0] == "->" and words[1] != "RemoteAddress:Port":
            service[spelled(words[1]).rpartition(":")[0].strip("[]")] = int(words[3])
    return table


def spelled(endpoint: str) -> str:
    host, _, port = endpoint.rpartition(":")
    if host.startswith("["):
        packed = socket.inet_pton(socket.AF_INET6, host[1:-1])
        return f"[{socket.inet_ntop(socket.AF_INET6, packed)}]:{int(port, 16)}"
    return f"{socket.inet_ntoa(bytes.fromhex(host))}:{int(port, 16)}"


def of_backend(name: str) -> list[int]:
    """The weights of a backend in the pool."""
    ours = [reals for virtual, reals in weights().items() if virtual != FOREIGN]
    return [weight for reals in ours for real, weight in reals.items() if real in BACKENDS[name]]


class Pool(Agent):  # type: ignore[misc]
    """The agent, and what there is of its daemon."""

    def __init__(self, directory: str) -> None:
        super().__init__(
            None,
            "ipvs-pool",
            directory,
            "dns:0",
            virtual=VIRTUAL,
            real_servers=" ".join(f"{v4} [{v6}]" for v4, v6 in BACKENDS.values()),
            check="dns",
            check_port="53",
            check_name="www.example.com",
            check_interval=f"{INTERVAL_S}s",
            check_timeout=f"{TIMEOUT_S}s",
            rise=str(RISE),
            fall=str(FALL),
        )

    def other(self, resource: str, **params: str) -> Agent:
        """Another resource with the same parameters but for these."""
        return Agent(None, "ipvs-pool", self.rundir, resource, **{**self.params, **params})

    def monitor(self, code: int = OCF_SUCCESS) -> float:
        return float(self.must("monitor", code))

    def daemon(self) -> int:
        return int(Path(f"{self.rundir}/anycast/healthd.lock").read_text())


class Cluster:
    """Stands in for the cluster's attribute manager: notes what attrd_updater is asked, and when."""

    def __init__(self, directory: str) -> None:
        self.notes = Path(directory, "attributes")
        self.tool = shutil.which("attrd_updater", path="/usr/sbin:/usr/bin:/sbin")
        script = Path(directory, "attrd_updater")
        script.write_text(f'#!/bin/sh\necho "$(date +%s.%N) $*" >>{self.notes}\n')
        script.chmod(0o755)
        if self.tool is None:
            raise StepFailed("attrd_updater is not installed")
        run("mount", "--bind", str(script), self.tool)

    def leave(self) -> None:
        """From now on the real program answers, and there is no cluster."""
        assert self.tool is not None
        run("umount", self.tool)

    def updates(self) -> list[tuple[float, list[str]]]:
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [(float(line.split()[0]), line.split()[1:]) for line in lines]

    def value(self) -> str:
        """What the last update says: a number, or -D."""
        words = self.updates()[-1][1] if self.updates() else ["", "", "", "none"]
        return words[3] if words[2] == "-U" else words[2]


def steps(pool: Pool, cluster: Cluster, one: Backend, two: Backend) -> Iterator[str]:
    """Every step, as what it has shown."""
    detection = INTERVAL_S * FALL + TIMEOUT_S + SLACK_S
    recovery = INTERVAL_S * RISE + TIMEOUT_S + SLACK_S
    full = {
        "udp/192.0.2.53:53": {"10.254.0.11": 1, "10.254.0.12": 1},
        "tcp/192.0.2.53:80": {"10.254.0.11": 1, "10.254.0.12": 1},
        "tcp/[2001:db8::53]:80": {"fd00:254::11": 1, "fd00:254::12": 1},
    }
    foreign = {FOREIGN: {"10.254.0.11": 7}}
    run("ipvsadm", "-A", "-t", "192.0.2.99:99", "-s", "rr")
    run("ipvsadm", "-a", "-t", "192.0.2.99:99", "-r", "10.254.0.11:99", "-g", "-w", "7")

    pool.must("validate-all")
    pool.must("probe", OCF_NOT_RUNNING)
    yield "a pool that was never started is valid and stopped"

    took = pool.must("start")
    expect(weights(), {**full, **foreign}, "the table after start")
    expect(cluster.value(), "2", "the attribute after start")
    yield f"start returns with the table complete and the attribute out, after {took:.2f} s"

    pool.must("probe")
    yield f"monitor is content, in {pool.monitor():.2f} s"
    pool.must("start")
    yield "start again is nothing"

    with Observer(weights) as observer:
        os.kill(pool.daemon(), signal.SIGKILL)
        eventually(lambda: pool.call("probe") == OCF_ERR_GENERIC, SLACK_S, "a probe misses the daemon")
        took = pool.must("start")
        pool.monitor()
        halt(pool.daemon())
        again = pool.monitor(OCF_DEGRADED)
        reason = pool.reason
        pool.monitor()
    expect(
        observer.seen,
        [{**full, **foreign}],
        "the states of the table while the daemon was dead and came back",
    )
    yield f"kill -9 of the daemon: start adopts in {took:.2f} s, and no weight ever moved"
    yield f"a daemon that hangs is replaced by monitor in {again:.2f} s, the same way: {reason}"

    run("ipvsadm", "-C")
    took = eventually(lambda: weights() == full, INTERVAL_S + SLACK_S, "the table is repaired")
    yield f"ipvsadm -C is reverted after {took:.2f} s"
    run("ipvsadm", "-e", "-t", "192.0.2.53:80", "-r", "10.254.0.11:80", "-g", "-w", "5")
    run("ipvsadm", "-A", "-t", "192.0.2.99:99", "-s", "rr")
    run("ipvsadm", "-a", "-t", "192.0.2.99:99", "-r", "10.254.0.11:99", "-g", "-w", "7")
    took = eventually(
        lambda: weights() == {**full, **foreign}, INTERVAL_S + SLACK_S, "the weight is repaired"
    )
    yield f"so is a weight that another program changed, after {took:.2f} s; the service of another program stays"

    one.stop()
    took = eventually(lambda: 0 in of_backend("one"), detection, "the dead server is out")
    eventually(lambda: cluster.value() == "1", CALM_LIMIT_S, "the attribute falls")
    eventually(lambda: 1 not in of_backend("one"), detection, "the dead server is out everywhere")
    expect(set(of_backend("two")), {1}, "the weights of the other server")
    pool.monitor()
    yield f"a dead server has weight 0 after {took:.2f} s, and the attribute follows"

    two.freeze()
    took = eventually(lambda: cluster.value() == "0", detection, "the attribute is 0")
    eventually(lambda: 1 not in of_backend("two"), detection, "the hanging server is out")
    pool.monitor(OCF_DEGRADED)
    for words in ("no backend of", "refused", "timed out"):
        if words not in pool.reason:
            raise StepFailed(f"the reason says nothing of {words!r}: {pool.reason}")
    yield f"a server that hangs is out after {took:.2f} s; without a live backend monitor is 190: {pool.reason}"

    one.start()
    two.thaw()
    took = eventually(lambda: weights() == {**full, **foreign}, recovery, "both are back")
    eventually(lambda: cluster.value() in ("1", "2"), recovery, "the attribute is back")
    pool.monitor()
    yield f"both are back after {took:.2f} s"

    del pool.params["check_name"]
    pool.params.update(
        virtual="udp/192.0.2.53:53 tcp/192.0.2.54:80", check="http", check_name="", check_port="80", check_expect="hello"
    )
    pool.params.update(real_servers="10.254.0.11,weight=3 10.254.0.12")
    with Observer(weights) as observer:
        took = pool.must("reload-agent")
        pool.monitor()
    reals = {"10.254.0.11": 3, "10.254.0.12": 1}
    expect(
        weights(),
        {"udp/192.0.2.53:53": reals, "tcp/192.0.2.54:80": reals, **foreign},
        "the table after reload-agent",
    )
    for state in observer.seen:
        if 0 in state["udp/192.0.2.53:53"].values() or len(state["udp/192.0.2.53:53"]) != len(reals):
            raise StepFailed(f"a server that stays was out for a moment: {state}")
    yield f"reload-agent changes services, servers and checks in {took:.2f} s, and takes no server out"

    other = pool.other("other", virtual="tcp/192.0.2.54:80")
    took = other.must("start", OCF_ERR_GENERIC, CRM_meta_timeout="6000")
    yield f"another pool with the same virtual service does not start, in {took:.1f} s of 6: {other.reason}"
    strange = pool.other("strange", virtual="tcp/192.0.2.55:80", scheduler="nosuch")
    strange.must("start", OCF_ERR_ARGS)
    reason = strange.reason
    strange.must("stop")
    yield f"nor does one with a scheduler that the kernel does not have: {reason}"

    os.kill(pool.daemon(), signal.SIGKILL)
    eventually(lambda: pool.call("monitor") == OCF_DEGRADED, SLACK_S, "monitor replaces the daemon")
    halt(pool.daemon())
    took = pool.monitor(OCF_DEGRADED)
    yield f"so does a second one a moment later, in {took:.2f} s: {pool.reason}"
    halt(pool.daemon())
    took = pool.must("stop")
    expect(weights(), foreign, "the table after stop")
    expect(cluster.value(), "-D", "the attribute after stop")
    # The lock of all pools is for good: one that came and went would be no lock.
    left = sorted(os.listdir(f"{pool.rundir}/anycast"))
    expect(left, ["healthd.lock", "healthd.sock", "ipvs-pool.lock"], "what stop leaves behind of a daemon that it killed")
    yield f"stop kills it and removes its services, no others, in {took:.2f} s"

    pool.must("start")
    took = pool.must("stop")
    expect(weights(), foreign, "the table after stop")
    pool.must("probe", OCF_NOT_RUNNING)
    pool.must("stop")
    yield f"stop of a healthy one takes {took:.2f} s; stop again is nothing"

    cluster.leave()
    pool.must("start")
    eventually(lambda: "attrd_updater -n healthy-dns -U 2" in pool.log(), SLACK_S, "the log has the attribute that was not taken")
    pool.must("stop")
    yield "without a cluster the attribute is a line in the log"


def lifecycle(directory: str) -> Iterator[str]:
    pool = Pool(directory)
    backends = [Backend(name) for name in BACKENDS]
    try:
        for backend in backends:
            backend.start()
        yield from steps(pool, Cluster(directory), *backends)
    finally:
        for backend in backends:
            backend.close()
        with contextlib.suppress(OSError, ValueError):
            os.kill(pool.daemon(), signal.SIGKILL)


if __name__ == "__main__":
    alone()
    run("modprobe", "-a", "ip_vs", "ip_vs_wlc", "ip_vs_rr")
    sys.exit(story(lifecycle))
