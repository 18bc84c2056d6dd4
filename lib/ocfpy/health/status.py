"""What the daemon says about itself: a line for monitor, and a document for people and programs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ocfpy.health.client import DEGRADED, FAILED, RUNNING, STARTING

if TYPE_CHECKING:
    from ocfpy.health.engine import Engine
    from ocfpy.health.spec import ServiceSpec
    from ocfpy.ipvs.model import RealServer

Json = dict[str, Any]


def verdict_line(engine: Engine) -> str:
    """What monitor is told: one of the first words of client.py, and a reason when there is one."""
    stuck = engine.stuck_for()
    if stuck:
        return f"{FAILED} the IPVS table has not been looked at for {stuck:.0f} s"
    if engine.table_error is not None:
        return f"{FAILED} {engine.table_error.reason}"
    if not engine.ready:
        return STARTING
    dead = [virtual for virtual, count in engine.alive().items() if not count]
    if not dead:
        return RUNNING
    service = next(service for service in engine.spec.services if service.virtual == dead[0])
    why = ", ".join(
        f"{real} {engine.watch_of(service, real).reason or 'is switched off'}"
        for real in service.reals.values()
    )
    more = f" (and {len(dead) - 1} more virtual services)" if len(dead) > 1 else ""
    return f"{DEGRADED} no backend of {dead[0]} is alive{more}: {why}"


def status_document(engine: Engine) -> Json:
    """The state of the pool. Times are seconds since the epoch, durations seconds."""
    alive = engine.alive()
    return {
        "resource": engine.spec.resource,
        "pid": os.getpid(),
        "state": verdict_line(engine),
        "attribute": {
            "name": engine.spec.attribute,
            "value": engine.publisher.value,
            "in_cluster": engine.publisher.taken,
        },
        "virtual": [
            {
                "service": str(service.virtual),
                "scheduler": service.settings.scheduler,
                "alive": alive[service.virtual],
                "real_servers": [_real(engine, service, real) for real in service.reals.values()],
            }
            for service in engine.spec.services
        ],
    }


def _real(engine: Engine, service: ServiceSpec, real: RealServer) -> Json:
    watch = engine.watch_of(service, real)
    return {
        "server": str(real),
        "forward": real.forward,
        "weight": real.weight,
        "check": watch.settings.type,
        "state": {True: "up", False: "down", None: "unknown"}[watch.verdict.up],
        "since": round(watch.since, 3),
        "reason": watch.reason,
        "against": watch.verdict.against,
        "seconds": round(watch.result.seconds, 4) if watch.result else None,
    }
