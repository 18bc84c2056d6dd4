"""One pool in the health daemon: runs its engine, and starts a new one after a fault, while the other pools go on."""

from __future__ import annotations

import asyncio
import json
import os
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Callable

from ocfpy.healthd.adoption import overdue_line, patience_s
from ocfpy.healthd.cleanup import remove_files, unlink
from ocfpy.healthd.client import DEGRADED, FAILED, RUNNING, STARTING
from ocfpy.healthd.confirmation import RunningMark
from ocfpy.healthd.restore import MEMORY, memory_document
from ocfpy.healthd.status import take_snapshot, verdict_line
from ocfpy.ocf.errors import OcfError, ServiceError, one_line
from ocfpy.ocf.state import replace_file
from ocfpy.pool.spec import read_spec

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from ocfpy.healthd.autoreload import Autoreload
    from ocfpy.healthd.client import Paths
    from ocfpy.healthd.engine import Engine
    from ocfpy.ocf.context import Log
    from ocfpy.pool.spec import PoolSpec

    Json = dict[str, Any]
    MakeEngine = Callable[["PoolTask", PoolSpec], Engine]

CONFIG_LOOK_S = 1.0
"""How often an ldirectord.cf is checked for changes, at most."""
STATUS_DELAY_S = 0.05
"""Delay before the status file is written, so that changes share a write that comes after the table and the routes."""
FIRST_RETRY_S = 1.0
LAST_RETRY_S = 60.0
"""How soon after a fault a pool is started again: at first, and at the longest. The pause doubles each time."""
CALM_S = 60.0
"""A pool that has run this long without a fault starts again with the shortest pause."""


class PoolTask:
    """Runs one pool. `make_engine` creates its engine; `log` names the pool.

    `adopted` is whether the pool was running before this daemon: then its state is not news to the cluster.
    It does not begin before `removals`, those of earlier pools with the same name, have ended.
    """

    def __init__(
        self,
        paths: Paths,
        make_engine: MakeEngine,
        log: Log,
        adopted: bool,
        removals: frozenset[asyncio.Future[None]] = frozenset(),
    ) -> None:
        self.paths = paths
        self.log = log
        self.adopted = adopted
        self.engine: Engine | None = None
        self.fault = ""
        self.mark = RunningMark(paths)
        self.attribute = ""
        """The attribute that it has reported by, also while it has no engine."""
        self._make_engine = make_engine
        self._removals = removals
        self._loop = asyncio.get_running_loop()
        self._retry_s = FIRST_RETRY_S
        self._retry: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._calm: asyncio.TimerHandle | None = None
        self._status_due: asyncio.TimerHandle | None = None
        self._status_trouble = ""
        self._removed = False
        self.is_superseded = False
        """Whether an action of the cluster overtook the start of an adopted pool."""
        self._under_way: set[asyncio.Future[None]] = set()
        self._going_over: asyncio.Task[None] | None = None
        """The last reload."""
        self._state_before = self._remembered_state() if adopted else ""
        self._adopted_at = self._loop.time()

    async def start(self) -> None:
        """Start the pool as its file says. Raises OcfError, OSError, ValueError."""
        if self._removals:
            await self._unless_it_fails(self._await_removals())
        if self._removed:
            raise ServiceError("the pool was removed meanwhile")
        before = self._before_wanted()
        self._take_wanted()
        spec = read_spec(self.paths.spec)
        self.attribute = spec.attribute
        engine = self.engine = self._make_engine(self, spec)
        await self._unless_it_fails(engine.start(before))
        self.fault = ""
        if not set(spec.former) <= set(spec.virtual):
            self._note(spec)
        self.write_status()
        self._watching = asyncio.ensure_future(self._watch_config())
        self._calm = self._loop.call_later(CALM_S, self._has_lasted)

    async def _await_removals(self) -> None:
        """Wait for earlier pools of this name: services, attribute and route that they still remove would be this pool's."""
        await asyncio.wait(self._removals)
        self._removals = frozenset()

    async def adopt(self) -> None:
        """Start a pool that a previous daemon ran, and retry until it succeeds."""
        if self.is_superseded or self._removed:
            return
        try:
            await self.start()
        except Exception as error:
            if not self.is_superseded:
                self.failed(error)

    async def reload(self) -> None:
        """Apply the wanted specification; return when it is in force. Raises OcfError, OSError, ValueError."""
        engine = self.engine
        if engine is None or not engine.ready:
            await self._begin_anew()
            return
        try:
            wanted = self._take()
        except FileNotFoundError:
            if self._going_over is None:
                raise
        else:
            self._going_over = asyncio.ensure_future(self._go_over(engine, wanted))
        # Of two requests at the same time, the first may have taken what the second was about.
        await asyncio.shield(self._going_over)

    async def _go_over(self, engine: Engine, wanted: PoolSpec) -> None:
        before = engine.spec
        try:
            await self._unless_it_fails(engine.reload(wanted))
        except Exception as error:
            self._note(before if engine.is_broken else engine.spec)
            if engine.is_broken:
                self.failed(error)
            raise
        self.adopted = False
        engine.publisher.dampen = engine.spec.dampen
        self._note(engine.spec)
        self.write_status()

    async def remove(self) -> None:
        """Remove the attribute, the virtual services and the files. Raises OcfError."""
        self._removed = True
        self._halt()
        engine, self.engine = self.engine, None
        self._interrupt("the pool was removed meanwhile")
        # Before any wait: the start that follows a stop whose wait timed out may write its own files meanwhile.
        remove_files(self.paths)
        if engine is None:
            raise ServiceError("the pool was not running")
        await engine.stop()

    def failed(self, error: BaseException) -> None:
        """Restart the pool after an unexpected fault of its engine; the kernel's table stays unchanged meanwhile."""
        if self._removed or self._retry is not None:
            return
        for failure in self._under_way:
            if not failure.done():
                failure.set_exception(error)
        if self._under_way:
            return  # the waiting request gets the error, and decides
        if isinstance(error, OcfError):
            self.fault, trace = error.reason, ""
        else:
            self.fault = one_line(f"{type(error).__name__}: {error}")
            trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        self._halt()
        self.mark_verdict()
        self.log.error(f"the pool failed, restarting it in {self._retry_s:g} s: {self.fault} {trace}")
        self._retry = asyncio.ensure_future(self._start_again(self._retry_s))
        self._retry_s = min(2 * self._retry_s, LAST_RETRY_S)

    def look(self) -> None:
        """Read the directory of drained servers now instead of at the next instant."""
        if self.engine is not None:
            self.engine.look_now()

    def verdict(self) -> str:
        """Return the state of the pool for a monitor."""
        if self.fault:
            return f"{FAILED} {self.fault}"
        line = f"{STARTING} no verdict on every real server yet" if self.engine is None else verdict_line(self.engine)
        if line.startswith(STARTING) and self.adopted:
            seconds = self._loop.time() - self._adopted_at
            return self._state_before if seconds < patience_s(self.engine) else overdue_line(self.engine, seconds)
        return line

    def mark_verdict(self) -> None:
        """Have the mark for monitors agree with the verdict: at once, so that no monitor learns of it later than the routers."""
        if self._removed:
            return
        try:
            self.mark.set(self.verdict())
        except OSError:
            pass  # no daemon confirms a mark that is wrong

    def _remembered_state(self) -> str:
        """Return the state that the previous daemon reported: until there are verdicts again, it stays."""
        try:
            with open(self.paths.status, encoding="utf-8") as file:
                state = str(json.load(file)["state"])
        except (OSError, ValueError, KeyError, TypeError):
            return RUNNING
        return one_line(state) if state.partition(" ")[0] in (RUNNING, DEGRADED) else RUNNING

    def document(self) -> Json:
        """The state of the pool, see snapshot.PoolSnapshot."""
        if self.engine is not None:
            return {**take_snapshot(self.engine).document(), "state": self.verdict()}
        try:
            with open(self.paths.status, encoding="utf-8") as file:
                document: Json = json.load(file)
        except (OSError, ValueError):
            document = {"resource": self.paths.key, "virtual": []}
        document.pop(MEMORY, None)
        return {**document, "state": self.verdict()}

    def changed(self) -> None:
        """Write the status file in a moment. A monitor goes by the new state at once."""
        self.mark_verdict()
        if self._status_due is None and not self._removed:
            self._status_due = self._loop.call_later(STATUS_DELAY_S, self.write_status)

    def write_status(self) -> None:
        """Write the status file. A full disk must not end the checks: the file is outdated then, and a warning logged."""
        if self._status_due is not None:
            self._status_due.cancel()
            self._status_due = None
        if self.engine is None:
            return
        trouble = ""
        try:
            document = {**take_snapshot(self.engine).document(), MEMORY: memory_document(self.engine.desired)}
            replace_file(self.paths.status, json.dumps(document).encode())
        except OSError as error:
            trouble = f"{self.paths.status} cannot be written: {error.strerror}"
            if trouble != self._status_trouble:
                self.log.warning(trouble)
        self._status_trouble = trouble

    async def _unless_it_fails(self, work: Coroutine[None, None, None]) -> None:
        """Await an engine's work; raise the engine's failure, after which the work would never end."""
        task: asyncio.Future[None] = asyncio.ensure_future(work)
        failure: asyncio.Future[None] = self._loop.create_future()
        self._under_way.add(failure)
        try:
            await asyncio.wait({task, failure}, return_when=asyncio.FIRST_COMPLETED)
            if failure.done():
                failure.result()
            await task
        finally:
            self._under_way.discard(failure)
            task.cancel()

    def _interrupt(self, reason: str) -> None:
        """End requests under way with this reason."""
        for failure in self._under_way:
            if not failure.done():
                failure.set_exception(ServiceError(reason))

    async def _begin_anew(self) -> None:
        """Start the pool from its current file, instead of an engine whose start has not finished."""
        self._halt()
        self.is_superseded = True
        self._interrupt("another start has taken its place")
        self.abandon()
        try:
            await self.start()
        except Exception as error:
            self.failed(error)  # the cluster wants it to run: it is retried, and monitor fails meanwhile
            raise
        self.adopted = False

    async def _start_again(self, pause: float) -> None:
        self.abandon()
        await asyncio.sleep(pause)
        self._retry, self.is_superseded = None, False  # the start that was overtaken has ended by now
        await self.adopt()

    def give_back(self) -> None:
        """End a pool whose start failed. No daemon adopts it, and a stop still finds its services."""
        self._halt()
        self.abandon()
        try:
            os.replace(self.paths.spec, self.paths.wanted)
        except OSError:
            pass  # the file was not taken yet, or a stop has removed it

    def abandon(self) -> None:
        """End the engine, and leave the kernel's table unchanged."""
        engine, self.engine = self.engine, None
        if engine is not None:
            engine.abandon()

    def _halt(self) -> None:
        """Cancel the tasks and timers beside the engine."""
        for task in (self._retry, self._watching):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
        self._retry = self._watching = None
        for handle in (self._calm, self._status_due):
            if handle is not None:
                handle.cancel()
        self._calm = self._status_due = None

    def _has_lasted(self) -> None:
        self._retry_s = FIRST_RETRY_S

    def _take(self) -> PoolSpec:
        """Return the specification that an action wrote, and remove the file: another action may write its own now."""
        try:
            return read_spec(self.paths.wanted)
        finally:
            unlink(self.paths.wanted)

    def _before_wanted(self) -> PoolSpec | None:
        """What a daemon went by until it was killed in a reload; None if there was no such reload."""
        if not os.path.exists(self.paths.wanted):
            return None
        try:
            return read_spec(self.paths.spec)
        except (OSError, ValueError):
            return None

    def _take_wanted(self) -> None:
        """Make the specification that an action wrote, if any, the one that this daemon and the next apply."""
        try:
            os.replace(self.paths.wanted, self.paths.spec)
        except FileNotFoundError:
            pass

    def _note(self, spec: PoolSpec) -> None:
        """Write what is in force to the file: former services are gone by now, and may soon be another pool's."""
        if self._removed:
            return  # no daemon may adopt it
        try:
            spec.replace(former=()).write(self.paths.spec)
        except OSError as error:
            self.log.warning(f"{self.paths.spec} cannot be written: {error.strerror}")

    async def _watch_config(self) -> None:
        """Check the pool's ldirectord.cf for changes, if it has one with autoreload."""
        thread: ThreadPoolExecutor | None = None
        watch: Autoreload | None = None
        while self.engine is not None:
            engine, spec = self.engine, self.engine.spec
            if spec.config and watch is None:
                # Imported on demand: parsing takes modules that no other pool needs.
                from ocfpy.healthd.autoreload import Autoreload

                watch, thread = Autoreload(self.paths, self.log), ThreadPoolExecutor(1, "config")
            if watch is not None:
                await self._loop.run_in_executor(thread, watch.look, spec)
                if watch.trouble != engine.config_trouble:
                    engine.config_trouble = watch.trouble
                    self.changed()
            await asyncio.sleep(max(spec.interval, CONFIG_LOOK_S))
