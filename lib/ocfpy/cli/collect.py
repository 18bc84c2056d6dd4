"""Collects the agents' records in their run directory, and the current state from their daemons."""

from __future__ import annotations

import json
import os
from typing import Any

from ocfpy.cli.facts import look_at_addresses, look_at_announcements
from ocfpy.healthd.client import FOREIGN, DaemonHangs, NoDaemon, Node, ask
from ocfpy.healthd.restore import MEMORY
from ocfpy.ipvs.model import endpoint
from ocfpy.ipvs.table import IpvsTable
from ocfpy.ocf.errors import NotInstalledError
from ocfpy.ocf.state import StateFile
from ocfpy.ocf.values import Record

RUNDIR = "/run/resource-agents/anycast"
ASK_TIMEOUT_S = 2.0
POOL = "ipvs-pool-"
SYNC = "ipvs-sync-"
VIP = "anycast-vip-"
ROUTE = "bgp-announce-"

Json = dict[str, Any]


def collect(rundir: str = RUNDIR) -> Json:
    """Return pools as in snapshot.PoolSnapshot, and the records of sync daemons, addresses and announcements; "gate" of an
    announcement is what the gate reports (gate.Gate.snapshot).

    "traffic" of a virtual service and of each real server has the kernel's counters, "timeouts" the seconds after which the
    kernel forgets a silent connection. Raises PermissionError unless run by root.
    """
    daemon, state = _daemon(rundir)
    pools = [_pool(rundir, name, daemon, state) for name in _names(rundir, POOL)]
    return {
        "pools": pools,
        "timeouts": _count(pools) if pools else {},
        "sync": [_record(rundir, SYNC, name) for name in _names(rundir, SYNC)],
        "addresses": look_at_addresses([_record(rundir, VIP, name) for name in _names(rundir, VIP)]),
        "announcements": _announcements(rundir, daemon),
    }


def look_now(rundir: str) -> None:
    """Have the health daemon read the directories of drained servers now; one that does not answer reads them later."""
    try:
        ask(Node(rundir).socket, "look", ASK_TIMEOUT_S)
    except (NoDaemon, DaemonHangs):
        pass


def _names(rundir: str, prefix: str) -> list[str]:
    try:
        files = sorted(os.listdir(rundir))
    except FileNotFoundError:
        return []
    return [
        file[len(prefix) : -len(".state")]
        for file in files
        if file.startswith(prefix) and file.endswith(".state")
    ]


def _announcements(rundir: str, daemon: Json) -> list[Json]:
    """The records of the announcements; a gated one has the gate's report as "gate"."""
    found = look_at_announcements([_record(rundir, ROUTE, name) for name in _names(rundir, ROUTE)])
    gated = {one["resource"]: one for one in daemon.get("announcements", [])}
    return [{**one, "gate": gated[one["resource"]]} if one["resource"] in gated else one for one in found]


def _daemon(rundir: str) -> tuple[Json, str]:
    """What the health daemon reports, and why it reports nothing."""
    try:
        answer = ask(Node(rundir).socket, "status", ASK_TIMEOUT_S)
        if answer.startswith(FOREIGN):
            return {}, f"failed the health daemon runs in another network namespace ({answer.partition(' ')[2]})"
        document: Json = json.loads(answer)
        return document, "failed the health daemon does not run this pool"
    except NoDaemon:
        return {}, "failed the health daemon is gone"
    except DaemonHangs:
        return {}, f"failed the health daemon does not answer within {ASK_TIMEOUT_S:g} s"
    except ValueError as error:
        return {}, f"failed the health daemon's answer is not JSON ({error})"


def _pool(rundir: str, name: str, daemon: Json, state: str) -> Json:
    """The pool as the daemon reports it; otherwise its last known state, marked as "stale"."""
    document: Json | None = daemon.get("pools", {}).get(name)
    if document is not None:
        return document
    try:
        with open(Node(rundir).pool(name).status, encoding="utf-8") as file:
            document = json.load(file)
    except (FileNotFoundError, ValueError):
        document = {"resource": name, "virtual": []}
    document.pop(MEMORY, None)
    return {**document, "state": state, "stale": True}


def _count(pools: list[Json]) -> Json:
    """Add the kernel's counters to the pools; return the timeouts. Nothing where there is no IPVS."""
    try:
        with IpvsTable() as table:
            traffic, timeouts = table.traffic(), table.timeouts()
    except NotInstalledError:
        return {}
    counted = {str(virtual): both for virtual, both in traffic.items()}
    for service in [service for pool in pools for service in pool["virtual"]]:
        if service["service"] in counted:
            whole, parts = counted[service["service"]]
            service["traffic"] = _fields(whole)
            of_reals = {endpoint(*key): part for key, part in parts.items()}
            for real in service["real_servers"]:
                if real["server"] in of_reals:
                    real["traffic"] = _fields(of_reals[real["server"]])
    return _fields(timeouts)


def _fields(record: Record) -> Json:
    return {name: getattr(record, name) for name in record.__slots__}


def _record(rundir: str, prefix: str, name: str) -> Json:
    return {"resource": name, **(StateFile(os.path.join(rundir, f"{prefix}{name}.state")).read() or {})}
