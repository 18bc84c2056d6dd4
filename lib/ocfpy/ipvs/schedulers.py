"""The schedulers of IPVS: which ones Linux has, whether this kernel has one, and which use weights."""

from __future__ import annotations

import os

from ocfpy.ocf import process
from ocfpy.ocf.errors import DeadlineError, OcfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocfpy.ipvs.model import RealServer
    from ocfpy.ocf.deadline import Deadline

LINUX_SCHEDULERS = ("rr", "wrr", "lc", "wlc", "fo", "ovf", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "twos")
"""The schedulers in net/netfilter/ipvs/Kconfig of Linux 6.12."""

WITHOUT_WEIGHTS = {"rr": "wrr", "lc": "wlc", "dh": "sh"}
"""Schedulers for which every weight above 0 is the same (ip_vs_rr.c, ip_vs_lc.c, ip_vs_dh.c), and their weighted variants."""

SYS_MODULE = "/sys/module"
SERVERS_NAMED = 4


def doubts(scheduler: str, reals: Iterable[RealServer]) -> list[str]:
    """Return probable mistakes: a scheduler that Linux does not have, weights that the scheduler ignores."""
    found = []
    if scheduler not in LINUX_SCHEDULERS:
        from difflib import get_close_matches

        near = get_close_matches(scheduler, LINUX_SCHEDULERS, 1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(LINUX_SCHEDULERS)}"
        found.append(f"{scheduler} is not a scheduler that Linux has: {hint}")
    weighted = [f"weight={real.weight} of {real}" for real in reals if real.weight > 1]
    if scheduler in WITHOUT_WEIGHTS and weighted:
        more = f" and {len(weighted) - SERVERS_NAMED} more" if len(weighted) > SERVERS_NAMED else ""
        found.append(
            f"the scheduler {scheduler} ignores weights, so {', '.join(weighted[:SERVERS_NAMED])}{more} has no effect:"
            f" {WITHOUT_WEIGHTS[scheduler]} does"
        )
    return found


def is_missing(scheduler: str, deadline: Deadline, sys_module: str = SYS_MODULE) -> bool:
    """Return whether this kernel lacks the scheduler; False if only trying could tell.

    The kernel itself asks for the module ip_vs_NAME (ip_vs_scheduler_get). Raises DeadlineError.
    """
    if os.path.exists(f"{sys_module}/ip_vs_{scheduler}"):
        return False
    # A module tree without IPVS is not this kernel's, or IPVS is built in: it proves nothing.
    return _has_module("ip_vs", deadline) and not _has_module(f"ip_vs_{scheduler}", deadline)


def _has_module(name: str, deadline: Deadline) -> bool:
    try:
        return process.run(["modprobe", "--dry-run", "--quiet", name], deadline).rc == 0
    except DeadlineError:
        raise
    except OcfError:  # there is no modprobe
        return False
