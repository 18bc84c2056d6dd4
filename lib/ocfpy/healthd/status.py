"""The daemon's reports: a line for monitor, and a document for people and programs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ocfpy.healthd.client import DEGRADED, FAILED, RUNNING, STARTING
from ocfpy.healthd.restore import boot_id
from ocfpy.ipvs.proc import read_proc
from ocfpy.pool.placement import DRAINED, POOLED, UNKNOWN, UP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocfpy.healthd.engine import Engine
    from ocfpy.ipvs.model import RealKey, RealServer
    from ocfpy.ipvs.proc import ProcReal
    from ocfpy.pool.desired import Drain
    from ocfpy.pool.spec import ServiceSpec

Json = dict[str, Any]

SERVERS_NAMED = 8
"""Servers that a reason names; Pacemaker keeps the reason in the CIB."""
STUCK_AFTER_S = 20.0
"""How long a pool may be without a checker: a replacement usually takes 2 s, and up to 10 s on a busy node."""
DRAINING = "draining"
SORRY = "sorry server"
LEAVING = "leaving"
STILL_SERVING = "leaving, still serving"
"""States of real servers, besides those of placement.py: with connections still, in place of nobody alive, not configured, not
configured and in service because the new servers are not up."""


def verdict_line(engine: Engine) -> str:
    """Return what monitor is told: one of the first words of client.py, and a reason if there is one."""
    stuck = engine.stuck_for()
    if stuck:
        return f"{FAILED} the IPVS table has not been compared for {stuck:.0f} s"
    lost = engine.checks.lost_for()
    if lost > STUCK_AFTER_S:
        return f"{FAILED} no check has run for {lost:.0f} s: the system log says why the checker does not start"
    if engine.table_error is not None:
        return f"{FAILED} {engine.table_error.reason}"
    if not engine.ready:
        return STARTING
    troubles = [trouble for service in engine.spec.services for trouble in _troubles(engine, service)]
    if engine.config_trouble:
        troubles.append(engine.config_trouble)
    if not troubles:
        return RUNNING
    more = f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else ""
    return f"{DEGRADED} {troubles[0]}{more}"


def _troubles(engine: Engine, service: ServiceSpec) -> list[str]:
    """Return the faults of a service that an operator should know."""
    virtual, found = service.virtual, []
    places = engine.desired.places.get(virtual, {})
    alive = engine.desired.alive().get(virtual, 0)
    out = [
        (real, places[key].state)
        for key, real in service.reals.items()
        if key in places and not (places[key].weight and places[key].state != POOLED)
    ]
    down = ", ".join(f"{real} {_why(engine, service, real, state)}" for real, state in out[:SERVERS_NAMED])
    if len(out) > SERVERS_NAMED:
        down += f" and {len(out) - SERVERS_NAMED} more"
    if not alive:
        found.append(f"no backend of {virtual} is alive: {down}")
    elif virtual in engine.desired.without_quorum:
        needed = max(service.quorum, service.quorum_up)
        found.append(f"only {alive} backends of {virtual} are alive, its quorum is {needed}: {down}")
    elif any(place.state == POOLED for place in places.values()):
        found.append(f"min_up keeps servers of {virtual} in service that are down: {down}")
    if engine.desired.is_handover_stuck(virtual):
        names = ", ".join(map(str, engine.desired.still_serving(virtual)[:SERVERS_NAMED]))
        found.append(f"{names} of {virtual} leaving, still serving: {engine.desired.handover(virtual)}: {down}")
    if virtual in engine.drift.contested:
        found.append(f"another program keeps changing {virtual}: stop the other daemon that manages it")
    return found


def no_backend_reason(engine: Engine) -> str:
    """Why a pool has no live backend: the fault of the first service without one."""
    for service in engine.spec.services:
        for trouble in _troubles(engine, service)[:1]:
            return trouble
    return ""


def _why(engine: Engine, service: ServiceSpec, real: RealServer, state: str) -> str:
    """Why a server has no traffic, or should not have it."""
    if state == DRAINED:
        return "is drained by hand"
    watch = engine.watch_of(service, real)
    if watch.verdict.up:
        return "has weight 0"
    return watch.reason or "is switched off"


def status_document(engine: Engine) -> Json:
    """The state of the pool. Times are seconds since the epoch, durations seconds.

    The wall clock may be set: `boot` has the time at which the clock of drains and slow starts was 0.
    """
    try:
        kernel = read_proc(only=set(engine.spec.virtual).__contains__)
    except FileNotFoundError:
        kernel = {}
    clock = _Clock(engine)
    return {
        "resource": engine.spec.resource,
        "pid": os.getpid(),
        "boot": {"id": boot_id(), "time": clock.zero},
        "state": verdict_line(engine),
        "attribute": {
            "name": engine.spec.attribute,
            "value": engine.publisher.value,
            "in_cluster": engine.publisher.taken,
        },
        "drain_dir": engine.spec.drain_dir,
        "warnings": list(engine.warnings),
        "virtual": [
            _service(engine, service, kernel[service.virtual].reals if service.virtual in kernel else {}, clock)
            for service in engine.spec.services
        ],
    }


class _Clock:
    """Converts an instant of the event loop to the time since the epoch."""

    def __init__(self, engine: Engine) -> None:
        self.zero = round(engine.checks.wall() - engine.now(), 3)

    def wall(self, instant: float) -> float:
        return round(instant + self.zero, 3)


def _service(
    engine: Engine, service: ServiceSpec, kernel: Mapping[RealKey, ProcReal], clock: _Clock
) -> Json:
    virtual = service.virtual
    places = engine.desired.places.get(virtual, {})
    wanted = engine.desired.table.get(virtual, (None, {}))[1]
    reals = [
        {**_real(real, wanted, kernel), **_checked(engine, service, real)} for real in service.reals.values()
    ]
    leaving = engine.desired.leaving.get(virtual, {})
    others = {key: real for key, real in wanted.items() if key not in service.reals}
    others.update({key: leaver.real for key, leaver in leaving.items() if key not in service.reals})
    for key, real in others.items():
        if key in leaving:
            reals.append({**_real(real, wanted, kernel), **_checked(engine, service, real), "configured": 0})
        else:
            reals.append({**_real(real, wanted, kernel), "state": SORRY if real.weight else LEAVING, "reason": ""})
    for document, key in zip(reals, [*service.reals, *others]):
        if key in leaving and key in places and places[key].weight:
            document["state"] = STILL_SERVING
            if places[key].state == UP:
                document["reason"] = str(engine.desired.handover(virtual))
        drain = engine.desired.draining.get((virtual, key))
        if drain is not None:
            document["drain"] = _drain(drain, clock)
            document["state"], document["since"] = DRAINING, document["drain"]["since"]
        ramp = engine.desired.ramping.get((virtual, key))
        if ramp is not None:
            document["slow_start"] = {"since": clock.wall(ramp.begun), "until": clock.wall(ramp.begun + ramp.duration)}
    return {
        "service": str(virtual),
        "scheduler": service.settings.scheduler,
        "alive": engine.desired.alive().get(virtual, 0),
        "down_but_pooled": sum(1 for place in places.values() if place.state == POOLED),
        "leaving_still_serving": len(engine.desired.still_serving(virtual)),
        "quorum": virtual not in engine.desired.without_quorum,
        "real_servers": reals,
    }


def _real(real: RealServer, wanted: Mapping[RealKey, RealServer], kernel: Mapping[RealKey, ProcReal]) -> Json:
    """Where a server stands: `weight` in the kernel (null: absent), `wanted` there now, `configured` in the end."""
    there = kernel.get(real.key)
    return {
        "server": str(real),
        "forward": real.forward,
        "weight": there.weight if there else None,
        "wanted": wanted[real.key].weight if real.key in wanted else None,
        "configured": real.weight,
        "active": there.active if there else 0,
        "inactive": there.inactive if there else 0,
    }


def _checked(engine: Engine, service: ServiceSpec, real: RealServer) -> Json:
    """The check of a server, and the state that follows."""
    watch = engine.watch_of(service, real)
    place = engine.desired.places.get(service.virtual, {}).get(real.key)
    return {
        "state": place.state if place else UNKNOWN,
        "since": round(watch.since, 3),
        "reason": watch.reason,
        "against": watch.verdict.against,
        "check": {
            "type": watch.settings.type,
            "up": watch.verdict.up,
            "seconds": round(watch.result.seconds, 4) if watch.result else None,
            "next": round(watch.next_at, 3) if watch.run else None,
        },
    }


def _drain(drain: Drain, clock: _Clock) -> Json:
    """A drain, with the connections that the daemon last saw."""
    return {"since": clock.wall(drain.begun), "until": clock.wall(drain.ends), **drain.busy._asdict()}
