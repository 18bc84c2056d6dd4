"""What a daemon knows from the one before it, by the document that that one has left (see status.status_document)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ocfpy.health.desired import Desired, Drain, Ramp
from ocfpy.ipvs.model import parse_endpoint, parse_virtual

if TYPE_CHECKING:
    from ocfpy.health.desired import Where

    Json = dict[str, Any]


def remembered(path: str, now: float, wall: float) -> Desired:
    """Where to go on: with the quorums that were lost, and the drains and slow starts that were under way, since when they are.

    `now` is the instant, on the clock of the drains, at which it is `wall` seconds after the epoch. A document that another
    version has left, or nobody, says nothing.
    """
    desired = Desired()
    for service in _services(path):
        try:
            _remember(desired, service, now - wall)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            pass
    for where, drain in desired.draining.items():
        desired.draining[where] = drain._replace(begun=min(drain.begun, now))  # the clock may have been put back
    for where, ramp in desired.ramping.items():
        desired.ramping[where] = ramp._replace(begun=min(ramp.begun, now))
    return desired


def _services(path: str) -> list[Json]:
    try:
        with open(path, encoding="utf-8") as file:
            return list(json.load(file)["virtual"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def _remember(desired: Desired, service: Json, offset: float) -> None:
    virtual = parse_virtual(service["service"])
    if service.get("quorum") is False:
        desired.without_quorum.add(virtual)
    for real in service["real_servers"]:
        address, port = parse_endpoint(real["server"])
        where: Where = virtual, (address, port or 0)
        if "drain" in real:
            since, until = _period(real["drain"])
            desired.draining[where] = Drain(since + offset, until + offset)
        if "slow_start" in real:
            since, until = _period(real["slow_start"])
            desired.ramping[where] = Ramp(since + offset, int(real["configured"]), until - since)


def _period(document: Json) -> tuple[float, float]:
    return float(document["since"]), float(document["until"])
