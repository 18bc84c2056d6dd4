"""Which real servers stand behind which virtual service of a pool.

Part of every monitor, so without imports.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocfpy.ipvs.model import RealServer, VirtualService


def members(virtual: VirtualService, reals: Iterable[RealServer]) -> list[RealServer]:
    """Return the real servers behind `virtual`, with their ports there.

    Those are the servers of its address family; if there are none, those with forward=tunnel.
    """
    own = [real for real in reals if real.address.family == virtual.family]
    return [real.behind(virtual) for real in own or [real for real in reals if real.forward == "tunnel"]]
