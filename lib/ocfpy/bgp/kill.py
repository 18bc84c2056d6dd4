"""Kills a bgpd that no longer answers: its peers keep the session, and the route, for as long as it lives.

Tried with FRR 8.4.4: with bgpd's main thread stopped the session outlived four hold times, because keepalives
come from a thread of their own. After SIGKILL the kernel closes its sessions and the peers withdraw after 76 ms.
"""

from __future__ import annotations

import os
import signal

from ocfpy.bgp.process import if_bgpd, pid_from_file
from ocfpy.ocf.errors import ServiceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.bgp.vty import Vty


def kill_bgpd(vty: Vty) -> int:
    """SIGKILL the bgpd behind the socket and return its pid. Raises ServiceError when the process cannot be identified for
    sure.

    Only after BgpdHung: a bgpd that is only busy must not be killed.
    """
    pid = _listener(vty) or pid_from_file(vty.path)
    if not pid:
        raise ServiceError(f"bgpd hangs and its process cannot be found from {vty.path}: end it by hand")
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # the stop of another announcement was quicker
    return pid


def _listener(vty: Vty) -> int:
    """Return the pid of the listener, which the kernel knows unless the queue of connections is full: then 0."""
    try:
        return if_bgpd(vty.pid())
    except ServiceError:
        return 0
