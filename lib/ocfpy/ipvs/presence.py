"""Asks the kernel itself whether it has a virtual service: one missing in /proc may exist.

/proc/net/ip_vs is read in pages that begin at an index. While other services are added and removed, 128 of 15,148 reads
missed an existing service. A service shown there exists; one that is missing has to be looked up by its key.
"""

from __future__ import annotations

import os

from ocfpy.ipvs.proc import PROC_IP_VS, ProcReal, ProcService
from ocfpy.ocf.errors import ServiceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from ocfpy.ipvs.model import Table, VirtualService
    from ocfpy.ipvs.table import IpvsTable
    from ocfpy.ocf.addresses import Address

    T = TypeVar("T")

DUMPS = 3
"""How often a list of all services is read before "none" is believed: the kernel gives it in pages of 32 KiB, of about
100 services, which miss services like those of /proc, though each list misses another one."""


def present(virtuals: Sequence[VirtualService], proc_ip_vs: str = PROC_IP_VS) -> list[VirtualService]:
    """Return those of the virtual services that the kernel has, none when it has no IPVS; never loads IPVS.

    Raises PermissionError unless run by root, ServiceError when the kernel does not answer.
    """
    if not virtuals or not os.path.exists(proc_ip_vs):
        return []
    return _answer(lambda table: table.has(virtuals))


def read_kernel(virtuals: Sequence[VirtualService], address: Address) -> dict[VirtualService, ProcService]:
    """Return those of the virtual services that the kernel has; without any, all services on the address.

    They have the form of read_proc, without connections. Raises what `present` does.
    """
    found = _answer(lambda table: table.read_services(virtuals) if virtuals else _on(address, table))
    return {
        virtual: ProcService(
            settings.scheduler,
            {key: ProcReal(*key, real.forward, real.weight, active=0, inactive=0) for key, real in reals.items()},
            persistent=bool(settings.persistence_timeout),
            one_packet=settings.one_packet,
        )
        for virtual, (settings, reals) in found.items()
    }


def _on(address: Address, table: IpvsTable) -> Table:
    found: Table = {}
    for _ in range(DUMPS):
        found = found or table.read(lambda virtual: virtual.address == address)
    return found


def _answer(question: Callable[[IpvsTable], T]) -> T:
    # Imported on demand: a monitor that misses nothing in /proc does not need it.
    from _socket import timeout

    from ocfpy.ipvs.table import IpvsTable
    from ocfpy.net.genetlink import ANSWER_S

    try:
        with IpvsTable() as table:
            return question(table)
    except timeout:  # until Python 3.10 not a TimeoutError
        raise ServiceError(f"the kernel did not answer a question about IPVS within {ANSWER_S:g} s") from None
