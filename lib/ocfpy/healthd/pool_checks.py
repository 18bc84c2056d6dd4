"""The checks of one pool: begins and ends them, and keeps the state of each real server."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Callable

from ocfpy.healthd.check_request import check_request
from ocfpy.healthd.check_state import CheckState
from ocfpy.pool.hysteresis import Verdict
from ocfpy.pool.placement import check_key

if TYPE_CHECKING:
    from ocfpy.checks.settings import CheckSettings
    from ocfpy.healthd.check_request import CheckRequest, Checks
    from ocfpy.healthd.vip_probe import VipPaths
    from ocfpy.ipvs.model import RealServer, Table
    from ocfpy.ocf.context import Log
    from ocfpy.pool.desired import Where
    from ocfpy.pool.placement import CheckKey
    from ocfpy.pool.spec import PoolSpec, ServiceSpec


class PoolChecks:
    """Begins and ends the checks of the pool `resource`; `on_change` is called after a verdict or a weight's percentage changed.

    `checks` runs them; `paths` are those through a virtual service; `wall` is the wall clock in seconds.
    """

    def __init__(
        self,
        resource: str,
        checks: Checks,
        log: Log,
        paths: VipPaths | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self.wall = wall
        self.states: dict[CheckKey, CheckState] = {}
        self._resource = resource
        self._checks = checks
        self.paths = paths
        self._log = log
        self._state_of: dict[Where, CheckState] = {}
        self._loop = asyncio.get_running_loop()

    @property
    def decided(self) -> bool:
        """Return whether the cluster can be told: no check has its first result outstanding."""
        return all(map(_is_decided, self.states.values()))

    def of(self, service: ServiceSpec, real: RealServer) -> CheckState:
        """Return the state of a real server's check; an empty one before the check has begun."""
        state = self._state_of.get((service.virtual, real.key))
        return state or self._new_state(None, check_request(self._resource, service, real, None))

    def lost_for(self) -> float:
        """Return for how many seconds no check has run because no process runs them."""
        return self._checks.lost_for(self._resource)

    async def prepare(self, spec: PoolSpec) -> None:
        """Find out whether the checks of `spec` can be made, before anything changes. Raises any error that prevents it."""
        if self.paths is not None:
            self.paths.open(spec)
        requests: dict[CheckKey, CheckRequest] = {}
        for service in spec.services:
            for real in service.reals.values():
                request = self._request(service, real)
                if request.key not in self.states and _is_checked(request.settings):
                    requests.setdefault(request.key, request)
        await self._checks.prepare(list(requests.values()))

    def go_over(self, spec: PoolSpec, table: Table) -> None:
        """Begin the checks of `spec` that do not run, and end those that it does not have; `table` is the kernel's.

        Servers that stay keep their verdicts, even if their check changes.
        """
        states: dict[CheckKey, CheckState] = {}
        state_of: dict[Where, CheckState] = {}
        new: list[tuple[CheckState, CheckRequest]] = []
        known = {key: state for (_, key), state in self._state_of.items()}
        for service in spec.services:
            for key, real in service.reals.items():
                name = check_key(service, real)
                if name not in states and name in self.states:
                    states[name] = self.states[name]
                elif name not in states:
                    before = self._state_of.get((service.virtual, key)) or known.get(key)
                    request = self._request(service, real)
                    states[name] = self._new_state(before, request)
                    if _is_checked(request.settings):
                        new.append((states[name], request))
                state_of[service.virtual, key] = states[name]
        ended = [state for name, state in self.states.items() if states.get(name) is not state]
        self.states, self._state_of = states, state_of
        _end(ended)
        self.keep_paths(spec)
        for (virtual, key), state in state_of.items():
            in_kernel = table.get(virtual, (None, {}))[1].get(key)
            if state.verdict.up is None and in_kernel and in_kernel.weight:
                state.verdict = Verdict(None, state.verdict.against, trusted=True)
        for state, request in new:
            state.run = self._checks.begin(state, request, self._note)

    def keep_paths(self, spec: PoolSpec | None) -> None:
        """Close the paths to virtual services that `spec` does not need; all, without one. Raises OcfError, OSError."""
        if self.paths is not None:
            self.paths.keep(spec)

    def end(self) -> None:
        """End all checks."""
        _end(list(self.states.values()))

    def _request(self, service: ServiceSpec, real: RealServer) -> CheckRequest:
        path = self.paths.way(service, real) if self.paths is not None else None
        return check_request(self._resource, service, real, path)

    def _new_state(self, before: CheckState | None, request: CheckRequest) -> CheckState:
        """Create the check state of a real server, with the previous verdict."""
        settings = request.settings
        state = CheckState(request.name, settings, Verdict(), self.wall())
        if not _is_checked(settings):
            state.verdict = Verdict(settings.type == "on")
        elif before is not None:
            state.verdict, state.since = Verdict(before.verdict.up), before.since
            state.failed_at = before.failed_at
        return state

    def _note(self, state: CheckState, before: Verdict, share: int) -> None:
        """Act on a result that `state` already has; its verdict and percentage before that are given."""
        up = state.verdict.up
        if up != before.up:
            state.since = self.wall()
            if not up and (before.up or before.trusted):
                state.failed_at = self._loop.time()
            self._log.info(f"{state.name} is up" if up else f"{state.name} is down: {state.reason}")
        elif state.percent == share:
            return
        self.on_change()


def _is_checked(settings: CheckSettings) -> bool:
    """Return whether this check type has anything to run."""
    return settings.type not in ("on", "off")


def _is_decided(state: CheckState) -> bool:
    """Return whether nothing waits for it: it has a verdict, or its check cannot be made and no traffic depends on it."""
    if state.verdict.up is None:
        return state.result is not None and state.result.ok is None and not state.verdict.trusted
    return True


def _end(states: list[CheckState]) -> None:
    for state in states:
        if state.run is not None:
            state.run.end()
