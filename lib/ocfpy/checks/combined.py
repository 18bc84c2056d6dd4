"""A check that is mostly only a connection: the whole check runs once in a while, and whenever in doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocfpy.checks.base import Check, Result

if TYPE_CHECKING:
    from ocfpy.checks.settings import CheckSettings


class CombinedCheck(Check):
    """After a good whole check, `connects` connections; the whole check again after them, and after each failure."""

    def __init__(self, whole: Check, connection: Check, connects: int) -> None:
        self.settings = whole.settings
        self.kind = whole.kind
        self.whole = whole
        self.connection = connection
        self.connects = connects
        self._left = 0

    async def run(self) -> Result:
        """Make one of the two."""
        if self._left:
            result = await self.connection.run()
            self._left = self._left - (result.ok is not None) if result.ok is not False else 0
        else:
            result = await self.whole.run()
            self._left = self.connects if result.ok else 0
        return result


def split(settings: CheckSettings, port: int) -> tuple[CheckSettings, CheckSettings]:
    """Return the settings of the whole check and of its connections, for settings with `connects`; `port` as in make_check."""
    whole = settings.replace(connects=0)
    return whole, whole.replace(type="tcp", port=settings.port_of(port), options=())
