"""Run one pool: take check results, update the verdicts, apply the IPVS table, and tell the cluster."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Callable

from ocfpy.healthd.drain_list import DrainList, look_at_once
from ocfpy.healthd.drift import Drift
from ocfpy.healthd.fallback_command import FallbackCommands
from ocfpy.healthd.wanted_table import WantedTable
from ocfpy.ocf.errors import OcfError, ServiceError
from ocfpy.pool.desired import Desired
from ocfpy.pool.leaving import with_candidates
from ocfpy.pool.placement import Observation

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from ocfpy.healthd.check_state import CheckState
    from ocfpy.healthd.drain_list import Look
    from ocfpy.healthd.ipvs_worker import IpvsWorker
    from ocfpy.healthd.pool_checks import PoolChecks
    from ocfpy.healthd.pool_report import PoolReport
    from ocfpy.healthd.publisher import Publisher
    from ocfpy.ipvs.model import RealServer, Table, VirtualService
    from ocfpy.ipvs.plan import Change
    from ocfpy.ocf.context import Log
    from ocfpy.pool.spec import PoolSpec, ServiceSpec

DRAIN_LOOK_S = 1.0
"""How often the connections of a draining server are counted."""
LEAST_PAUSE_S = 0.01
STUCK_AFTER_S = 10.0
"""The engine hangs if the table was not compared for this long, or for three intervals if that is longer."""


class Engine:
    """Runs a PoolSpec: verdicts of `checks` become the kernel's table, and the number of live backends the publisher's.

    `on_change` is called after every change that a status should show; `on_fault` gets unexpected exceptions. `desired` is the
    state restored from the previous daemon. `hints` returns warnings about the host; `look` reads files as in DrainList.
    """

    def __init__(
        self,
        spec: PoolSpec,
        kernel: IpvsWorker,
        publisher: PoolReport | Publisher,
        checks: PoolChecks,
        log: Log,
        desired: Desired | None = None,
        on_change: Callable[[], None] = lambda: None,
        on_fault: Callable[[BaseException], None] = lambda _: None,
        hints: Callable[[PoolSpec], list[str]] = lambda _: [],
        look: Look = look_at_once,
    ) -> None:
        self.spec = spec
        self.kernel = kernel
        self.publisher = publisher
        self.log = log
        self.on_change = on_change
        self.on_fault = on_fault
        self.on_decision: Callable[[], None] = lambda: None
        """Called when it is known which servers are to serve, before the kernel is told."""
        self.hints = hints
        self.checks = checks
        checks.on_change = self.look_now
        self.desired = desired or Desired()
        self.drift = Drift(log)
        self.fallbacks = FallbackCommands(log)
        self.ready = False
        self.is_broken = False
        """Whether one of its tasks has ended with an exception: then what it began is not continued."""
        self.table_error: OcfError | None = None
        self.config_trouble = ""
        self.warnings: list[str] = []
        self._loop = asyncio.get_running_loop()
        self._wanted = WantedTable(self.desired, log)
        self._drained = DrainList(log, look)
        self._is_abandoned = False
        self._owned: set[VirtualService] = set()
        self._reloading = asyncio.Lock()
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._looked_at = self._compared_at = self._loop.time()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, before: PoolSpec | None = None) -> None:
        """Return when every server has its first verdict, the kernel has the table and the cluster knows the attribute.

        `before` is the specification of an earlier daemon, if it differs. Raises OcfError when the kernel
        rejects the table, and any error that prevents a check.
        """
        async with self._reloading:
            await self.checks.prepare(with_candidates(self.spec, before, self.desired.leaving))
            found = await self.kernel.read({*self.spec.virtual, *self.spec.former})
            self._require_wanted()
            self._begin(self.spec, found, before)
        await self._synchronise()
        self._require_wanted()
        if self.table_error is not None:
            raise self.table_error
        self._tasks = [self._spawn(self._keep_table()), self._spawn(self.publisher.run())]
        await self._settled.wait()
        await self.publisher.said.wait()
        self.ready = self.desired.settled = True

    async def reload(self, spec: PoolSpec) -> None:
        """Apply another specification; return when it is in force as after `start`. Raises OcfError.

        Servers that stay keep their verdicts, even if their check changes. If a check cannot be made, its exception is passed on
        and the previous specification stays in force.
        """
        async with self._reloading:
            try:
                await self.checks.prepare(with_candidates(spec, self.spec, self.desired.leaving))
                found = await self.kernel.read({*spec.virtual, *spec.former, *self._owned})
            except BaseException:
                self.checks.keep_paths(self.desired.with_leavers(self.spec))
                raise
            self._begin(spec, found, self.spec)
        self._settled.clear()
        await self._settled.wait()
        if self.table_error is not None:
            raise self.table_error

    async def stop(self) -> None:
        """Remove the attribute and our own virtual services. Raises OcfError."""
        self.abandon()
        await asyncio.gather(
            self.publisher.delete(),
            self.fallbacks.end(),
            self.kernel.remove(self._owned | set(self.spec.virtual)),
        )
        self.checks.keep_paths(None)

    def abandon(self) -> None:
        """End everything, and leave the kernel's table and the attribute unchanged."""
        self._is_abandoned = True
        for task in self._tasks:
            task.cancel()
        self.checks.end()

    def _require_wanted(self) -> None:
        """Raise ServiceError if the engine was abandoned while it waited: it must not begin anything more."""
        if self._is_abandoned:
            raise ServiceError("the pool was stopped meanwhile")

    def watch_of(self, service: ServiceSpec, real: RealServer) -> CheckState:
        """Return the state of a real server's check; an empty one before the engine has begun."""
        return self.checks.of(service, real)

    def look_now(self) -> None:
        """Apply drained servers and verdicts to the table now."""
        self._changed.set()

    def now(self) -> float:
        """The clock of drains and slow starts, in seconds."""
        return self._loop.time()

    def stuck_for(self) -> float:
        """Return for how many seconds the comparison of the table is overdue; usually 0.0."""
        idle = self._loop.time() - self._looked_at
        return idle if idle > max(STUCK_AFTER_S, 3 * self.spec.interval) else 0.0

    def _begin(self, spec: PoolSpec, found: Table, before: PoolSpec | None) -> None:
        """Apply `spec`, which is prepared: begin new checks, end those no longer wanted.

        `found` is the kernel's table; `before` the specification that was in force.
        """
        for virtual in spec.virtual:
            if virtual in found and virtual not in self._owned | self.desired.inherited | set(spec.former):
                scheduler, reals = found[virtual][0].scheduler, len(found[virtual][1])
                self.log.warning(
                    f"adopted existing virtual service {virtual} ({scheduler}, {reals} real servers)"
                    " that this pool did not create"
                )
        warnings = self.hints(spec)
        for warning in warnings:
            if warning not in self.warnings:
                self.log.warning(warning)
        self.warnings = warnings
        self._owned |= {*spec.virtual, *spec.former}
        self.spec = spec
        self.desired.adopt(spec, found, before)
        self._drained.go_over(spec)
        self.checks.go_over(self.desired.with_leavers(spec), self.desired.table)
        self._changed.set()

    def _see(self, service: ServiceSpec, real: RealServer) -> Observation:
        watch = self.watch_of(service, real)
        by_hand = real in self._drained or (not real.weight and service.drain_timeout is not None)
        return Observation(watch.verdict.up, watch.failed_at, watch.percent, by_hand)

    async def _keep_table(self) -> None:
        while True:
            # A timer may fire a little early: the least pause prevents a busy loop. All pools with the same interval compare at
            # the same instants, so that one read of /proc serves them all.
            now, interval = self._loop.time(), self.spec.interval
            pause = max(min(interval - now % interval, self._wanted.due - now), LEAST_PAUSE_S)
            if self.desired.draining:
                pause = min(pause, DRAIN_LOOK_S)
            try:
                await asyncio.wait_for(self._changed.wait(), pause)
            except asyncio.TimeoutError:
                pass
            if self._is_abandoned:  # before Python 3.12 wait_for swallows a cancellation in the turn in which the event is set
                return
            await self._synchronise()

    async def _synchronise(self) -> None:
        """Apply the verdicts to the kernel's table, then tell the cluster; an error goes to `table_error`."""
        now = self._loop.time()
        news = await self._drained.read() or self._changed.is_set() or now >= self._wanted.due
        self._changed.clear()
        before, error = self.table_error, None
        drift: list[Change] = []
        spec = self.spec
        try:
            if self.desired.draining and self.desired.places:  # without places they are the previous daemon's, and may be over
                busy = await self.kernel.connections({virtual for virtual, _ in self.desired.draining})
                news = self._wanted.end_drains(busy, now) or news
                spec = self.spec
            if news:
                self._update(spec, now)
                await self.kernel.make(self.desired.table, frozenset(self._owned))
            if not news or now - self._compared_at >= spec.interval:
                await self._respect_removals(spec, now)
                drift = await self.kernel.keep(self.desired.table, frozenset(self._owned))
                self._compared_at = now
                self.drift.note(drift)
        except OcfError as failed:
            error = failed
            if before is None or error.reason != before.reason:
                self.log.error(error.reason)
        self.table_error = error
        self._looked_at = self._loop.time()
        decided = self.checks.decided
        # A verdict that came while the kernel was busy is not in the table yet: the next round is at once.
        if decided and spec is self.spec and not self._changed.is_set():
            self.publisher.want(self.desired.for_cluster())
            self.fallbacks.see(spec.services, self.desired.alive(), spec.command_user)
            if error is None:
                self._owned = set(spec.virtual)
            self._settled.set()
        if news or drift or error is not before:
            self.on_change()

    def _update(self, spec: PoolSpec, now: float) -> None:
        """Work out the wanted table; end the checks of servers that have handed over to new ones."""
        has_left = self._wanted.update(spec, self._see, now)
        self.on_decision()
        if not has_left:
            return
        try:
            self.checks.go_over(self.desired.with_leavers(spec), self.desired.table)
        except (OcfError, OSError) as error:  # a way to a virtual service that stays open for nothing
            self.log.warning(f"the check of a server that has left cannot be cleaned up: {error}")

    async def _respect_removals(self, spec: PoolSpec, now: float) -> None:
        """Leave out servers that are down and that an operator removed from the kernel, in services that allow it."""
        quiescent = self.desired.quiescent(spec)
        if quiescent:
            present = await self.kernel.connections({virtual for virtual, _ in quiescent})
            removed = quiescent - present.keys()
            if removed and len(present) and spec is self.spec:
                self._wanted.leave_out(removed)
                self._update(spec, now)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.is_broken = True
            self.on_fault(error)
