"""What a daemon hands to the next one: lost quorums, drains, slow starts, and servers that serve although they are leaving.

The memory is a part of the pool's status file. Its instants are those of CLOCK_MONOTONIC, which all processes share until the
next boot: the wall clock may be set meanwhile.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ocfpy.ipvs.model import endpoint, parse_endpoint, parse_virtual
from ocfpy.pool.desired import Desired, Drain, Ramp
from ocfpy.pool.leaving import Leaver
from ocfpy.pool.spec import read_server, server_document

if TYPE_CHECKING:
    from ocfpy.ipvs.model import RealKey, VirtualService

    Json = dict[str, Any]

MEMORY = "memory"
"""The name of the memory in the status file."""
SCHEMA = 1
_DAMAGED = (ValueError, KeyError, TypeError, AttributeError, OverflowError)


def memory_document(desired: Desired) -> Json:
    """Return what the next daemon has to know."""
    virtuals = [*desired.table, *(virtual for virtual in desired.without_quorum if virtual not in desired.table)]
    return {"schema": SCHEMA, "boot": boot_id(), "services": [_service_memory(desired, virtual) for virtual in virtuals]}


def restore_desired(path: str) -> Desired:
    """Return where the daemon that wrote the status file at `path` left off.

    A file of another boot, and one that is missing or damaged, says nothing. Those of 0.2.0 before its release and of 0.1.0 have
    no memory apart from the status.
    """
    desired = Desired()
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        if MEMORY not in document:
            _restore_status(desired, document)
        elif document[MEMORY]["schema"] == SCHEMA and document[MEMORY]["boot"] == boot_id():
            for service in document[MEMORY]["services"]:
                _restore_service(desired, service)
    except (OSError, RecursionError, *_DAMAGED):
        pass
    return desired


def boot_id() -> str:
    """The id of this boot of the host."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def _service_memory(desired: Desired, virtual: VirtualService) -> Json:
    document: Json = {"service": str(virtual)}
    if virtual in desired.without_quorum:
        document["quorum"] = False
    drains = {endpoint(*key): [one.begun, one.ends] for (of, key), one in desired.draining.items() if of == virtual}
    ramps = {endpoint(*key): list(one) for (of, key), one in desired.ramping.items() if of == virtual}
    leaving = [server_document(one.real, one.check) for one in desired.leaving.get(virtual, {}).values()]
    document.update({name: of for name, of in (("drains", drains), ("slow_starts", ramps), ("leaving", leaving)) if of})
    return document


def _restore_service(desired: Desired, service: Json) -> None:
    try:
        virtual = parse_virtual(service["service"])
        desired.inherited.add(virtual)
        if service.get("quorum") is False:
            desired.without_quorum.add(virtual)
        for server, (begun, ends) in service.get("drains", {}).items():
            desired.draining[virtual, _key(server)] = Drain(float(begun), float(ends))
        for server, (begun, weight, duration) in service.get("slow_starts", {}).items():
            desired.ramping[virtual, _key(server)] = Ramp(float(begun), int(weight), float(duration))
        for document in service.get("leaving", []):
            real, check = read_server(document)
            desired.leaving.setdefault(virtual, {})[real.key] = Leaver(real, check)
    except _DAMAGED:
        pass


def _key(server: str) -> RealKey:
    address, port = parse_endpoint(server)
    return address, port or 0


def _restore_status(desired: Desired, document: Json) -> None:
    """Take in a status whose times are seconds since the epoch, with the time of the epoch at which CLOCK_MONOTONIC was 0."""
    if document["boot"]["id"] != boot_id():
        return
    booted = float(document["boot"]["time"])
    for service in document["virtual"]:
        try:
            virtual = parse_virtual(service["service"])
            desired.inherited.add(virtual)
            if service.get("quorum") is False:
                desired.without_quorum.add(virtual)
            for real in service["real_servers"]:
                where = virtual, _key(real["server"])
                if "drain" in real:
                    since, until = _period(real["drain"])
                    desired.draining[where] = Drain(since - booted, until - booted)
                if "slow_start" in real:
                    since, until = _period(real["slow_start"])
                    desired.ramping[where] = Ramp(since - booted, int(real["configured"]), until - since)
        except _DAMAGED:
            pass


def _period(document: Json) -> tuple[float, float]:
    return float(document["since"]), float(document["until"])
