"""Checks that run in this process: for tests and benchmarks, and as the reference for checkers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, Optional

from ocfpy.checks import make_check
from ocfpy.healthd.check_loop import CheckLoop

if TYPE_CHECKING:
    from ocfpy.checks.base import Check
    from ocfpy.checks.settings import CheckSettings
    from ocfpy.healthd.check_loop import ScheduledCheck
    from ocfpy.healthd.check_request import CheckRequest, OnChange
    from ocfpy.healthd.check_state import CheckState
    from ocfpy.healthd.vip_probe import VipPath
    from ocfpy.ipvs.model import VirtualService
    from ocfpy.ocf.addresses import Address
    from ocfpy.pool.placement import CheckKey

    MakeCheck = Callable[[Address, int, CheckSettings, VirtualService, Optional[VipPath]], Check]


class LocalChecks:
    """The checks of one engine. `wall` is the wall clock in seconds, `on_fault` gets unexpected exceptions."""

    def __init__(
        self, wall: Callable[[], float], on_fault: Callable[[BaseException], None], make_check: MakeCheck = make_check
    ) -> None:
        self.make_check = make_check
        self._loop = CheckLoop(wall, on_fault)
        self._prepared: dict[CheckKey, Check] = {}

    async def prepare(self, requests: list[CheckRequest]) -> None:
        """Create the checks that `begin` is called for next. Raises any error of a check's constructor."""
        self._prepared = {}  # left by a reload that failed
        self._prepared = {request.key: self._make(request) for request in requests}

    def begin(self, state: CheckState, request: CheckRequest, on_change: OnChange) -> ScheduledCheck:
        """Begin a check with the verdict in `state`."""
        check = self._prepared.pop(request.key, None) or self._make(request)
        return self._loop.begin(state, check, on_change)

    def lost_for(self, pool: str) -> float:
        """Return 0.0: these checks run as long as this process lives."""
        return 0.0

    def _make(self, request: CheckRequest) -> Check:
        return self.make_check(request.address, request.port, request.settings, request.virtual, request.path)
