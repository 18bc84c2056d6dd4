"""Ends a bgpd that no longer answers: its peers keep the session, and the route, for as long as it lives.

Tried with FRR 8.4.4: with bgpd's main thread stopped the session outlived four hold times, for keepalives
come from a thread of their own. Killed, the kernel closes its sessions and the peers withdraw after 76 ms.
"""

from __future__ import annotations

import os
import signal

from ocfpy.ocf.errors import ServiceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.bgp.vty import Vty

PROCESS_NAME = "bgpd"


def kill_bgpd(vty: Vty) -> int:
    """SIGKILL the bgpd behind the socket and return its pid. ServiceError when no process can be made out for
    sure.
    """
    pid = _listener(vty) or _from_pid_file(vty.path)
    if not pid:
        raise ServiceError(f"bgpd hangs and its process cannot be found from {vty.path}: end it by hand")
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # the stop of another announcement was quicker
    return pid


def _listener(vty: Vty) -> int:
    """The kernel knows who listens, unless the queue of connections is full: 0."""
    try:
        return _if_bgpd(vty.pid())
    except ServiceError:
        return 0


def _from_pid_file(vty_path: str) -> int:
    """FRR keeps bgpd.pid beside bgpd.vty, unless it was told otherwise."""
    try:
        with open(os.path.join(os.path.dirname(vty_path), "bgpd.pid"), encoding="ascii") as file:
            return _if_bgpd(int(file.read()))
    except (OSError, ValueError):
        return 0


def _if_bgpd(pid: int) -> int:
    """The pid if that is a bgpd: a pid file may be old, and its number somebody else's by now."""
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return pid if file.read().strip() == PROCESS_NAME else 0
    except OSError:
        return 0
