"""Chooses how to talk to a bgpd: its own socket, or vtysh."""

from __future__ import annotations

import os

from ocfpy.ocf.process import have_binary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.bgp.announcer import Backend
    from ocfpy.bgp.vty import Vty
    from ocfpy.ocf.deadline import Deadline

AUTO = "auto"
SOCKET = "socket"
VTYSH = "vtysh"


def choose(backend: str, vty: Vty, deadline: Deadline) -> Backend:
    """Return the vty socket, or vtysh for the same directory; auto is the socket if it exists."""
    # Without FRR there is nothing to ask: the missing socket reports it.
    if backend == SOCKET or (backend == AUTO and (vty.exists() or not have_binary("vtysh"))):
        return vty
    from ocfpy.bgp.vtysh import Vtysh

    return Vtysh(os.path.dirname(vty.path), deadline)
