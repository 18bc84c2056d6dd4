"""The daemon's reports: a line for monitor, and a document for people and programs."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from ocfpy.healthd.client import DEGRADED, FAILED, RUNNING, STARTING
from ocfpy.healthd.snapshot import (
    DRAINING,
    LEAVING,
    SCHEMA,
    SORRY,
    STILL_SERVING,
    AttributeSnapshot,
    CheckSnapshot,
    DrainSnapshot,
    PoolSnapshot,
    ServerSnapshot,
    ServiceSnapshot,
    SlowStartSnapshot,
)
from ocfpy.ipvs.proc import read_proc
from ocfpy.pool.placement import DRAINED, POOLED, UNKNOWN, UP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocfpy.healthd.engine import Engine
    from ocfpy.ipvs.model import RealKey, RealServer
    from ocfpy.ipvs.proc import ProcReal
    from ocfpy.pool.spec import ServiceSpec

SERVERS_NAMED = 8
"""Servers that a reason names; Pacemaker keeps the reason in the CIB."""
STUCK_AFTER_S = 20.0
"""How long a pool may be without a checker: a replacement usually takes 2 s, and up to 10 s on a busy node."""


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
    """Why a pool counts as having no live backend: the fault of the first service without one, or without its quorum."""
    alive = engine.desired.alive()
    for service in engine.spec.services:
        if not alive.get(service.virtual) or service.virtual in engine.desired.without_quorum:
            for trouble in _troubles(engine, service)[:1]:
                return trouble
    return ""


def is_short(engine: Engine) -> bool:
    """Whether every service has a live backend, so that a pool that reports 0 does so for want of a quorum."""
    return all(engine.desired.alive().values())


def _why(engine: Engine, service: ServiceSpec, real: RealServer, state: str) -> str:
    """Why a server has no traffic, or should not have it."""
    if state == DRAINED:
        return "is drained by hand"
    watch = engine.watch_of(service, real)
    if watch.verdict.up:
        return "has weight 0"
    return watch.reason or "is switched off"


def take_snapshot(engine: Engine) -> PoolSnapshot:
    """Return the state of the pool."""
    try:
        kernel = read_proc(only=set(engine.spec.virtual).__contains__)
    except FileNotFoundError:
        kernel = {}
    clock = engine.checks.wall() - engine.now()
    return PoolSnapshot(
        engine.spec.resource,
        SCHEMA,
        os.getpid(),
        verdict_line(engine),
        AttributeSnapshot(engine.spec.attribute, engine.publisher.value, engine.publisher.taken),
        engine.spec.drain_dir,
        tuple(engine.warnings),
        tuple(
            _Servers(engine, service, kernel[service.virtual].reals if service.virtual in kernel else {}, clock).snapshot()
            for service in engine.spec.services
        ),
    )


class _Servers:
    """The servers of one service; `clock` is the time since the epoch at which the clock of the event loop was 0."""

    def __init__(self, engine: Engine, service: ServiceSpec, kernel: Mapping[RealKey, ProcReal], clock: float) -> None:
        self.engine = engine
        self.desired = engine.desired
        self.service = service
        self.kernel = kernel
        self.clock = clock
        self.places = engine.desired.places.get(service.virtual, {})
        self.wanted = engine.desired.table.get(service.virtual, (None, {}))[1]
        self.leaving = engine.desired.leaving.get(service.virtual, {})

    def snapshot(self) -> ServiceSnapshot:
        """Return the service."""
        virtual, desired = self.service.virtual, self.desired
        reals = dict(self.service.reals)
        for key, real in (*self.wanted.items(), *((key, leaver.real) for key, leaver in self.leaving.items())):
            reals.setdefault(key, real)
        return ServiceSnapshot(
            str(virtual),
            self.service.settings.scheduler,
            desired.alive().get(virtual, 0),
            sum(1 for place in self.places.values() if place.state == POOLED),
            len(desired.still_serving(virtual)),
            virtual not in desired.without_quorum,
            tuple(self._server(key, real) for key, real in reals.items()),
        )

    def _server(self, key: RealKey, real: RealServer) -> ServerSnapshot:
        is_configured, there, where = key in self.service.reals, self.kernel.get(key), (self.service.virtual, key)
        drain, ramp = self.desired.draining.get(where), self.desired.ramping.get(where)
        snapshot = ServerSnapshot(
            str(real),
            real.forward,
            weight=there.weight if there else None,
            wanted=self.wanted[key].weight if key in self.wanted else None,
            configured=real.weight if is_configured or key not in self.leaving else 0,
            active=there.active if there else 0,
            inactive=there.inactive if there else 0,
            state=SORRY if real.weight else LEAVING,
            drain=DrainSnapshot(self._wall(drain.begun), self._wall(drain.ends), *drain.busy) if drain else None,
            slow_start=SlowStartSnapshot(self._wall(ramp.begun), self._wall(ramp.begun + ramp.duration)) if ramp else None,
        )
        if is_configured or key in self.leaving:
            snapshot = self._checked(snapshot, key, real)
        return replace(snapshot, state=DRAINING, since=snapshot.drain.since) if snapshot.drain else snapshot

    def _checked(self, snapshot: ServerSnapshot, key: RealKey, real: RealServer) -> ServerSnapshot:
        """Add the check of a server, and the state that follows."""
        check, place = self.engine.watch_of(self.service, real), self.places.get(key)
        state, reason = place.state if place else UNKNOWN, check.reason
        if key in self.leaving and place and place.weight:
            reason = str(self.desired.handover(self.service.virtual)) if state == UP else reason
            state = STILL_SERVING
        seconds = round(check.result.seconds, 4) if check.result else None
        return replace(
            snapshot,
            state=state,
            since=round(check.since, 3),
            reason=reason,
            against=check.verdict.against,
            check=CheckSnapshot(
                check.settings.type, check.verdict.up, seconds, round(check.next_at, 3) if check.run else None
            ),
        )

    def _wall(self, instant: float) -> float:
        return round(instant + self.clock, 3)
