"""Run one pool: take check results, update the verdicts, apply the IPVS table, and tell the cluster."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Callable

from ocfpy.healthd.drained import Drained
from ocfpy.healthd.fallback_command import FallbackCommands
from ocfpy.healthd.pool_checks import PoolChecks
from ocfpy.ipvs.model import endpoint
from ocfpy.ocf.errors import OcfError, ServiceError
from ocfpy.pool.desired import IDLE, NEVER, Desired
from ocfpy.pool.leaving import with_candidates
from ocfpy.pool.placement import Observation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Coroutine, Hashable

    from ocfpy.healthd.check_request import Checks
    from ocfpy.healthd.check_state import CheckState
    from ocfpy.healthd.ipvs_worker import Connections, IpvsWorker
    from ocfpy.healthd.pool_report import PoolReport
    from ocfpy.healthd.publisher import Publisher
    from ocfpy.healthd.vip_probe import VipPaths
    from ocfpy.ipvs.model import RealServer, Table, VirtualService
    from ocfpy.ipvs.plan import Change
    from ocfpy.ocf.context import Log
    from ocfpy.pool.spec import PoolSpec, ServiceSpec

    Look = Callable[[Hashable, Callable[[], object], float], Awaitable[bool]]

DRAIN_LOOK_S = 1.0
"""How often the connections of a draining server are counted."""
LEAST_PAUSE_S = 0.01
DRIFTS_UNTIL_CONTESTED = 3
"""After this many repairs of the same service in a row, another program must be managing it."""
STUCK_AFTER_S = 10.0
"""The engine hangs if the table was not compared for this long, or for three intervals if that is longer."""


LOOK_S = 0.5
"""Longest time that one read of the drain directory delays the table: it may be on a file server that hangs."""


async def look_at_once(name: Hashable, work: Callable[[], object], seconds: float) -> bool:
    """Like `look` in checks.files, but without a thread: for files that cannot hang."""
    work()
    return True


class Engine:
    """Runs a PoolSpec. `on_change` is called after every change that a status should show.

    `wall` is the wall clock in seconds; `on_fault` gets unexpected exceptions. `checks` runs the checks, this process if None.
    `desired` is the state restored from the previous daemon. `hints` returns warnings about the host; `ways` are the paths of
    checks through a virtual service. `look(name, work, seconds)` runs `work`, which does file I/O, and returns whether it
    finished within the time; `work` is never abandoned.
    """

    def __init__(
        self,
        spec: PoolSpec,
        kernel: IpvsWorker,
        publisher: PoolReport | Publisher,
        log: Log,
        on_change: Callable[[], None] = lambda: None,
        on_fault: Callable[[BaseException], None] = lambda _: None,
        wall: Callable[[], float] = time.time,
        checks: Checks | None = None,
        desired: Desired | None = None,
        hints: Callable[[PoolSpec], list[str]] = lambda _: [],
        ways: VipPaths | None = None,
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
        self.wall = wall
        if checks is None:
            from ocfpy.healthd.local_checks import LocalChecks

            checks = LocalChecks(wall, on_fault)
        self._loop = asyncio.get_running_loop()
        self.checks = PoolChecks(spec.resource, checks, ways, wall, log, self.look_now)
        self.ready = False
        self._is_abandoned = False
        self.is_broken = False
        """Whether one of its tasks has ended with an exception: then what it began is not continued."""
        self.table_error: OcfError | None = None
        self.config_trouble = ""
        self.desired = desired or Desired()
        self.drained = Drained("", "")
        self.fallbacks = FallbackCommands(log)
        self.contested: frozenset[VirtualService] = frozenset()
        self.hints = hints
        self.look = look
        self._drained_anew = False
        self._drain_dir_hangs = False
        self.warnings: list[str] = []
        self._said_of_leaving: dict[VirtualService, str] = {}
        self._owned: set[VirtualService] = set()
        self._drifts: dict[VirtualService, int] = {}
        self._reloading = asyncio.Lock()
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._looked_at = self._compared_at = self._loop.time()
        self._due = NEVER
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, before: PoolSpec | None = None) -> None:
        """Returns when every server has its first verdict, the kernel has them and the cluster has been told.

        `before` is the specification that an earlier daemon went by, if it was another one. Raises OcfError when the kernel
        refuses the table, and whatever prevents a check from being made.
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
        """The check of a real server; before the engine has begun, one that has said nothing."""
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
        """Goes over to `spec`, which is prepared: starts the checks that are new, ends those that are no longer wanted.

        `found` is what the kernel has; `before` the specification that was in force.
        """
        for virtual in spec.virtual:
            if virtual in found and virtual not in self._owned and virtual not in spec.former:
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
        self.drained = Drained(spec.drain_dir, spec.resource, spec.drain_hosts)
        self.checks.go_over(self.desired.with_leavers(spec), self.desired.table)
        self._changed.set()

    def _see(self, service: ServiceSpec, real: RealServer) -> Observation:
        watch = self.watch_of(service, real)
        by_hand = real in self.drained or (not real.weight and service.drain_timeout is not None)
        return Observation(watch.verdict.up, watch.failed_at, watch.percent, by_hand)

    async def _keep_table(self) -> None:
        while True:
            # A timer may fire a little early: the least pause prevents a busy loop. All pools with the same interval compare at
            # the same instants, so that one read of /proc serves them all.
            now, interval = self._loop.time(), self.spec.interval
            pause = max(min(interval - now % interval, self._due - now), LEAST_PAUSE_S)
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
        await self._look_at_drained()
        news = self._drained_anew or self._changed.is_set() or now >= self._due
        self._drained_anew = False
        self._changed.clear()
        before, error = self.table_error, None
        drift: list[Change] = []
        spec = self.spec
        try:
            if self.desired.draining and self.desired.places:  # without places they are the previous daemon's, and may be over
                busy = await self.kernel.connections({virtual for virtual, _ in self.desired.draining})
                news = self._end_drains(busy, now) or news
                spec = self.spec
            if news:
                self._update(spec, now)
                await self.kernel.make(self.desired.table, frozenset(self._owned))
            if not news or now - self._compared_at >= spec.interval:
                await self._respect_removals(spec, now)
                drift = await self.kernel.keep(self.desired.table, frozenset(self._owned))
                self._compared_at = now
                self._note_drift(drift)
        except OcfError as failed:
            error = failed
            if before is None or error.reason != before.reason:
                self.log.error(error.reason)
        self.table_error = error
        self._looked_at = self._loop.time()
        decided = self.checks.decided
        # A verdict that came while the kernel was at work is not in the table yet: the next round is at once.
        if decided and spec is self.spec and not self._changed.is_set():
            self.publisher.want(self.desired.for_cluster())
            self.fallbacks.see(spec.services, self.desired.alive())
            if error is None:
                self._owned = set(spec.virtual)
            self._settled.set()
        if news or drift or error is not before:
            self.on_change()

    async def _look_at_drained(self) -> None:
        drained = self.drained

        def work() -> None:
            if drained.read():
                self._drained_anew = True

        hangs = not await self.look(drained, work, LOOK_S)
        if hangs and not self._drain_dir_hangs:
            self.log.warning(f"reading {self.spec.drain_dir} timed out: the last known list of drained servers stays in force")
        self._drain_dir_hangs = hangs

    def _update(self, spec: PoolSpec, now: float) -> None:
        """Works out the wanted table anew."""
        pooled, draining, leaving = self.desired.pooled(), set(self.desired.draining), self.desired.leaving_servers()
        self.desired.update(spec, self._see, now)
        self._due = self.desired.next_change(now)
        self.on_decision()
        if leaving - self.desired.leaving_servers():
            self._end_checks_of_left(spec)
        self._log_leaving(spec)
        for virtual, servers in self.desired.pooled().items():
            if servers - pooled.get(virtual, set()):
                names = ", ".join(endpoint(*key) for key in sorted(servers, key=str))
                self.log.warning(f"min_up keeps servers of {virtual} in service that are down: {names}")
        for virtual, key in self.desired.draining.keys() - draining:
            self.log.info(f"{endpoint(*key)} of {virtual} is leaving: weight 0 until its connections have ended")

    def _end_checks_of_left(self, spec: PoolSpec) -> None:
        """Ends the checks of servers that served until the new ones did."""
        try:
            self.checks.go_over(self.desired.with_leavers(spec), self.desired.table)
        except (OcfError, OSError) as error:  # a way to a virtual service that stays open for nothing
            self.log.warning(f"the check of a server that has left cannot be cleaned up: {error}")

    def _log_leaving(self, spec: PoolSpec) -> None:
        """Logs which servers serve on although they are leaving: when that begins, and when the new ones are not up."""
        lines: dict[VirtualService, str] = {}
        for virtual in spec.virtual:
            names = ", ".join(map(str, self.desired.still_serving(virtual)))
            if self.desired.is_handover_stuck(virtual):
                lines[virtual] = f"{names} of {virtual} leaving, still serving: {self.desired.handover(virtual)}"
            elif names:
                lines[virtual] = f"{names} of {virtual} leaving, still serving until the new servers have been checked"
            if lines.get(virtual) != self._said_of_leaving.get(virtual) and virtual in lines:
                self.log.warning(lines[virtual])
        self._said_of_leaving = lines

    async def _respect_removals(self, spec: PoolSpec, now: float) -> None:
        """Leave out servers that are down and that an operator removed from the kernel, in services that allow it."""
        quiescent = self.desired.quiescent(spec)
        if quiescent:
            present = await self.kernel.connections({virtual for virtual, _ in quiescent})
            removed = quiescent - present.keys()
            if removed and len(present):
                self.desired.leave_out(removed)
                self._update(spec, now)
                for virtual, key in sorted(removed, key=str):
                    self.log.info(f"{endpoint(*key)} of {virtual} is down and was removed by hand: it stays out until it is up")

    def _end_drains(self, busy: Connections, now: float) -> bool:
        """Remove servers that have drained; return whether there are any."""
        ended = self.desired.end_drains(busy, now)
        for virtual, key in ended:
            left = busy.get((virtual, key), IDLE)
            how = "has drained" if left == IDLE else f"is removed with {left}: drain_timeout is over"
            self.log.info(f"{endpoint(*key)} of {virtual} {how}")
        return bool(ended)

    def _note_drift(self, drift: list[Change]) -> None:
        """Log what another program changed, and remember services that keep changing."""
        touched = {change.virtual for change in drift}
        self._drifts = {virtual: self._drifts.get(virtual, 0) + 1 for virtual in touched}
        fought_over = frozenset(one for one, times in self._drifts.items() if times >= DRIFTS_UNTIL_CONTESTED)
        for virtual in sorted(fought_over - self.contested, key=str):
            self.log.warning(f"another program keeps changing {virtual}: stop the other daemon that manages it")
        self.contested = fought_over
        news = [change for change in drift if change.virtual not in fought_over]
        if news:
            more = f" (and {len(news) - 5} more)" if len(news) > 5 else ""
            self.log.warning(f"IPVS table was changed externally, reverted: {'; '.join(map(str, news[:5]))}{more}")

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.is_broken = True
            self.on_fault(error)
