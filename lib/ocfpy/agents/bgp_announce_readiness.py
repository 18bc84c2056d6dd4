"""Waits, before a start, for a bgpd that is coming up and for its frr.conf; refuses what waiting cannot mend."""

from __future__ import annotations

import os
import time

from ocfpy.bgp.errors import BgpdDead
from ocfpy.bgp.process import pid_from_file
from ocfpy.bgp.vty import listener_pid
from ocfpy.ocf.deadline import POLL_S, Deadline, process_age
from ocfpy.ocf.errors import DeadlineError, HostError, ServiceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ocfpy.bgp.announcer import Announcer
    from ocfpy.ocf.addresses import Address

LOAD_LIMIT_S = 60.0
"""A bgpd older than this has read its configuration: vtysh -b takes 10 ms a line on FRR 8.4, and a second in all on 10."""
EDIT_LIMIT_S = 3.0
"""How long a reload (frr-reload.py) may remove lines from an older bgpd, which it adds again."""


def await_bgpd(announcer: Announcer, prefix: Address, vty_path: str, deadline: Deadline) -> None:
    """Return when bgpd answers. Raises DeadlineError when it does not run."""
    what = f"bgpd to run ({vty_path}): systemctl start frr, and bgpd=yes in /etc/frr/daemons"
    deadline.poll(lambda: _runs(announcer, prefix), what)


def await_configuration(check: Callable[[], None], vty_path: str, deadline: Deadline) -> None:
    """Return when check, which raises HostError, succeeds.

    A bgpd that has just been started answers before it has read frr.conf: until the deadline the missing part may appear; then
    it is a ServiceError. In an older bgpd it is a HostError.
    """
    is_young = age_s(listener_pid(vty_path) or pid_from_file(vty_path)) < LOAD_LIMIT_S
    patience = deadline if is_young else Deadline(min(EDIT_LIMIT_S, deadline.remaining()))
    missing: HostError | None = None
    while True:
        try:
            return check()
        except HostError as error:
            missing = error
        except DeadlineError:
            if missing is None:
                raise
        if patience.remaining() <= POLL_S:
            break
        patience.sleep(POLL_S)
    if is_young:
        raise ServiceError(f"{missing.reason} (bgpd was started less than {LOAD_LIMIT_S:g} s ago)")
    raise missing


def age_s(pid: int) -> float:
    """Return the age of a process in seconds; a process that cannot be read counts as old."""
    return process_age(pid) if pid and pid != os.getpid() else time.clock_gettime(time.CLOCK_BOOTTIME) + LOAD_LIMIT_S


def _runs(announcer: Announcer, prefix: Address) -> bool:
    try:
        announcer.route(prefix)
    except (BgpdDead, DeadlineError):  # the caller judges the remaining time
        return False
    return True
