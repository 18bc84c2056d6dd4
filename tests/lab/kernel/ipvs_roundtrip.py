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
from collections.abc import Callable, Iterable
from errno import EINVAL, ENOENT, ESRCH
from typing import TypeVar

LIBRARY = sys.argv[1] if len(sys.argv) > 1 else "lib"
TABLES = int(sys.argv[2]) if len(sys.argv) > 2 else 30
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 1
sys.path.insert(0, LIBRARY)

from ocfpy.ipvs.model import (  # noqa: E402  # the library's place is an argument
    FORWARDS,
    MAX_THRESHOLD,
    PROTOCOLS,
    SCHEDULER_FLAGS,
    SYNC_ROLES,
    TUNNEL_CHECKSUMS,
    TUNNEL_TYPES,
    RealServer,
    ServiceSettings,
    SyncDaemon,
    Table,
    Timeouts,
    VirtualService,
    parse_real_server,
    parse_virtual,
)
from ocfpy.ipvs.plan import ADD, DELETE, EDIT, Change, plan  # noqa: E402
from ocfpy.ipvs.proc import read_proc  # noqa: E402
from ocfpy.ipvs.sync import SyncDaemons  # noqa: E402
from ocfpy.ipvs.table import IpvsError, IpvsTable  # noqa: E402
from ocfpy.ocf.addresses import Address, parse_address  # noqa: E402

T = TypeVar("T")

COUNTED_S = 20.0
"""The kernel adds up every two seconds."""
BITS = {4: 32, 6: 128}
# What ipvsadm can write and read again: no mark above this, and no third flag for sh and mh.
MAX_FWMARK = 2**31 - 1
# ipvsadm's words for ours. It knows a scheduler's flags by the name that they have for that scheduler.
FORWARD_OPTIONS = {"dr": "-g", "nat": "-m", "tunnel": "-i"}
PROTOCOL_OPTIONS = {"tcp": "-t", "udp": "-u", "sctp": "--sctp-service"}
FLAG_NAMES = {
    "sh": {"flag-1": "sh-fallback", "flag-2": "sh-port"},
    "mh": {"flag-1": "mh-fallback", "flag-2": "mh-port"},
}


def ipvsadm(*arguments: str, text: str | None = None) -> str:
    """Run ipvsadm; what it says."""
    done = subprocess.run(
        ["/usr/sbin/ipvsadm", *arguments], input=text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise AssertionError(f"ipvsadm {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def random_table(rng: random.Random, schedulers: list[str]) -> Table:
    """Up to eight services of every kind, with up to six real servers each."""
    table: Table = {}
    for _ in range(rng.randint(0, 8)):
        virtual = random_virtual(rng)
        reals = [random_real(rng, virtual) for _ in range(rng.randint(0, 6))]
        table[virtual] = random_settings(rng, virtual, schedulers), {real.key: real for real in reals}
    return table


def random_virtual(rng: random.Random) -> VirtualService:
    """Out of few, so that a table and the next one share some."""
    family = rng.choice((4, 6))
    if rng.random() < 0.3:
        return VirtualService(fwmark=rng.choice((1, 7, MAX_FWMARK)), family=family)
    address = Address(
        family, bytes([10] * (BITS[family] // 8 - 1)) + bytes([rng.randint(1, 3)]), BITS[family]
    )
    return VirtualService(rng.choice(PROTOCOLS), address, rng.choice((53, 443, 65535)))


def random_settings(rng: random.Random, virtual: VirtualService, schedulers: list[str]) -> ServiceSettings:
    """Whatever the kernel takes for this service."""
    timeout = rng.choice((0, 0, 1, 300, 86400))
    one_packet = virtual.proto in ("udp", None) and rng.random() < 0.3
    engine = "sip" if timeout and virtual.proto == "udp" and not one_packet and rng.random() < 0.5 else ""
    scheduler = rng.choice(schedulers)
    flags = SCHEDULER_FLAGS[:2] if scheduler in FLAG_NAMES else SCHEDULER_FLAGS
    return ServiceSettings(
        scheduler=scheduler,
        flags=tuple(flag for flag in flags if rng.random() < 0.3),
        persistence_timeout=timeout,
        netmask=rng.choice((None, rng.randint(1, BITS[virtual.family] - 1))) if timeout else None,
        engine=engine,
        one_packet=one_packet,
    )


def random_real(rng: random.Random, virtual: VirtualService) -> RealServer:
    """Out of few; of the other family only through a tunnel, with another port only through NAT."""
    forward = rng.choice(FORWARDS)
    tunnel = forward == "tunnel"
    family = rng.choice((4, 6)) if tunnel else virtual.family
    upper = rng.choice((0, 1, 1000, MAX_THRESHOLD))
    kind = rng.choice(TUNNEL_TYPES) if tunnel else "ipip"
    return RealServer(
        Address(family, bytes([172] * (BITS[family] // 8 - 1)) + bytes([rng.randint(1, 8)]), BITS[family]),
        rng.choice((80, 8080)) if forward == "nat" else virtual.port,
        weight=rng.choice((0, 1, 2, 65535)),
        forward=forward,
        lower=rng.randint(0, upper),
        upper=upper,
        tunnel_type=kind,
        tunnel_port=rng.randint(1, 65535) if kind == "gue" else 0,
        tunnel_checksum=rng.choice(TUNNEL_CHECKSUMS[: 2 if kind == "gre" else 3])
        if kind != "ipip"
        else "nocsum",
    )


def as_ipvsadm(table: Table) -> set[str]:
    """The table as `ipvsadm -Sn` writes it, a line each, thresholds apart (see thresholds)."""
    lines = set()
    for virtual, (settings, reals) in table.items():
        lines.add(" ".join(["-A", *service_words(virtual), *settings_words(virtual, settings)]))
        lines |= {" ".join(["-a", *service_words(virtual), *real_words(real)]) for real in reals.values()}
    return lines


def service_words(virtual: VirtualService) -> list[str]:
    """What names a service to ipvsadm."""
    if virtual.address is None:
        return ["-f", str(virtual.fwmark), *(["-6"] if virtual.family == 6 else [])]
    return [PROTOCOL_OPTIONS[virtual.proto or ""], at(virtual.address, virtual.port)]


def settings_words(virtual: VirtualService, settings: ServiceSettings) -> list[str]:
    """Scheduler, persistence, flags, in the order ipvsadm has them."""
    words = ["-s", settings.scheduler]
    if settings.persistence_timeout:
        words += ["-p", str(settings.persistence_timeout)]
    if settings.netmask is not None:
        words += ["-M", str(settings.netmask) if virtual.family == 6 else dotted(settings.netmask)]
    if settings.engine:
        words += ["--pe", settings.engine]
    if settings.one_packet:
        words += ["-o"]
    if settings.flags:
        names = FLAG_NAMES.get(settings.scheduler, {})
        words += ["-b", ",".join(names.get(flag, flag) for flag in settings.flags)]
    return words


def real_words(real: RealServer) -> list[str]:
    """A real server as ipvsadm writes it."""
    words = ["-r", at(real.address, real.port), FORWARD_OPTIONS[real.forward], "-w", str(real.weight)]
    if real.forward == "tunnel":
        words += ["--tun-type", real.tunnel_type]
        if real.tunnel_type == "gue":
            words += ["--tun-port", str(real.tunnel_port)]
        if real.tunnel_type != "ipip":
            words += [f"--tun-{real.tunnel_checksum}"]
    return words


def at(address: Address, port: int) -> str:
    """An address and a port, which ipvsadm also writes when it is 0."""
    return f"[{address}]:{port}" if address.family == 6 else f"{address}:{port}"


def dotted(length: int) -> str:
    """An IPv4 mask."""
    mask = ~(2 ** (32 - length) - 1)
    return ".".join(str(mask >> shift & 255) for shift in (24, 16, 8, 0))


def thresholds(table: Table) -> list[tuple[str, str, str]]:
    """Real server, upper and lower threshold, as `ipvsadm -Ln --thresholds` shows them."""
    reals = [real for _, entry in table.values() for real in entry.values()]
    return sorted((at(real.address, real.port), str(real.upper), str(real.lower)) for real in reals)


def shown_thresholds(text: str) -> list[tuple[str, str, str]]:
    """The same from ipvsadm's own words."""
    rows = [line.split() for line in text.splitlines()[3:] if line.lstrip().startswith("->")]
    return sorted((row[1], row[2], row[3]) for row in rows)


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
        saved = ipvsadm("-Sn")
        expected = normal(as_ipvsadm(wanted))
        checks.same(f"{label}, as ipvsadm saves it", normal(saved.splitlines()), expected)
        shown = shown_thresholds(ipvsadm("-Ln", "--thresholds"))
        checks.same(f"{label}, thresholds in ipvsadm", shown, thresholds(wanted))
        agrees_with_proc(checks, label, wanted)
        ipvsadm("-C")
        ipvsadm("-R", text=saved)
        checks.same(f"{label}, loaded by ipvsadm", ipvs.read(), without_thresholds(wanted))


def normal(lines: Iterable[str]) -> list[list[str]]:
    """Lines without the order of their options."""
    return sorted(sorted(line.split()) for line in lines)


def without_thresholds(table: Table) -> Table:
    """What is left of a table after `ipvsadm -Sn`, which does not save thresholds."""
    return {
        virtual: (settings, {key: real.replace(lower=0, upper=0) for key, real in reals.items()})
        for virtual, (settings, reals) in table.items()
    }


def agrees_with_proc(checks: Checks, label: str, wanted: Table) -> None:
    """Marks apart: /proc cannot tell their family when all their tunnels are of the other one."""
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
        ([Change(ADD, web, real=real)], ESRCH, "somebody removed"),
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
    """A service of somebody else stays as it is."""
    ipvsadm("-C")
    ipvsadm("-A", "-t", "198.51.100.1:25", "-s", "rr")
    ipvsadm("-a", "-t", "198.51.100.1:25", "-r", "10.9.9.9:25", "-m", "-w", "7")
    before = ipvsadm("-Sn")
    mine: Table = {parse_virtual("tcp/192.0.2.1:80"): (ServiceSettings("rr"), {})}
    ipvs.apply(plan(ipvs.read(), mine))
    ipvs.apply(plan(ipvs.read(), {}, set(mine)))
    checks.same("a service of somebody else", ipvsadm("-Sn"), before)


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


def random_daemon(rng: random.Random, role: str) -> SyncDaemon:
    """Whatever the kernel takes."""
    group = rng.choice(("224.0.0.81", "239.255.1.2", "ff02::81", "ff15::7"))
    return SyncDaemon(
        role, "sync0", rng.randint(1, 255), parse_address(group), rng.choice((1024, 8848, 65535)), rng.randint(1, 255),
        rng.choice((1024, 1472, 9000)),
    )  # fmt: skip


def as_shown(daemon: SyncDaemon) -> str:
    """A sync daemon in the words of ipvsadm."""
    return (
        f"{daemon.role} sync daemon (mcast=sync0, syncid={daemon.syncid}, maxlen={daemon.maxlen}, "
        f"group={daemon.group}, port={daemon.port}, ttl={daemon.ttl})"
    )


def timeouts(checks: Checks, ipvs: IpvsTable, rng: random.Random) -> None:
    """The time-outs of connections, set by us and by ipvsadm."""
    before = ipvs.timeouts()
    checks.same("what the kernel begins with", before, Timeouts(900, 120, 300))
    for _ in range(TABLES):
        wanted = Timeouts(*(rng.choice((1, 30, 900, 86400)) for _ in range(3)))
        ipvs.set_timeouts(wanted)
        checks.same("timeouts, read back", ipvs.timeouts(), wanted)
        words = f"Timeout (tcp tcpfin udp): {wanted.tcp} {wanted.tcp_fin} {wanted.udp}\n"
        checks.same("timeouts in ipvsadm", ipvsadm("-L", "--timeout"), words)
    ipvs.set_timeouts(Timeouts(0, 0, 77))
    checks.same("a timeout of 0 is left as it is", ipvs.timeouts(), wanted.replace(udp=77))
    ipvsadm("--set", *(str(number) for number in (before.tcp, before.tcp_fin, before.udp)))
    checks.same("timeouts that ipvsadm has set", ipvs.timeouts(), before)


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
