"""A check that is mostly a mere connection: the whole of it is done once in so many times, and whenever in doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocfpy.checks import make_check
from ocfpy.checks.base import Check, Result

if TYPE_CHECKING:
    from ocfpy.checks.provider import Provider
    from ocfpy.checks.settings import CheckSettings
    from ocfpy.healthd.vip_probe import VipPath
    from ocfpy.ipvs.model import VirtualService
    from ocfpy.ocf.addresses import Address


class CombinedCheck(Check):
    """After a good check of the whole, `connects` connections; the whole again after them, and after each failure."""

    def __init__(self, whole: Check, connection: Check, connects: int) -> None:
        self.settings = whole.settings
        self.kind = whole.kind
        self.whole = whole
        self.connection = connection
        self.connects = connects
        self._left = 0

    async def run(self) -> Result:
        """One of the two."""
        if self._left:
            result = await self.connection.run()
            self._left = self._left - (result.ok is not None) if result.ok is not False else 0
        else:
            result = await self.whole.run()
            self._left = self.connects if result.ok else 0
        return result


def combined(
    address: Address,
    port: int,
    settings: CheckSettings,
    virtual: VirtualService | None,
    way: VipPath | None,
    provider: Provider | None = None,
) -> CombinedCheck:
    """The check that `settings`, with `connects`, are for; arguments and exceptions are those of make_check."""
    whole = settings.replace(connects=0)
    connection = whole.replace(type="tcp", port=settings.port_of(port), options=())
    return CombinedCheck(
        make_check(address, port, whole, virtual, way, provider),
        make_check(address, port, connection, virtual, way, provider),
        settings.connects,
    )
