"""Reads the IPVS table from /proc: no netlink, no privilege, no import; cheap enough for every monitor.

It lacks details that netlink has: thresholds, persistence engine, tunnels, and the family of
a firewall mark (net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_info_seq_show).
"""

from __future__ import annotations

from ocfpy.ipvs.model import VirtualService
from ocfpy.ocf.addresses import Address
from ocfpy.ocf.values import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from ocfpy.ipvs.model import RealKey

PROC_IP_VS = "/proc/net/ip_vs"

# Local and Bypass are left in ip_vs_fwd_name, but no real server has had them since 2.6.37.
_FORWARDS = {"Masq": "nat", "Tunnel": "tunnel", "Route": "dr"}


class ProcReal(Record):
    """A real server with its weight and its active and inactive connections."""

    __slots__ = ("active", "address", "forward", "inactive", "port", "weight")

    def __init__(
        self, address: Address, port: int, forward: str, weight: int, active: int, inactive: int
    ) -> None:
        self.address = address
        self.port = port
        self.forward = forward
        self.weight = weight
        self.active = active
        self.inactive = inactive


class ProcService(Record):
    """A virtual service, its scheduler and its real servers by (address, port).

    `persistent` has no duration: /proc shows it in jiffies, whose length no program can read.
    """

    __slots__ = ("one_packet", "persistent", "reals", "scheduler")

    def __init__(
        self, scheduler: str, reals: dict[RealKey, ProcReal], persistent: bool = False, one_packet: bool = False
    ) -> None:
        self.scheduler = scheduler
        self.reals = reals
        self.persistent = persistent
        self.one_packet = one_packet


def read_proc(
    path: str = PROC_IP_VS, only: Callable[[VirtualService], bool] | None = None
) -> dict[VirtualService, ProcService]:
    """Return the services in the kernel, or those for which `only` is true.

    A firewall mark has the family of its real servers; one without any has the remaining one, IPv4 first.
    Raises FileNotFoundError when the kernel has no IPVS (yet): modprobe ip_vs.
    """
    with open(path, encoding="ascii") as file:
        return parse_proc(file.read(), only)


def parse_proc(
    text: str, only: Callable[[VirtualService], bool] | None = None
) -> dict[VirtualService, ProcService]:
    """read_proc for a text that has been read already."""
    table: dict[VirtualService, ProcService] = {}
    marks: list[tuple[int, ProcService]] = []
    reals: dict[RealKey, ProcReal] | None = None
    for line in text.splitlines():
        if line.startswith("  ->"):
            if reals is not None:
                real = _real(line.split())
                reals[real.address, real.port] = real
            continue
        words = line.split()
        if words and words[0] in ("TCP", "UDP", "SCTP"):
            address, port = _endpoint(words[1])
            virtual = VirtualService(words[0].lower(), address, port)
            service = _service(words)
            wanted = only is None or only(virtual)
            if wanted:
                table[virtual] = service
            reals = service.reals if wanted else None
        elif words and words[0] == "FWM":
            service = _service(words)
            marks.append((int(words[1], 16), service))
            reals = service.reals
        else:  # the first two lines of the heading; the third is "  -> RemoteAddress:Port ..."
            reals = None
    _add_marks(table, marks, only)
    return table


def _add_marks(
    table: dict[VirtualService, ProcService],
    marks: list[tuple[int, ProcService]],
    only: Callable[[VirtualService], bool] | None,
) -> None:
    # Those with real servers first: they leave the other family to the ones without.
    for mark, service in sorted(marks, key=lambda entry: not entry[1].reals):
        families = [real.address.family for real in service.reals.values()] or [4]
        virtual = VirtualService(fwmark=mark, family=families[0])
        if virtual in table:
            virtual = VirtualService(fwmark=mark, family=10 - families[0])
        if only is None or only(virtual):
            table[virtual] = service


def _service(words: list[str]) -> ProcService:
    return ProcService(words[2], {}, persistent="persistent" in words[3:], one_packet="ops" in words[3:])


def _real(words: list[str]) -> ProcReal:
    address, port = _endpoint(words[1])
    return ProcReal(address, port, _FORWARDS.get(words[2], "dr"), int(words[3]), int(words[4]), int(words[5]))


def _endpoint(text: str) -> RealKey:
    # "C0000235:0035", or "[2001:0db8:0000:0000:0000:0000:0000:0053]:0035" with every digit there.
    host, _, port = text.rpartition(":")
    packed = bytes.fromhex(host.strip("[]").replace(":", ""))
    family, bits = (4, 32) if len(packed) == 4 else (6, 128)
    return Address(family, packed, bits), int(port, 16)
