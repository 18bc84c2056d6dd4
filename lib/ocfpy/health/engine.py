"""The pool at work: checks run, verdicts follow, the kernel's table is made to fit, the cluster is told."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Callable

from ocfpy.health.checks import make_check
from ocfpy.health.hysteresis import Verdict, step
from ocfpy.health.pool import alive, wanted_table, watch_key
from ocfpy.health.schedule import delay_until_due, phase
from ocfpy.ipvs.model import endpoint
from ocfpy.ocf.errors import OcfError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from ocfpy.health.checks.base import Check, Result
    from ocfpy.health.kernel import Adopted, Kernel
    from ocfpy.health.pool import WatchKey
    from ocfpy.health.publisher import Publisher
    from ocfpy.health.spec import CheckSettings, PoolSpec, ServiceSpec
    from ocfpy.ipvs.model import RealKey, RealServer, VirtualService
    from ocfpy.ipvs.plan import Change
    from ocfpy.ocf.addresses import Address
    from ocfpy.ocf.context import Log

    MakeCheck = Callable[[Address, int, CheckSettings], Check]

STUCK_AFTER_S = 10.0
"""The table has not been looked at for so long, or three intervals if that is longer: something hangs."""


class Watch:
    """One check and what it says.

    Real servers of several virtual services that are checked alike share one.
    """

    def __init__(self, name: str, settings: CheckSettings, verdict: Verdict, now: float) -> None:
        self.name = name
        self.settings = settings
        self.verdict = verdict
        self.since = now
        self.result: Result | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def reason(self) -> str:
        """Why the last check failed, or empty."""
        return self.result.reason if self.result else ""


class Engine:
    """Runs a PoolSpec. `on_change` is called after every change that a status should show.

    `wall` is the wall clock in seconds, `on_fault` gets an exception that nothing here expects.
    """

    def __init__(
        self,
        spec: PoolSpec,
        kernel: Kernel,
        publisher: Publisher,
        log: Log,
        on_change: Callable[[], None] = lambda: None,
        on_fault: Callable[[BaseException], None] = lambda _: None,
        wall: Callable[[], float] = time.time,
        make_check: MakeCheck = make_check,
    ) -> None:
        self.spec = spec
        self.kernel = kernel
        self.publisher = publisher
        self.log = log
        self.on_change = on_change
        self.on_fault = on_fault
        self.wall = wall
        self.make_check = make_check
        self.watches: dict[WatchKey, Watch] = {}
        self._watch_of: dict[tuple[VirtualService, RealKey], Watch] = {}
        self.ready = False
        self.table_error: OcfError | None = None
        self._owned: set[VirtualService] = set()
        self._adopted: Adopted = {}
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._looked_at = asyncio.get_running_loop().time()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Returns when every server has its first verdict, the kernel has them and the cluster has been told.

        Raises OcfError when the kernel refuses the table.
        """
        self._begin(self.spec)
        await self._synchronise()
        if self.table_error is not None:
            raise self.table_error
        self._tasks = [self._spawn(self._keep_table()), self._spawn(self.publisher.run())]
        await self._settled.wait()
        await self.publisher.said.wait()
        self.ready = True

    async def reload(self, spec: PoolSpec) -> None:
        """Goes over to another specification; returns when it is in force as after `start`. Raises OcfError.

        Servers that stay keep their verdicts, even when they are checked in another way from now on. When
        a check cannot be made, its exception is passed on and the specification of before stays in force.
        """
        self._begin(spec)
        self._settled.clear()
        await self._settled.wait()
        if self.table_error is not None:
            raise self.table_error

    async def stop(self) -> None:
        """Takes back everything: the attribute and our virtual services, no others. Raises OcfError."""
        for task in [*self._tasks, *(watch.task for watch in self.watches.values())]:
            if task is not None:
                task.cancel()
        await asyncio.gather(
            self.publisher.delete(), self.kernel.keep({}, self._owned | set(self.spec.virtual))
        )

    def alive(self) -> dict[VirtualService, int]:
        """How many backends each virtual service has."""
        return alive(self.spec, self.is_up)

    def is_up(self, service: ServiceSpec, real: RealServer) -> bool | None:
        """The verdict on a real server, None before there is one."""
        return self.watch_of(service, real).verdict.up

    def watch_of(self, service: ServiceSpec, real: RealServer) -> Watch:
        """The check of a real server."""
        return self._watch_of[service.virtual, real.key]

    def stuck_for(self) -> float:
        """Seconds for which the table should have been looked at and was not; 0.0 as a rule."""
        idle = asyncio.get_running_loop().time() - self._looked_at
        return idle if idle > max(STUCK_AFTER_S, 3 * self.spec.interval) else 0.0

    def _begin(self, spec: PoolSpec) -> None:
        """Goes over to `spec`: starts the checks that are new, ends those that are no longer wanted.

        Nothing is changed before all new checks are made, which may raise anything.
        """
        adopted = self.kernel.adopted()
        watches: dict[WatchKey, Watch] = {}
        watch_of: dict[tuple[VirtualService, RealKey], Watch] = {}
        checks: list[tuple[Watch, Check]] = []
        known = {key: watch for (_, key), watch in self._watch_of.items()}
        for service in spec.services:
            for key, real in service.reals.items():
                name = watch_key(service, real)
                if name not in watches:
                    before = self.watches.get(name) or self._watch_of.get((service.virtual, key)) or known.get(key)
                    watches[name], check = self._watch(before, real, service.check_of(real))
                    if check is not None:
                        checks.append((watches[name], check))
                watch_of[service.virtual, key] = watches[name]
        ended = [watch for name, watch in self.watches.items() if watches.get(name) is not watch]
        self.watches, self._watch_of = watches, watch_of
        self.spec, self._adopted = spec, adopted
        self._owned |= {*spec.virtual, *spec.former}
        for old in ended:
            if old.task is not None:
                old.task.cancel()
        for where, watch in watch_of.items():
            if watch.verdict.up is None and adopted.get(where):
                watch.verdict = Verdict(None, watch.verdict.against, trusted=True)
        for watch, check in checks:
            watch.task = self._spawn(self._check(watch, check))
        self._changed.set()

    def _watch(
        self, before: Watch | None, real: RealServer, settings: CheckSettings
    ) -> tuple[Watch, Check | None]:
        """The watch of a real server, and the check that it has yet to start; changes nothing."""
        if before is not None and before.settings == settings:
            return before, None
        port = settings.port_of(real.port)
        watch = Watch(endpoint(real.address, port), settings, Verdict(), self.wall())
        if settings.type in ("on", "off"):
            watch.verdict = Verdict(settings.type == "on")
            return watch, None
        if before is not None:
            watch.verdict, watch.since = Verdict(before.verdict.up), before.since
        return watch, self.make_check(real.address, real.port, settings)

    async def _check(self, watch: Watch, check: Check) -> None:
        interval = watch.settings.interval
        offset = phase(f"{watch.name}|{watch.settings.identity()}", interval)
        while True:
            started = self.wall()
            self._note(watch, await check.run())
            if watch.verdict.up is not None:  # else we are in a hurry
                await asyncio.sleep(delay_until_due(started, self.wall(), interval, offset))

    def _note(self, watch: Watch, result: Result) -> None:
        before = watch.verdict.up
        watch.result = result
        watch.verdict = step(watch.verdict, result.ok, watch.settings.rise, watch.settings.fall)
        if watch.verdict.up != before:
            watch.since = self.wall()
            self._changed.set()
            self.log.info(f"{watch.name} is up" if result.ok else f"{watch.name} is down: {result.reason}")

    async def _keep_table(self) -> None:
        while True:
            try:
                await asyncio.wait_for(self._changed.wait(), self.spec.interval)
            except asyncio.TimeoutError:
                pass
            await self._synchronise()

    async def _synchronise(self) -> None:
        """Fits the kernel's table to the verdicts, then tells the cluster; an error goes to `table_error`."""
        news = self._changed.is_set()
        self._changed.clear()
        spec = self.spec
        decided = all(watch.verdict.up is not None for watch in self.watches.values())
        count = min(self.alive().values())
        table = wanted_table(spec, self.is_up, self._adopted)
        before, error = self.table_error, None
        changes: list[Change] = []
        try:
            changes = await (self.kernel.make if news else self.kernel.keep)(table, frozenset(self._owned))
        except OcfError as failed:
            error = failed
            if before is None or error.reason != before.reason:
                self.log.error(error.reason)
        self.table_error = error
        self._looked_at = asyncio.get_running_loop().time()
        if changes and not news:
            self.log.warning(
                f"somebody changed the IPVS table, put right: {'; '.join(map(str, changes[:5]))}"
            )
        if decided and spec is self.spec:
            self.publisher.want(count)
            if error is None:
                self._owned = set(spec.virtual)
            self._settled.set()
        if news or changes or error is not before:
            self.on_change()

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.on_fault(error)
