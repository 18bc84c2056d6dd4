"""What an engine asks of the code that runs its checks, and how results come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable, NamedTuple

from ocfpy.ipvs.model import endpoint
from ocfpy.pool.placement import check_key

if TYPE_CHECKING:
    from typing import Protocol

    from ocfpy.checks.settings import CheckSettings
    from ocfpy.healthd.check_state import CheckState, Handle
    from ocfpy.healthd.vip_probe import VipPath
    from ocfpy.ipvs.model import RealServer, VirtualService
    from ocfpy.ocf.addresses import Address
    from ocfpy.pool.hysteresis import Verdict
    from ocfpy.pool.placement import CheckKey
    from ocfpy.pool.spec import ServiceSpec

    OnChange = Callable[["CheckState", "Verdict", int], None]
    """Called after a result changed a state, with the verdict and the percentage that the state had before."""

    class Checks(Protocol):
        """What runs checks: this process (LocalChecks) or the node's checkers (RemoteChecks)."""

        async def prepare(self, requests: list[CheckRequest]) -> None:
            """Find out whether these checks can be made; begin none. Raises OcfError, ValueError, any error of a check."""

        def lost_for(self, pool: str) -> float:
            """Return for how many seconds the checks of a pool have not run because no process runs them."""

        def begin(self, state: CheckState, request: CheckRequest, on_change: OnChange) -> Handle:
            """Begin a check with the verdict in `state`; from now on its results go into `state`."""


class CheckRequest(NamedTuple):
    """One check of one real server.

    `key` identifies the check: requests with the same key are the same check. `address` is what the check connects to, with a
    `path` that of the virtual service; `port` is the real server's. `pool` is the resource that asks.
    """

    key: CheckKey
    name: str
    address: Address
    port: int
    settings: CheckSettings
    virtual: VirtualService
    path: VipPath | None = None
    pool: str = ""


def check_request(pool: str, service: ServiceSpec, real: RealServer, path: VipPath | None) -> CheckRequest:
    """Return the check of a real server of a pool's service; with `path` it goes through the virtual service."""
    settings = service.check_of(real)
    name = endpoint(real.address, settings.port_of(real.port))
    return CheckRequest(
        check_key(service, real),
        f"{name} through {service.virtual}" if path else name,
        path.address if path else real.address,
        real.port,
        settings,
        service.virtual,
        path,
        pool,
    )
