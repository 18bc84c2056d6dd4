"""The IPVS table as /proc shows it: no netlink, no privilege, no import; cheap enough for every monitor.

It shows less than netlink does: neither thresholds nor persistence engine nor the kind of a tunnel, and not the
family of a firewall mark (net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_info_seq_show).
"""

from __future__ import annotations

from ocfpy.ipvs.model import Record, VirtualService
from ocfpy.ocf.addresses import Address
from ocfpy.ocf.errors import OcfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from ocfpy.ipvs.model import RealKey

    Look = tuple[str, dict[RealKey, int]]  # scheduler, and the weights of the real servers
    Looks = dict[int, Look]  # by family

PROC_IP_VS = "/proc/net/ip_vs"

_OTHER = {4: 6, 6: 4}
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
    """A virtual service, its scheduler and its real servers by (address, port)."""

    __slots__ = ("reals", "scheduler")

    def __init__(self, scheduler: str, reals: dict[RealKey, ProcReal]) -> None:
        self.scheduler = scheduler
        self.reals = reals


def read_proc(
    path: str = PROC_IP_VS, only: Callable[[VirtualService], bool] | None = None
) -> dict[VirtualService, ProcService]:
    """The services in the kernel, or those for which `only` is true.

    A firewall mark has the family of its real servers; where these are all tunnels, or there are none, netlink
    is asked.
    Raises FileNotFoundError when the kernel has no IPVS (yet): modprobe ip_vs.
    """
    with open(path, encoding="ascii") as file:
        return parse_proc(file.read(), only, _ask_kernel)


def parse_proc(
    text: str,
    only: Callable[[VirtualService], bool] | None = None,
    ask: Callable[[int], Looks] = lambda mark: {},
) -> dict[VirtualService, ProcService]:
    """read_proc for a text that has been read already.

    `ask` tells how the services of a mark look, by family. What it does not know has the family that its
    tunnels lead to, or else the one that is left, IPv4 first.
    """
    table: dict[VirtualService, ProcService] = {}
    marks: dict[int, list[ProcService]] = {}
    reals: dict[RealKey, ProcReal] | None = None
    for line in text.splitlines():
        words = line.split()
        if line.startswith("  ->"):
            if reals is not None:
                real = _real(words)
                reals[real.address, real.port] = real
        elif words and words[0] in ("TCP", "UDP", "SCTP"):
            address, port = _endpoint(words[1])
            virtual = VirtualService(words[0].lower(), address, port)
            service = ProcService(words[2], {})
            wanted = only is None or only(virtual)
            if wanted:
                table[virtual] = service
            reals = service.reals if wanted else None
        elif words and words[0] == "FWM":
            service = ProcService(words[2], {})
            marks.setdefault(int(words[1], 16), []).append(service)
            reals = service.reals
        else:  # the first two lines of the heading; the third is "  -> RemoteAddress:Port ..."
            reals = None
    for mark, services in marks.items():
        keys = {family: VirtualService(fwmark=mark, family=family) for family in (4, 6)}
        if only is not None and not any(map(only, keys.values())):
            continue
        for family, service in zip(_families(mark, services, ask), services):
            if only is None or only(keys[family]):
                table[keys[family]] = service
    return table


def _families(mark: int, services: list[ProcService], ask: Callable[[int], Looks]) -> list[int]:
    """The family of each service of a mark. There are at most two, and then one of either family."""
    known = [_shown(service) for service in services]
    if not any(known):
        looks = ask(mark)
        known = [next((family for family in looks if looks[family] == _look(one)), 0) for one in services]
    first = known[0] or (_OTHER[known[1]] if any(known) else _guess(services[0]))
    return [first, _OTHER[first]][: len(services)]


def _shown(service: ProcService) -> int:
    """The family that /proc shows, or 0: only a tunnel may lead to a real server of the other one."""
    return next((real.address.family for real in service.reals.values() if real.forward != "tunnel"), 0)


def _guess(service: ProcService) -> int:
    return next((real.address.family for real in service.reals.values()), 4)


def _look(service: ProcService) -> Look:
    return service.scheduler, {key: real.weight for key, real in service.reals.items()}


def _ask_kernel(mark: int) -> Looks:
    """How the services of a mark look in netlink; nothing for somebody who may not ask."""
    from ocfpy.ipvs.table import IpvsTable

    try:
        with IpvsTable() as table:
            found = table.read(lambda virtual: virtual.fwmark == mark)
    except (OSError, OcfError):
        return {}
    return {
        virtual.family: (settings.scheduler, {key: real.weight for key, real in reals.items()})
        for virtual, (settings, reals) in found.items()
    }


def _real(words: list[str]) -> ProcReal:
    address, port = _endpoint(words[1])
    return ProcReal(address, port, _FORWARDS.get(words[2], "dr"), int(words[3]), int(words[4]), int(words[5]))


def _endpoint(text: str) -> RealKey:
    # "C0000235:0035", or "[2001:0db8:0000:0000:0000:0000:0000:0053]:0035" with every digit there.
    host, _, port = text.rpartition(":")
    packed = bytes.fromhex(host.strip("[]").replace(":", ""))
    family, bits = (4, 32) if len(packed) == 4 else (6, 128)
    return Address(family, packed, bits), int(port, 16)
