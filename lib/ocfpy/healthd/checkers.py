"""The keeper's side of checker.py: runs the node's checks in unprivileged child processes, and replaces lost ones."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from ocfpy.healthd.check_state import CheckState
from ocfpy.healthd.checker_group import CheckerGroup
from ocfpy.healthd.orphans import forget_uids, kill_orphans, record_uid
from ocfpy.healthd.privileges import find_user
from ocfpy.healthd.secret_watch import SecretWatch, file_keys
from ocfpy.healthd.shared_check import GroupKey, SharedCheck, Subscription
from ocfpy.ocf.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from ocfpy.healthd.check_request import CheckRequest, OnChange
    from ocfpy.healthd.privileges import User
    from ocfpy.ocf.context import Log
    from ocfpy.pool.placement import CheckKey

    Json = dict[str, Any]

DETAILS_S = 0.3
"""How long `details` waits for busy checkers."""
STRIKES = 2
"""A pool whose check ran this many times when its checker died or froze gets a checker of its own."""
LINGER_S = 1.0
"""How long a checker without checks is kept: a reload ends some and begins others."""


class RemoteChecks:
    """The checks of all pools of a node; all engines share this object.

    `log` gets messages for the operator. `base_mark` is the value of the environment variable command_mark.MARK that marks the
    commands of checks, so that they are found if this process is killed; checkers append a number. `wall` is the wall clock in
    seconds. Identical checks of several pools run once. A checker starts with its first check.
    """

    def __init__(self, log: Log, base_mark: str, wall: Callable[[], float] = time.time) -> None:
        self._log = log
        self._base_mark = base_mark
        self._wall = wall
        self._loop = asyncio.get_running_loop()
        self._groups: dict[GroupKey, CheckerGroup] = {}
        self._shared: dict[tuple[CheckKey, GroupKey], SharedCheck] = {}
        self._strikes: dict[str, int] = {}
        self._isolated: set[str] = set()
        self._subscriptions: set[Subscription] = set()
        self._number = 0
        self._stopping = False
        self._replaced = 0
        self._default_user = find_user().name
        self._files = SecretWatch(self._file_changed)

    async def start(self) -> None:
        """End the commands that the checkers of an earlier daemon left."""
        await self._loop.run_in_executor(None, kill_orphans, self._base_mark)

    async def stop(self) -> None:
        """End all checkers and their commands; return when they are dead."""
        self._stopping = True
        self._files.stop()
        await asyncio.gather(*(group.stop() for group in self._groups.values()))
        try:
            forget_uids(self._base_mark)
        except OSError as error:
            self._log.warning(f"{error.filename} cannot be removed: {error.strerror}")

    async def prepare(self, requests: list[CheckRequest]) -> None:
        """Have a checker find out whether these checks can be made. Raises OcfError.

        Checks that differ only in the server are tried once.
        """
        kinds: dict[object, CheckRequest] = {}
        for user in {_user_of(request) for request in requests} - {""}:
            await self._loop.run_in_executor(None, find_user, user)  # the name service may be slow
        for request in requests:
            kinds.setdefault((self._key_of(request), request.settings, request.address.family), request)
        try:
            await asyncio.gather(
                *(self._group(self._key_of(request)).test(self._next_number(), request) for request in kinds.values())
            )
        finally:
            for key in {self._key_of(request) for request in requests}:
                self._end_if_idle(key)

    def begin(self, state: CheckState, request: CheckRequest, on_change: OnChange) -> Subscription:
        """Begin a check with the verdict in `state`, or share another pool's check, whose verdict arrives at once."""
        subscription = Subscription(self, state, request, on_change)
        self._subscriptions.add(subscription)
        self._subscribe(subscription)
        return subscription

    async def details(self) -> None:
        """Update `seconds` and `next_at` of all states, as far as checkers answer within DETAILS_S."""
        asked = [asyncio.ensure_future(group.details()) for group in self._groups.values()]
        if asked:
            _, late = await asyncio.wait(asked, timeout=DETAILS_S)
            for task in late:
                task.cancel()
        for shared in self._shared.values():
            for subscription in shared.subscriptions:
                subscription.refresh()

    def isolate(self, pool: str, isolated: bool = True) -> None:
        """Give the checks of a pool a checker of their own, or move them back to the shared one."""
        if isolated == (pool in self._isolated):
            return
        if isolated:
            self._isolated.add(pool)
        else:
            self._isolated.discard(pool)
            self._strikes.pop(pool, None)
        for subscription in [one for one in self._subscriptions if one.request.pool == pool]:
            self._unsubscribe(subscription)
            self._subscribe(subscription)

    def lost_for(self, pool: str) -> float:
        """Return for how many seconds no checker has run the checks of a pool; usually 0.0."""
        keys = {one.key[1] for one in self._subscriptions if one.request.pool == pool}
        return max((self._groups[key].lost_for() for key in keys), default=0.0)

    @property
    def isolated(self) -> frozenset[str]:
        """The pools that have a checker of their own."""
        return frozenset(self._isolated)

    @property
    def status(self) -> Json:
        """Return the state of the checkers, for people and programs."""
        return {
            "replaced": self._replaced,
            "isolated": sorted(self._isolated),
            "checkers": [
                {
                    "pid": group.pid,
                    "user": key.user or self._default_user,
                    "pool": key.pool or None,
                    "checks": len(group.checks),
                    "replaced": group.replaced,
                }
                for key, group in self._groups.items()
            ],
        }

    def end(self, subscription: Subscription) -> None:
        """End what `begin` began."""
        if subscription in self._subscriptions:
            self._subscriptions.discard(subscription)
            self._unsubscribe(subscription)

    def _key_of(self, request: CheckRequest) -> GroupKey:
        return GroupKey(_user_of(request), request.pool if request.pool in self._isolated else "")

    def _group(self, key: GroupKey) -> CheckerGroup:
        group = self._groups.get(key)
        if group is None:
            name = f"checker for pool {key.pool}" if key.pool else "checker"
            if key.user:
                name += f" of user {key.user}"
            user = find_user(key.user)
            if key.user:
                self._record(user)
            group = self._groups[key] = CheckerGroup(
                user, name, self._new_mark, self._log, self._files, self._changed, self._blame, self._count
            )
        return group

    def _record(self, user: User) -> None:
        """Have the next daemon know whose processes the commands are, should this process be killed."""
        try:
            record_uid(self._base_mark, user.uid)
        except OSError as error:
            self._log.warning(f"{error.filename} cannot be written: {error.strerror}")

    def _new_mark(self) -> str:
        return f"{self._base_mark}#{self._next_number()}"

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _count(self) -> None:
        self._replaced += 1

    def _subscribe(self, subscription: Subscription) -> None:
        request, state = subscription.request, subscription.state
        group_key = self._key_of(request)
        key = (request.key, group_key)
        shared = self._shared.get(key)
        if shared is None:
            belief = CheckState(request.name, request.settings, state.verdict, self._wall())
            shared = self._shared[key] = SharedCheck(self._next_number(), request, belief)
            shared.subscriptions.append(subscription)
            self._files.add(file_keys(request.settings), request.settings.interval)
            self._group(group_key).begin(shared)
        else:
            shared.subscriptions.append(subscription)
            if shared.state.result is not None:
                self._loop.call_soon(subscription.deliver_late, shared)
            believed = state.verdict
            if (believed.trusted or believed.up) and shared.state.verdict.up is None:
                self._group(group_key).trust(shared)
        subscription.shared = shared
        subscription.key = key

    def _unsubscribe(self, subscription: Subscription) -> None:
        shared, key = subscription.shared, subscription.key
        shared.subscriptions.remove(subscription)
        if not shared.subscriptions:
            del self._shared[key]
            group = self._groups[key[1]]
            group.end(shared)
            self._files.remove(file_keys(shared.request.settings), shared.request.settings.interval)
            self._end_if_idle(key[1])

    def _end_if_idle(self, key: GroupKey) -> None:
        """Have a checker ended that has nothing to do for a moment."""
        group = self._groups.get(key)
        if group is not None and not group.busy:
            self._loop.call_later(LINGER_S, self._end_idle, key)

    def _end_idle(self, key: GroupKey) -> None:
        group = self._groups.get(key)
        if group is not None and not group.busy:
            del self._groups[key]
            self._ending = asyncio.ensure_future(group.stop())

    def _changed(self, shared: SharedCheck) -> None:
        for subscription in list(shared.subscriptions):
            subscription.deliver()

    def _blame(self, shared: SharedCheck) -> None:
        """Count a strike against the pools of a check that ran when its checker died or froze."""
        for pool in {subscription.request.pool for subscription in shared.subscriptions} - self._isolated:
            self._strikes[pool] = self._strikes.get(pool, 0) + 1
            if self._strikes[pool] >= STRIKES:
                self._log.warning(f"pool {pool} gets a checker of its own: its checks ended the shared one {STRIKES} times")
                self.isolate(pool)

    def _file_changed(self, key: tuple[str, ...]) -> None:
        for group in self._groups.values():
            group.file_changed(key)

    def fault(self, name: str, error: Exception) -> None:
        """Report an exception of an engine that was told of a change; the other engines are still told."""
        self._log.error(f"{name}: {one_line(f'{type(error).__name__}: {error}')}")


def _user_of(request: CheckRequest) -> str:
    return request.settings["command_user"] if request.settings.type == "external" else ""
