"""Restores a pool's state from the document that the previous daemon left (see status.status_document)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ocfpy.ipvs.model import parse_endpoint, parse_virtual
from ocfpy.pool.desired import Desired, Drain, Ramp

if TYPE_CHECKING:
    from ocfpy.pool.desired import Where

    Json = dict[str, Any]


def restore_desired(path: str) -> Desired:
    """Restore lost quorums, and drains and slow starts in progress with their start times.

    Those times are on CLOCK_MONOTONIC, which all processes share until the next boot: the wall clock, in which the document has
    its times, may have been set meanwhile. A document of another boot or version is ignored.
    """
    desired = Desired()
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        services = list(document["virtual"]) if document["boot"]["id"] == boot_id() else []
        booted = float(document["boot"]["time"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return desired
    for service in services:
        try:
            _remember(desired, service, booted)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            pass
    return desired


def boot_id() -> str:
    """The id of this boot of the host."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def _remember(desired: Desired, service: Json, booted: float) -> None:
    virtual = parse_virtual(service["service"])
    if service.get("quorum") is False:
        desired.without_quorum.add(virtual)
    for real in service["real_servers"]:
        address, port = parse_endpoint(real["server"])
        where: Where = virtual, (address, port or 0)
        if "drain" in real:
            since, until = _period(real["drain"])
            desired.draining[where] = Drain(since - booted, until - booted)
        if "slow_start" in real:
            since, until = _period(real["slow_start"])
            desired.ramping[where] = Ramp(since - booted, int(real["configured"]), until - since)


def _period(document: Json) -> tuple[float, float]:
    return float(document["since"]), float(document["until"])
