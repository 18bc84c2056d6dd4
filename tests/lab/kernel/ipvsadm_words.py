"""A table of the library's in the words of ipvsadm, which shares no code with it: the witness of ipvs_roundtrip.py."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable

from ocfpy.ipvs.model import RealServer, ServiceSettings, SyncDaemon, Table, VirtualService
from ocfpy.ocf.addresses import Address

# Its words for ours. It knows a scheduler's flags by the name that they have for that scheduler.
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


def normal(lines: Iterable[str]) -> list[list[str]]:
    """Lines without the order of their options."""
    return sorted(sorted(line.split()) for line in lines)


def as_shown(daemon: SyncDaemon) -> str:
    """A sync daemon in the words of ipvsadm."""
    return (
        f"{daemon.role} sync daemon (mcast=sync0, syncid={daemon.syncid}, maxlen={daemon.maxlen}, "
        f"group={daemon.group}, port={daemon.port}, ttl={daemon.ttl})"
    )
