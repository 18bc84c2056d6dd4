"""Undo what a pool has put in place when no daemon does it. Part of a stop, which must not fail."""

from __future__ import annotations

import os

from ocfpy.ipvs.plan import plan
from ocfpy.ipvs.proc import PROC_IP_VS
from ocfpy.ocf.state import remove_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocfpy.healthd.client import Paths
    from ocfpy.ipvs.model import VirtualService
    from ocfpy.ocf.context import Log
    from ocfpy.ocf.deadline import Deadline

ATTRIBUTE_S = 2.0
"""How long a stop waits until the cluster has deleted the attribute; a stop that failed for this would fence the node."""


def clean_up(virtual: Iterable[VirtualService], attribute: str, deadline: Deadline, log: Log) -> None:
    """Remove what a dead daemon left in place; log it when the attribute stays. Raises OcfError."""
    if attribute:
        from ocfpy.ocf.attributes import delete_attribute

        delete_attribute(attribute, min(ATTRIBUTE_S, deadline.remaining() / 2), log)
    deadline.step = "the removal of the virtual services from the kernel"
    if not os.path.exists(PROC_IP_VS):
        return
    from ocfpy.ipvs.table import IpvsTable

    ours = set(virtual)
    # Each is looked up by its key: /proc, and the kernel's list, may miss a service while others come and go.
    with IpvsTable() as table:
        table.apply(plan(table.read_services(ours), {}, ours))


def close_paths(paths: Paths) -> None:
    """Remove what a dead daemon left in place for its checks. Raises OcfError."""
    from ocfpy.healthd.fwmarks import FwmarkAllocator

    marks = FwmarkAllocator(paths.base)
    if marks.held():
        from ocfpy.healthd.vip_probe import remove_paths

        remove_paths(marks)


def remove_files(paths: Paths) -> None:
    """Remove the files of a pool, so that no daemon adopts it."""
    for path in (paths.wanted, paths.spec, paths.status, paths.running):
        unlink(path)


def unlink(path: str) -> None:
    """Remove a file, and the half-written copy of a killed process; errors are ignored."""
    try:
        remove_file(path)
    except OSError:
        pass
