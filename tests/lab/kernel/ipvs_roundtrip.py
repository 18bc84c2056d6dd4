#!/usr/bin/python3
"""Random IPVS tables through a real kernel, with ipvsadm and /proc as witnesses.

Usage, as root on a kernel with IPVS and with ipvsadm installed:

    ipvs_roundtrip.py LIBRARY [TABLES] [SEED]

LIBRARY is the directory that has ocfpy in it. The IPVS table of this network namespace is overwritten. Prints
one line a check and a summary in the last line, "N checks, M failed"; the exit code is 0 if none failed.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from errno import EINVAL, ENOENT, ESRCH
from typing import TypeVar

LIBRARY = sys.argv[1] if len(sys.argv) > 1 else "lib"
TABLES = int(sys.argv[2]) if len(sys.argv) > 2 else 30
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 1
sys.path.insert(0, LIBRARY)

# The library's place is an argument; what is not of ocfpy is beside this file.
from ipvsadm_words import (  # type: ignore[import-not-found]  # noqa: E402
    as_ipvsadm,
    as_shown,
    ipvsadm,
    normal,
    shown_thresholds,
    thresholds,
)
from ocfpy.ipvs.model import (  # noqa: E402
    SYNC_ROLES,
    ServiceSettings,
    Table,
    Timeouts,
    parse_real_server,
    parse_virtual,
)
from ocfpy.ipvs.plan import ADD, DELETE, EDIT, Change, plan  # noqa: E402
from ocfpy.ipvs.proc import read_proc  # noqa: E402
from ocfpy.ipvs.sync import SyncDaemons  # noqa: E402
from ocfpy.ipvs.table import IpvsError, IpvsTable  # noqa: E402
from random_tables import random_daemon, random_table  # type: ignore[import-not-found]  # noqa: E402

T = TypeVar("T")

ABSENT = [parse_virtual(text) for text in ("tcp/203.0.113.9:9", "udp/[2001:db8:9::9]:9", "fwmark/4294967295")]

COUNTED_S = 20.0
"""The kernel adds up every two seconds."""


class Checks:
    """Counts what held and says what did not."""

    def __init__(self) -> None:
        self.count = 0
        self.failed = 0

    def same(self, what: str, seen: object, expected: object) -> None:
        """One check; both sides are shown when they differ."""
        self.count += 1
        if seen != expected:
            self.failed += 1
            print(f"FAILED: {what}:\n  seen     {seen}\n  expected {expected}", flush=True)


def round_trips(checks: Checks, ipvs: IpvsTable, rng: random.Random, schedulers: list[str]) -> None:
    """From each random table to the next; each is also loaded by ipvsadm and read back by us."""
    for number in range(TABLES):
        label = f"table {number} of seed {SEED}"
        wanted = random_table(rng, schedulers)
        kernel = ipvs.read()
        ipvs.apply(plan(kernel, wanted, set(kernel)))
        checks.same(f"{label}, read back", ipvs.read(), wanted)
        asked = [*wanted, *(virtual for virtual in ABSENT if virtual not in wanted)]
        checks.same(f"{label}, asked for by key", ipvs.read_services(asked), wanted)
        checks.same(f"{label}, there by key", ipvs.has(asked), list(wanted))
        saved = ipvsadm("-Sn")
        expected = normal(as_ipvsadm(wanted))
        checks.same(f"{label}, as ipvsadm saves it", normal(saved.splitlines()), expected)
        shown = shown_thresholds(ipvsadm("-Ln", "--thresholds"))
        checks.same(f"{label}, thresholds in ipvsadm", shown, thresholds(wanted))
        agrees_with_proc(checks, label, wanted)
        ipvsadm("-C")
        ipvsadm("-R", text=saved)
        checks.same(f"{label}, loaded by ipvsadm", ipvs.read(), without_thresholds(wanted))


def without_thresholds(table: Table) -> Table:
    """What is left of a table after `ipvsadm -Sn`, which does not save thresholds."""
    return {
        virtual: (settings, {key: real.replace(lower=0, upper=0) for key, real in reals.items()})
        for virtual, (settings, reals) in table.items()
    }


def agrees_with_proc(checks: Checks, label: str, wanted: Table) -> None:
    """FwmarkAllocator apart: /proc cannot tell their family when all their tunnels are of the other one."""
    seen = {
        virtual: (
            service.scheduler,
            {key: (real.forward, real.weight) for key, real in service.reals.items()},
        )
        for virtual, service in read_proc(only=lambda one: one.address is not None).items()
    }
    expected = {
        virtual: (settings.scheduler, {key: (real.forward, real.weight) for key, real in reals.items()})
        for virtual, (settings, reals) in wanted.items()
        if virtual.address is not None
    }
    checks.same(f"{label}, in /proc", seen, expected)


def refusals(checks: Checks, ipvs: IpvsTable) -> None:
    """What the kernel says to nonsense."""
    web, real = parse_virtual("tcp/192.0.2.1:80"), parse_real_server("10.0.0.1:80")
    rr = ServiceSettings("rr")
    unknown_engine = ServiceSettings("rr", persistence_timeout=9, engine="nope")
    no_port = real.replace(forward="tunnel", tunnel_type="gue")
    for changes, errno, words in (
        ([Change(ADD, web, ServiceSettings("nope"))], ENOENT, "modprobe ip_vs_nope"),
        ([Change(ADD, web, unknown_engine)], ENOENT, "modprobe ip_vs_pe_nope"),
        ([Change(ADD, web, real=real)], ESRCH, "another process removed"),
        ([Change(ADD, web, rr), Change(ADD, web, real=no_port)], EINVAL, "Invalid argument"),
    ):
        ipvsadm("-C")
        try:
            ipvs.apply(changes)
        except IpvsError as error:
            seen = error.errno, words if words in error.reason else error.reason
        else:
            seen = 0, "no error"
        checks.same(f"refused: {changes[-1]}", seen, (errno, words))


def latecomers(checks: Checks, ipvs: IpvsTable) -> None:
    """Changes to a table that is not what they were planned for."""
    ipvsadm("-C")
    ipvsadm("-A", "-t", "192.0.2.2:80", "-s", "rr")
    ipvsadm("-a", "-t", "192.0.2.2:80", "-r", "10.0.0.1:80")
    gone, there, real = (
        parse_virtual("fwmark/5"),
        parse_virtual("tcp/192.0.2.2:80"),
        parse_real_server("10.0.0.1:80"),
    )
    wlc, heavy = ServiceSettings("wlc"), real.replace(weight=9)
    ipvs.apply(
        [
            Change(EDIT, gone, wlc),
            Change(ADD, there, wlc),
            Change(EDIT, gone, real=real),
            Change(ADD, there, real=heavy),
            Change(DELETE, parse_virtual("fwmark/6")),
            Change(DELETE, there, real=parse_real_server("10.0.0.2:80")),
        ]
    )
    expected = {gone: (wlc, {real.key: real}), there: (wlc, {real.key: heavy})}
    checks.same("changes that come late", ipvs.read(), expected)


def foreigners(checks: Checks, ipvs: IpvsTable) -> None:
    """A service of another program stays as it is."""
    ipvsadm("-C")
    ipvsadm("-A", "-t", "198.51.100.1:25", "-s", "rr")
    ipvsadm("-a", "-t", "198.51.100.1:25", "-r", "10.9.9.9:25", "-m", "-w", "7")
    before = ipvsadm("-Sn")
    mine: Table = {parse_virtual("tcp/192.0.2.1:80"): (ServiceSettings("rr"), {})}
    ipvs.apply(plan(ipvs.read(), mine))
    ipvs.apply(plan(ipvs.read(), {}, set(mine)))
    checks.same("a service of another program", ipvsadm("-Sn"), before)


def sync_daemons(checks: Checks, rng: random.Random) -> None:
    """Random sync daemons of both roles, as ipvsadm shows them."""
    ipvsadm("-C")
    run("ip", "link", "add", "sync0", "type", "dummy")
    run("ip", "link", "set", "sync0", "up")
    run("ip", "address", "add", "10.8.0.1/24", "dev", "sync0")
    run("ip", "address", "add", "fe80::8/64", "dev", "sync0", "nodad")
    with SyncDaemons() as daemons:
        for number in range(TABLES):
            wanted = {role: random_daemon(rng, role) for role in SYNC_ROLES if rng.random() < 0.8}
            for role in SYNC_ROLES:
                daemons.stop(role)
            for daemon in wanted.values():
                checks.same(f"sync daemon {number} of seed {SEED} is started", daemons.start(daemon), True)
            checks.same(f"sync daemons {number} of seed {SEED}, read back", daemons.read(), wanted)
            shown = set(ipvsadm("-Ln", "--daemon").splitlines())
            checks.same(f"sync daemons {number} of seed {SEED} in ipvsadm", shown, set(map(as_shown, wanted.values())))
        for role in SYNC_ROLES:
            daemons.stop(role)
        checks.same("no sync daemons", daemons.read(), {})


def timeouts(checks: Checks, ipvs: IpvsTable, rng: random.Random) -> None:
    """The time-outs of connections, as ipvsadm has set them."""
    before = ipvs.timeouts()
    checks.same("what the kernel begins with", before, Timeouts(900, 120, 300))
    for wanted in (*(Timeouts(*(rng.choice((1, 30, 900, 86400)) for _ in range(3))) for _ in range(TABLES)), before):
        ipvsadm("--set", *map(str, (wanted.tcp, wanted.tcp_fin, wanted.udp)))
        checks.same("timeouts, read back", ipvs.timeouts(), wanted)


def traffic(checks: Checks, ipvs: IpvsTable) -> None:
    """What has come to a service, as ipvsadm counts it."""
    ipvsadm("-C")
    virtual = parse_virtual("udp/10.9.0.1:9999")
    reals = [parse_real_server(f"10.9.0.{host}:9999") for host in (2, 3)]
    for host in (1, 2, 3):
        run("ip", "address", "add", f"10.9.0.{host}/32", "dev", "lo")
    wanted: Table = {virtual: (ServiceSettings("rr"), {real.key: real for real in reals})}
    ipvs.apply(plan({}, wanted))
    for port in range(5):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("10.9.0.1", 20000 + port))
            sock.sendto(b"x" * 100 * port, ("10.9.0.1", 9999))
    end = time.monotonic() + COUNTED_S
    while True:
        whole, parts = ipvs.traffic()[virtual]
        if whole.in_packets == 5 or time.monotonic() > end:
            break
        time.sleep(0.1)
    checks.same("connections of a service", (whole.connections, whole.in_packets), (5, 5))
    shown = [line.split() for line in ipvsadm("-Ln", "--stats", "--exact").splitlines()[3:]]
    ours = [[one.connections, one.in_packets, one.out_packets, one.in_bytes, one.out_bytes] for one in (whole, *parts.values())]
    checks.same("traffic in ipvsadm", sorted(list(map(int, words[-5:])) for words in shown), sorted(ours))


def run(*argv: str) -> None:
    """Run a program that has to succeed."""
    subprocess.run(argv, check=True)


def many(checks: Checks, ipvs: IpvsTable, services: int = 100, reals: int = 10) -> None:
    """A big table in one go, with what it takes beside ipvsadm."""
    wanted: Table = {}
    for number in range(services):
        virtual = parse_virtual(f"tcp/192.0.2.{number}:80")
        servers = [parse_real_server(f"10.0.{number}.{host}:80") for host in range(1, reals + 1)]
        wanted[virtual] = ServiceSettings("rr"), {server.key: server for server in servers}
    changes = plan({}, wanted)
    ipvsadm("-C")
    applied_s, _ = timed(lambda: ipvs.apply(changes))
    read_s, table = timed(ipvs.read)
    checks.same("a big table", table, wanted)
    proc_s, _ = timed(read_proc)
    saved = ipvsadm("-Sn")
    ipvsadm("-C")
    ipvsadm_s, _ = timed(lambda: ipvsadm("-R", text=saved))
    print(
        f"{len(changes)} changes: {applied_s:.2f} s, with ipvsadm -R {ipvsadm_s:.2f} s; "
        f"reading them: {read_s:.2f} s, from /proc {proc_s:.3f} s"
    )


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """The seconds it takes, and what it returns."""
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def main() -> int:
    """All checks."""
    checks = Checks()
    rng = random.Random(SEED)
    with IpvsTable() as ipvs:
        ipvsadm("-C")
        schedulers = [name for name in ("rr", "wrr", "lc", "wlc", "sh", "mh", "sed", "fo") if known(name)]
        print(f"kernel {os.uname().release}, schedulers {' '.join(schedulers)}", flush=True)
        round_trips(checks, ipvs, rng, schedulers)
        refusals(checks, ipvs)
        latecomers(checks, ipvs)
        foreigners(checks, ipvs)
        many(checks, ipvs)
        timeouts(checks, ipvs, rng)
        traffic(checks, ipvs)
        sync_daemons(checks, rng)
        ipvsadm("-C")
    print(f"{checks.count} checks, {checks.failed} failed")
    return 1 if checks.failed else 0


def known(scheduler: str) -> bool:
    """Whether this kernel has the scheduler."""
    try:
        ipvsadm("-A", "-f", "99", "-s", scheduler)
    except AssertionError:
        return False
    ipvsadm("-D", "-f", "99")
    return True


if __name__ == "__main__":
    sys.exit(main())
