"""Gathers what the agents left under their run directory, and what their daemons say now."""

from __future__ import annotations

import json
import os
from typing import Any

from ocfpy.healthd.client import DaemonHangs, NoDaemon, ask
from ocfpy.ipvs.model import endpoint
from ocfpy.ipvs.table import IpvsTable
from ocfpy.ocf.errors import NotInstalledError
from ocfpy.ocf.state import StateFile
from ocfpy.ocf.values import Record

RUNDIR = "/run/resource-agents/anycast"
ASK_TIMEOUT_S = 2.0
DAEMON_SOCKET = "healthd.sock"
POOL = "ipvs-pool-"
SYNC = "ipvs-sync-"
VIP = "anycast-vip-"
ROUTE = "bgp-announce-"

Json = dict[str, Any]


def collect(rundir: str = RUNDIR) -> Json:
    """Pools as status.status_document has them, and the records of sync daemons, addresses and announcements; what the gate says
    of an announcement (gate.Gate.snapshot) is its "gate".

    Beside that, what the kernel has counted for the pools ("traffic", of a virtual service and of each real server), and after
    how many seconds it forgets a silent connection ("timeouts"). Raises PermissionError for somebody else than root.
    """
    pools = [_pool(rundir, name) for name in _names(rundir, POOL)]
    return {
        "pools": pools,
        "timeouts": _count(pools) if pools else {},
        "sync": [_record(rundir, SYNC, name) for name in _names(rundir, SYNC)],
        "addresses": [_record(rundir, VIP, name) for name in _names(rundir, VIP)],
        "announcements": _announcements(rundir),
    }


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


def _announcements(rundir: str) -> list[Json]:
    """The records of the announcements; those that a pool gates with what the gate says of them, as "gate"."""
    found = [_record(rundir, ROUTE, name) for name in _names(rundir, ROUTE)]
    try:
        gated = {one["resource"]: one for one in json.loads(ask(f"{rundir}/{DAEMON_SOCKET}", "gate snapshot", ASK_TIMEOUT_S))}
    except (NoDaemon, DaemonHangs, ValueError):
        return found
    return [{**one, "gate": gated[one["resource"]]} if one["resource"] in gated else one for one in found]


def _pool(rundir: str, name: str) -> Json:
    """The pool as its daemon shows it; when the daemon is gone or hangs, as it was last seen, which is "stale" then."""
    base = os.path.join(rundir, POOL + name)
    try:
        document: Json = json.loads(ask(f"{base}.sock", "status", ASK_TIMEOUT_S))
        return document
    except NoDaemon:
        state = "failed the health daemon is gone"
    except DaemonHangs:
        state = f"failed the health daemon does not answer within {ASK_TIMEOUT_S:g} s"
    try:
        with open(f"{base}.status", encoding="utf-8") as file:
            document = json.load(file)
    except (FileNotFoundError, ValueError):
        document = {"resource": name, "virtual": []}
    return {**document, "state": state, "stale": True}


def _count(pools: list[Json]) -> Json:
    """Adds to the pools what the kernel has counted for them; the timeouts. Nothing where there is no IPVS."""
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
