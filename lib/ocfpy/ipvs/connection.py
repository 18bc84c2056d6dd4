"""Opens a connection to this kernel's IPVS, or raises with the reason why there is none."""

from __future__ import annotations

import os

from ocfpy.ipvs.messages import FAMILY_NAME
from ocfpy.ipvs.proc import PROC_IP_VS
from ocfpy.net.genetlink import GenericNetlink
from ocfpy.ocf.errors import DeadlineError, NotInstalledError, OcfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from ocfpy.ocf.deadline import Deadline

    C = TypeVar("C", bound="Connected")

_NO_IPVS = "this kernel has no IPVS: modprobe ip_vs, or install a kernel with CONFIG_IP_VS"


def connect() -> GenericNetlink:
    """A socket to IPVS in this network namespace. Raises NotInstalledError."""
    try:
        return GenericNetlink(FAMILY_NAME)
    except FileNotFoundError:
        raise NotInstalledError(_NO_IPVS) from None


class Connected:
    """A connection to the IPVS of this network namespace. Close it, or use it in a `with`.

    Raises NotInstalledError when the kernel has no IPVS, PermissionError unless run by root.
    """

    def __init__(self) -> None:
        self._netlink = connect()

    def __enter__(self: C) -> C:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._netlink.close()


def require_ipvs(deadline: Deadline) -> None:
    """Raise NotInstalledError when the kernel has no IPVS and cannot load it."""
    if os.path.exists(PROC_IP_VS):
        return
    from ocfpy.ocf import process  # starting programs needs imports that a start usually does without

    try:
        process.run(["modprobe", "ip_vs"], deadline)
    except DeadlineError:
        raise  # then it is not known whether there is IPVS
    except OcfError:
        pass  # the error below says what matters
    if not os.path.exists(PROC_IP_VS):
        raise NotInstalledError(_NO_IPVS)
