"""The way to this kernel's IPVS, or the sentence that says why there is none."""

from __future__ import annotations

import os

from ocfpy.ipvs.messages import FAMILY_NAME
from ocfpy.ipvs.proc import PROC_IP_VS
from ocfpy.net.genetlink import GenericNetlink
from ocfpy.ocf.errors import DeadlineError, NotInstalledError, OcfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.ocf.deadline import Deadline

_NO_IPVS = "this kernel has no IPVS: modprobe ip_vs, or install a kernel with CONFIG_IP_VS"


def connect() -> GenericNetlink:
    """A socket to IPVS in this network namespace. Raises NotInstalledError."""
    try:
        return GenericNetlink(FAMILY_NAME)
    except FileNotFoundError:
        raise NotInstalledError(_NO_IPVS) from None


def require_ipvs(deadline: Deadline) -> None:
    """Raises NotInstalledError when the kernel has no IPVS and cannot load it."""
    if os.path.exists(PROC_IP_VS):
        return
    from ocfpy.ocf import process  # starting programs takes imports that a start can do without

    try:
        process.run(["modprobe", "ip_vs"], deadline)
    except DeadlineError:
        raise  # whether there is IPVS is not known, then
    except OcfError:
        pass  # what matters is said below
    if not os.path.exists(PROC_IP_VS):
        raise NotInstalledError(_NO_IPVS)
