"""Publishes the node attributes of all pools of this node, and those that change together at the same time.

Pacemaker drops its plan and makes another when an attribute changes in the CIB. Attributes that change one after the other cost
up to one transition each; attributes that change within a moment cost two or three in all.
"""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Callable, Optional
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from concurrent.futures import Executor

    from ocfpy.healthd.attrd import Attrd

    Ended = Callable[[bool, Optional[BaseException]], None]

REPUBLISH_S = 30.0
"""How often an unchanged value is published again: an attribute manager that was restarted has forgotten it."""
SINGLY = 10
"""Up to this number, attributes are published again by a command for each. A node with more of them looks whether the attribute
manager was restarted, and otherwise publishes again by one command for each value; by name it does as rarely as to need no more
commands than one with this number."""
RETRY_S = 1.0
"""Pause after a failure. It doubles up to REPUBLISH_S while no attempt has succeeded: the node may be in no cluster."""
FALL_GATHER_S = 0.03
"""How long a fall to 0 waits for the falls of other pools: verdicts of one moment are processed one after the other."""
RISE_GATHER_S = 0.25
"""How long a rise from 0 waits for the next rise of another pool."""
RISE_LIMIT_S = 2.0
"""How long a rise waits at most, while other pools keep rising."""
START_GATHER_S = 1.0
"""How long the first value of a pool waits for the next pool, while several start."""
START_LIMIT_S = 4.0
"""How long the first value of a pool waits at most."""
SAID_S = 0.1
"""A first value that waits longer counts as sent: the start of its pool returns, so that the next one can begin."""
CALM_S = 5.0
"""How long a change that is neither to nor from 0 waits for the next one.

Backends that die or return together are noticed within one interval, one after the other; the cluster needs only the first
that returns and the last that dies.
"""
TOGETHER_LEAST = 3
"""From this number on, attributes that change to the same value are set by one command."""
CONFIRM_S = 10.0
"""When values set by one command are set again by name: that command skips an attribute that attrd does not know."""
TOGETHER_AGAIN_S = 60.0
"""How long that command is not tried again after it failed: Pacemaker before 2.1.6 does not have it."""
WORKERS = 4
"""How many commands run at the same time."""

_REFRESH = ""
"""In place of a name: no attribute has this one."""
_EARLY_S = 0.001
"""A timer may fire this much early."""


class Publisher:
    """The attribute of one pool; NodePublisher.of() makes it.

    `value` is the wanted value, None before the first; `taken` whether the cluster accepted the last one sent. `said` is set when
    the first one was sent, successfully or not, or has waited for SAID_S. `name` and `dampen` may be changed: the next command
    uses them.
    """

    def __init__(self, node: NodePublisher, name: str, dampen: str) -> None:
        self.name = name
        self.dampen = dampen
        self.value: int | None = None
        self.taken = False
        self.said = asyncio.Event()
        self.due = math.inf
        """When the value is sent, in seconds of the loop's clock."""
        self.rises = False
        """Whether it waits for the rises of other pools."""
        self.sent: int | None = None
        self.has_worked = False
        self._node = node
        self._retry = RETRY_S
        self._failed: asyncio.Future[None] | None = None

    def want(self, value: int) -> None:
        """Publish the value if it differs.

        A fall to 0 goes out at once, a rise from 0 or a first value with those of other pools, any other change after CALM_S.
        """
        if value == self.value:
            return
        before, self.value = self.value, value
        loop = asyncio.get_running_loop()
        now = loop.time()
        if value == 0:
            self.rises, self.due = False, now + (FALL_GATHER_S if self._node.has_several else 0.0)
        elif not before:
            self.rises, self.due = True, math.inf
            self._node.rising(self, first=before is None)
        elif not self.rises:
            self.due = min(self.due, now + CALM_S)
        if before is None:
            loop.call_later(SAID_S, self._waits_for_others)
        self._node.look()

    def _waits_for_others(self) -> None:
        if self.rises:
            self.said.set()

    async def run(self) -> None:
        """Publish the value until this is cancelled. Raises an error of a command, which should only return."""
        self._failed = asyncio.get_running_loop().create_future()
        self._node.add(self)
        try:
            await self._failed
        finally:
            self._node.remove(self)

    async def delete(self) -> None:
        """Delete the attribute, after a value that is under way. The caller has cancelled `run`."""
        self._node.remove(self)
        await self._node.delete(self)

    def note(self, value: int, taken: bool, again_s: float | None = None) -> None:
        """Note the outcome; a value that the cluster accepted is sent again after `again_s` unless another one is sent."""
        longest_s = self._node.period_s(self.name)
        self.sent, self.taken = value, taken
        self.has_worked |= taken
        self.said.set()
        pause = (again_s or longest_s) if taken else min(self._retry, longest_s)
        self._retry = RETRY_S if self.has_worked else 2 * pause
        if self.due == math.inf and not self.rises:
            self.due = asyncio.get_running_loop().time() + pause

    def fail(self, error: BaseException) -> None:
        """Have `run` raise an error."""
        if self._failed is not None and not self._failed.done():
            self._failed.set_exception(error)


class NodePublisher:
    """The attributes of this node. It needs no start and no stop.

    Commands run in at most WORKERS threads, falls to 0 first. A command that hangs delays its own attributes, and others for no
    longer than its timeout. Values are not queued behind a command of the same attribute: the latest wins.
    """

    def __init__(self, attrd: Attrd, executor: Executor | None = None) -> None:
        self._attrd = attrd
        self._executor = executor or ThreadPoolExecutor(WORKERS, "attribute")
        self._publishers: set[Publisher] = set()
        self._deletes: list[tuple[str, asyncio.Future[bool]]] = []
        self._busy: set[str] = set()
        self._commands = 0
        self._recoveries, self._starts = _Gathering(), _Gathering()
        self._added: tuple[float, float] = (-math.inf, -math.inf)
        self._together_from = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._refresh_at = math.inf
        """When to look whether the attribute manager was restarted."""

    def of(self, name: str, dampen: str = "0") -> Publisher:
        """Create an attribute; attrd itself waits for `dampen` (attrd_updater's notation) before writing a change to the CIB."""
        return Publisher(self, name, dampen)

    @property
    def has_several(self) -> bool:
        """Whether there are attributes that could change together."""
        return len(self._publishers) > 1

    def add(self, publisher: Publisher) -> None:
        """Publish this attribute from now on."""
        self._added = (self._added[1], asyncio.get_running_loop().time())
        self._publishers.add(publisher)
        self.look()

    def remove(self, publisher: Publisher) -> None:
        """Stop publishing this attribute; nothing of it is sent later."""
        self._publishers.discard(publisher)
        publisher.due, publisher.rises = math.inf, False

    def delete(self, publisher: Publisher) -> Awaitable[bool]:
        """Delete the attribute once no command for it is under way; return whether the cluster accepted it."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._deletes.append((publisher.name, done))
        self.look()
        return done

    def rising(self, publisher: Publisher, first: bool) -> None:
        """Have its rise wait for others; `first` says that it is the first value of its pool."""
        (self._starts if first else self._recoveries).note(asyncio.get_running_loop().time())

    def look(self) -> None:
        """Send what is due, as far as workers are free, and schedule the next call."""
        now = asyncio.get_running_loop().time()
        self._end_of_gathering(now)
        self._refresh(now)
        self._send_deletes()
        ready = [one for one in self._publishers if one.due <= now + _EARLY_S and one.name not in self._busy]
        ready.sort(key=lambda one: (one.value != 0, one.due, one.name))
        for one in self._send_together(ready, now):
            if self._commands == WORKERS:
                break
            if one.name not in self._busy:
                self._send(one)
        self._come_back(now)

    def period_s(self, name: str) -> float:
        """After how many seconds an unchanged value is published again by name."""
        times = len(self._publishers) / SINGLY
        if times <= 1:
            return REPUBLISH_S
        return REPUBLISH_S * times * (0.75 + crc32(name.encode()) % 1000 / 2000)  # not all at the same moment

    def _refresh(self, now: float) -> None:
        """Look after the values of many attributes."""
        if len(self._publishers) <= SINGLY:
            self._refresh_at = math.inf
        elif self._refresh_at == math.inf:
            self._refresh_at = now + REPUBLISH_S
        elif self._refresh_at <= now + _EARLY_S and self._commands < WORKERS and _REFRESH not in self._busy:
            self._refresh_at = now + REPUBLISH_S
            self._begin([_REFRESH], self._attrd.is_new, self._looked)

    def _looked(self, is_new: bool, error: BaseException | None) -> None:
        """Publish by name to an attribute manager that may have forgotten, else those with the same value together."""
        now = asyncio.get_running_loop().time()
        known = [one for one in self._publishers if one.sent is not None and one.due < math.inf and one.name not in self._busy]
        groups: dict[int, list[str]] = {}
        for one in known:
            if is_new or error is not None:
                one.due = min(one.due, now)
            elif one.taken and one.sent is not None and one.sent == one.value:
                groups.setdefault(one.sent, []).append(one.name)
        for value, names in groups.items():
            if len(names) >= TOGETHER_LEAST and now >= self._together_from and self._commands < WORKERS:
                self._begin(sorted(names), partial(self._attrd.put_all, sorted(names), value), self._refreshed)

    def _refreshed(self, taken: bool, error: BaseException | None) -> None:
        if not taken:
            self._together_from = asyncio.get_running_loop().time() + TOGETHER_AGAIN_S

    def _end_of_gathering(self, now: float) -> None:
        """Make falls due with the first of them, and rises when their wait is over or a fall goes out that they can go with."""
        falls = [one for one in self._publishers if one.value == 0 and one.sent != 0 and one.due < math.inf]
        fall_goes = any(one.due <= now + _EARLY_S for one in falls)
        if fall_goes:
            for one in falls:
                one.due = min(one.due, now)
        rises = [one for one in self._publishers if one.rises]
        if rises and (fall_goes or self._rises_at(now) <= now + _EARLY_S):
            self._recoveries, self._starts = _Gathering(), _Gathering()
            for one in rises:
                one.rises, one.due = False, now

    def _rises_at(self, now: float) -> float:
        """When the waiting rises are sent."""
        if not self.has_several:
            return now
        at = self._recoveries.ends(RISE_GATHER_S, RISE_LIMIT_S)
        before, last = self._added
        if last - before > START_LIMIT_S or now - last > START_LIMIT_S:  # a pool that starts alone
            return min(at, self._starts.ends(RISE_GATHER_S, RISE_LIMIT_S))
        if any(one.value is None for one in self._publishers):  # a pool that has no verdict yet
            return min(at, self._starts.first + START_LIMIT_S)
        ends = max(self._starts.ends(START_GATHER_S, START_LIMIT_S), last + START_GATHER_S)
        return min(at, ends, self._starts.first + START_LIMIT_S)

    def _send_deletes(self) -> None:
        for name, done in list(self._deletes):
            if self._commands < WORKERS and name not in self._busy:
                self._deletes.remove((name, done))
                self._begin([name], partial(self._attrd.delete, name), partial(_settle, done))

    def _send_together(self, ready: Sequence[Publisher], now: float) -> Sequence[Publisher]:
        """Set attributes that change to the same value by one command; return those still to be sent by name."""
        if now < self._together_from:
            return ready
        groups: dict[int | None, list[Publisher]] = {}
        for one in ready:
            if one.has_worked and one.value != one.sent:
                groups.setdefault(one.value, []).append(one)
        for value, group in groups.items():
            if value is not None and len(group) >= TOGETHER_LEAST and self._commands < WORKERS:
                names = sorted({one.name for one in group})
                for one in group:
                    one.due = math.inf
                self._begin(names, partial(self._attrd.put_all, names, value), partial(self._sent_together, group, value))
        return ready

    def _sent_together(self, group: Sequence[Publisher], value: int, taken: bool, error: BaseException | None) -> None:
        now = asyncio.get_running_loop().time()
        if not taken:
            self._together_from = now + TOGETHER_AGAIN_S
        for one in group:
            if one not in self._publishers:
                continue
            if taken:
                one.note(value, True, CONFIRM_S)
            elif one.due == math.inf and not one.rises:
                one.due = now

    def _send(self, one: Publisher) -> None:
        value = one.value
        assert value is not None
        one.due = math.inf
        put = partial(self._attrd.put, one.name, value, one.dampen, one.sent is None)
        self._begin([one.name], put, partial(self._sent, one, value))

    def _sent(self, one: Publisher, value: int, taken: bool, error: BaseException | None) -> None:
        if error is not None:
            one.fail(error)
        elif one in self._publishers:
            one.note(value, taken)

    def _begin(self, names: Sequence[str], command: Callable[[], bool], ended: Ended) -> None:
        """Run a command in a thread; then call `ended` with what it returned, or with False and what it raised."""
        self._commands += 1
        self._busy.update(names)

        def done(future: asyncio.Future[bool]) -> None:
            self._commands -= 1
            self._busy.difference_update(names)
            if not future.cancelled():
                error = future.exception()
                ended(error is None and future.result(), error)
                self.look()

        try:
            future = asyncio.get_running_loop().run_in_executor(self._executor, command)
        except RuntimeError:  # this node has no thread left: treat it like a refusal of the cluster
            self._commands -= 1
            self._busy.difference_update(names)
            ended(False, None)
        else:
            future.add_done_callback(done)

    def _come_back(self, now: float) -> None:
        """Schedule a look for when the next value is due; the end of a command looks by itself."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at = min((one.due for one in self._publishers if one.due > now + _EARLY_S), default=math.inf)
        if any(one.rises for one in self._publishers):
            at = min(at, self._rises_at(now))
        if self._refresh_at > now + _EARLY_S:
            at = min(at, self._refresh_at)
        if at < math.inf:
            self._timer = asyncio.get_running_loop().call_at(at, self.look)


class _Gathering:
    """Rises that wait for each other: when the first and the last of them came."""

    def __init__(self) -> None:
        self.first = self.last = math.inf

    def note(self, now: float) -> None:
        """Add one."""
        self.first = min(self.first, now)
        self.last = now

    def ends(self, gather_s: float, limit_s: float) -> float:
        """When none has come for `gather_s`, or the first has waited for `limit_s`; never when there is none."""
        return min(self.last + gather_s, self.first + limit_s)


def _settle(future: asyncio.Future[bool], result: bool, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)
