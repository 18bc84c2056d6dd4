"""The gate: withdraws the routes of a pool without a live backend at once, and announces them again when it has one.

bgp-announce registers an announcement by a file (gate_files.py) and one line over the daemon's socket. The gate announces
only what these files permit, and leaves bgpd unchanged until the pool has reported.
"""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Callable

from ocfpy.healthd.gate_files import GateFiles, Registration
from ocfpy.healthd.gate_pools import PoolState, shut_words, too_few, undecided
from ocfpy.healthd.gate_worker import VERIFY_POLL_S, BgpdWorker, connect
from ocfpy.ocf.deadline import Deadline

if TYPE_CHECKING:
    from ocfpy.healthd.gate_worker import Announcement, Connect
    from ocfpy.ocf.context import Log

Json = dict[str, Any]

ANSWER_S = 4.5
"""How long `apply` waits for a bgpd: the worker may be in a conversation that hangs, which takes two seconds for each command."""
VERBS = ("state", "apply", "forget", "snapshot")


class Gate:
    """All gated announcements of a run directory, each bgpd with its own thread.

    Call everything from the event loop's thread, answer and construction included. `log` is called from the workers' threads as
    well, and must not block them. `wall` returns seconds since the epoch.
    """

    def __init__(self, directory: str, log: Log, connect: Connect = connect, wall: Callable[[], float] = time.time) -> None:
        self._files = GateFiles(directory)
        self._log = log
        self._connect = connect
        self._wall = wall
        self._pools: dict[str, PoolState] = {}
        self._remembered = self._files.shut_gates()
        self._workers: dict[tuple[str, str], BgpdWorker] = {}
        self._owners: dict[str, BgpdWorker] = {}
        self._is_waking = False
        self._memory = ThreadPoolExecutor(1, "gate-memory")
        self._memory_trouble = ""
        try:
            for registration in self._files.read_all():
                self._own(registration).put(registration)
        except OSError as error:
            log.error(f"cannot read the gated announcements: {error}")

    def pool(self, attribute: str, alive: int | None, why: str = "", short: bool = False) -> None:
        """Take a pool's report: the number of live backends, None if not known yet, why it is 0. Returns at once.

        `short`: it is 0 because fewer backends are alive than the quorum takes.
        """
        before = self._pools.get(attribute)
        if before is not None and (before.alive, before.gone, before.short) == (alive, False, short):
            return
        remembered = self._remembered.get(attribute)
        shut: bool | None
        if before is not None:
            shut, since = before.shut, before.since
        elif remembered is not None:
            shut, since = True, remembered[0]  # the previous daemon shut it
            short |= alive is None and remembered[1] == too_few(attribute)
        else:
            shut, since = None, self._wall()
        if alive is not None and (alive == 0) != shut:
            shut, since = alive == 0, self._wall()
        elif alive is None and before is not None:
            short = before.short
        self._change(attribute, PoolState(alive, shut, since, why, short=short))

    def expect(self, attribute: str) -> None:
        """Note a pool that has started and has not checked its backends yet."""
        before = self._pools.get(attribute)
        if before is None or before.gone:
            self.pool(attribute, None)

    def forget(self, attribute: str) -> None:
        """Note that a pool was removed: no backend serves without it, so its gate shuts."""
        before = self._pools.get(attribute)
        since = before.since if before is not None and before.shut else self._wall()
        self._change(attribute, PoolState(0, True, since, "", gone=True))

    def _change(self, attribute: str, state: PoolState) -> None:
        before = self._pools.get(attribute)
        self._pools[attribute] = state
        was_shut = before is not None and before.shut
        if before is None or bool(was_shut) != bool(state.shut) or before.alive is None or before.gone != state.gone:
            self._wake()
        elif before.short == state.short:
            return
        if self._owners:
            self._remember()

    def _wake(self) -> None:
        """Apply all changes of one turn of the loop together, so that they share a configuration session."""
        if not self._is_waking:
            self._is_waking = True
            asyncio.get_running_loop().call_soon(self._wake_workers)

    def _wake_workers(self) -> None:
        self._is_waking = False
        for worker in self._workers.values():
            worker.wake()

    def _remember(self) -> None:
        """Write down which gates are shut, for the next daemon; in a thread, after the routes."""
        shut = {name: (state.since, shut_words(name, state)) for name, state in self._pools.items() if state.shut}
        # Gates of pools that have not reported yet stay as they were.
        shut.update({name: was for name, was in self._remembered.items() if name not in self._pools})
        self._memory.submit(self._write_memory, shut)

    def _write_memory(self, shut: dict[str, tuple[float, str]]) -> None:
        try:
            self._files.remember(shut)
            self._memory_trouble = ""
        except (OSError, ValueError) as error:
            if str(error) != self._memory_trouble:
                self._memory_trouble = str(error)
                self._log.warning(f"cannot write down which gates are shut: {error}")

    async def answer(self, words: str) -> str:
        """Answer one request line, without its first word "gate", by one line.

        `state RESOURCE` answers at once with the gate's state: `open SINCE`, `shut SINCE WHY`, `gone SINCE WHY` (its pool was
        removed), `unknown WHY` (no pool has it), `waiting WHY` (its pool has not reported yet), `leaving`, or `absent` when the
        daemon has no registration. `apply RESOURCE` reads the registration's file again, makes bgpd agree with the gate, and then
        answers the same, or `failed WHY`. `forget ATTRIBUTE` says that its pool was stopped without the daemon. `snapshot` is the
        JSON of snapshot(). SINCE is in seconds since the epoch.
        """
        words = words[len("gate ") :] if words.startswith("gate ") else words
        verb, _, resource = words.strip().partition(" ")
        if verb == "state":
            return self._state(resource)
        if verb == "apply":
            return await self._apply(resource)
        if verb == "forget":
            self.forget(resource)
            return "forgotten"
        if verb == "snapshot":
            return json.dumps(self.snapshot())
        return f"failed the gate knows no request {verb!r}, only {', '.join(VERBS)}"

    def _state(self, resource: str) -> str:
        worker = self._owners.get(resource)
        announcement = worker.find(resource) if worker is not None else None
        if announcement is None:
            return "absent"
        registration = announcement.registration
        if registration.leaving:
            return "leaving"
        attribute = registration.attribute
        pool = self._pools.get(attribute)
        if pool is not None and pool.shut:
            return f"{'gone' if pool.gone else 'shut'} {pool.since:.3f} {shut_words(attribute, pool)}"
        if pool is None and attribute in self._remembered:
            since, why = self._remembered[attribute]
            return f"shut {since:.3f} {why}"
        if pool is None or pool.shut is None:
            return undecided(attribute, self._pools)
        return f"open {max(pool.since, announcement.since):.3f}"

    async def _apply(self, resource: str) -> str:
        loop = asyncio.get_running_loop()
        try:
            registration = await loop.run_in_executor(self._memory, self._files.read, resource)
        except OSError as error:
            return f"failed its registration cannot be read: {error.strerror}"
        former = self._owners.get(resource)
        worker = None if registration is None else self._own(registration)
        if former is not None and former is not worker:
            former.drop(resource)
        if registration is None or worker is None:
            self._owners.pop(resource, None)
            if not self._owners:  # without announcements the file is not needed
                await loop.run_in_executor(self._memory, self._write_memory, {})
            return "absent"
        self._remember()
        done: asyncio.Future[str] = loop.create_future()
        worker.put(registration, lambda words: _tell(loop, done, words))
        try:
            return await asyncio.wait_for(done, ANSWER_S)
        except asyncio.TimeoutError:
            return f"failed bgpd in {registration.vty_dir} did not apply it within {ANSWER_S:g} s"

    def _own(self, registration: Registration) -> BgpdWorker:
        """Return the worker of the announcement's bgpd, a new one for the first."""
        key = (registration.backend, registration.vty_dir)
        if key not in self._workers:
            self._workers[key] = BgpdWorker(self._files, self._pools, self._log, self._connect, self._wall)
        self._owners[registration.resource] = self._workers[key]
        return self._workers[key]

    def snapshot(self) -> list[Json]:
        """Return the gated announcements, for status: `state` is announced, withdrawn, leaving or unknown, as last verified."""
        return [
            self._shown(announcement)
            for resource, worker in sorted(self._owners.items())
            for announcement in [worker.find(resource)]
            if announcement is not None
        ]

    def _shown(self, announcement: Announcement) -> Json:
        registration = announcement.registration
        pool = self._pools.get(registration.attribute)
        why = shut_words(registration.attribute, pool) if pool is not None and pool.shut else ""
        return {
            "resource": registration.resource,
            "prefix": registration.prefix,
            "vrf": registration.vrf,
            "attribute": registration.attribute,
            "state": announcement.state,
            "since": round(announcement.since, 3),
            "why": why,
            "cause": pool.why if why and pool is not None else "",
            "error": announcement.error,
        }

    async def finish(self, seconds: float) -> bool:
        """Wait this long until every bgpd agrees, before the daemon ends. Return whether all do."""
        deadline = Deadline(seconds)
        while not all(worker.is_settled() for worker in self._workers.values()):
            if not deadline.remaining():
                return False
            await asyncio.sleep(VERIFY_POLL_S)
        return True

    def close(self) -> None:
        """End the threads; bgpd and the files stay unchanged."""
        for worker in self._workers.values():
            worker.close()
        self._memory.shutdown(wait=False)


def _tell(loop: asyncio.AbstractEventLoop, done: asyncio.Future[str], words: str) -> None:
    def tell() -> None:
        if not done.done():
            done.set_result(words)

    try:
        loop.call_soon_threadsafe(tell)
    except RuntimeError:
        pass  # the loop has ended
