"""ocf:anycast:anycast-vip: an anycast address on the loopback, only where its backends are alive."""

from __future__ import annotations

from ocfpy import __version__
from ocfpy.ipvs.gate import ALL, ANY, NONE, DeadTimes, why_dead
from ocfpy.ipvs.model import parse_endpoint, parse_virtual
from ocfpy.ipvs.proc import PROC_IP_VS, parse_proc
from ocfpy.net.loopback import add_address, has_interface, locate, remove_address
from ocfpy.net.prefixes import ALLOWED_PREFIXES_FILE, read_prefixes
from ocfpy.ocf.addresses import Address, parse_address
from ocfpy.ocf.agent import Action, Agent, Status
from ocfpy.ocf.errors import ClaimedError, HostError, OcfError, ServiceError
from ocfpy.ocf.parameters import (
    NAME_CHARACTERS,
    AddressParam,
    DurationParam,
    InterfaceParam,
    ListParam,
    NumberOrPercentParam,
    PrefixListParam,
    StringParam,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ocfpy.ipvs.model import VirtualService
    from ocfpy.ipvs.proc import ProcService


class AnycastVip(Agent):
    """The address, and the gate that decides whether this node may hold it."""

    name = "anycast-vip"
    provider = "anycast"
    version = __version__
    shortdesc = "Anycast address, only where its backends are alive"
    longdesc = (
        "Puts an anycast address (/32 or /128) on the loopback of the node that serves it. A gate allows the "
        "address only while the virtual services on it have live backends in the kernel's IPVS "
        "table, whether ipvs-pool, ldirectord or keepalived fills that table. The host never picks the "
        "address as the source of its own connections. bgp-announce announces it."
    )

    ip = AddressParam(
        "Anycast address",
        "The address, IPv4 or IPv6. Each resource needs its own.",
        required=True,
        unique_group=True,
    )
    nic = InterfaceParam(
        "Interface",
        "The network interface to put the address on. Anything but the loopback answers ARP for it.",
        default="lo",
    )
    gate = StringParam(
        "Which services must be alive",
        "all: every virtual service on the address must have min_backends alive; any: one of them is enough; "
        "none: the address does not depend on IPVS.",
        default=ALL,
        choices=(ALL, ANY, NONE),
    )
    services = ListParam(
        "Virtual services of the gate",
        "The virtual services that the gate checks, for example: tcp/192.0.2.53:53 udp/192.0.2.53:53. "
        "Unset: all virtual services on the address. Services by firewall mark (fwmark/7, "
        "fwmark6/7) have no address and must be given here.",
        parse=parse_virtual,
    )
    min_backends = NumberOrPercentParam(
        "Backends that must be alive",
        "How many real servers of a virtual service must be alive, as a number or as a percentage of those "
        "in the kernel. Never less than one.",
        default="1",
        minimum=1,
    )
    sorry_server = ListParam(
        "Servers that do not count",
        "Real servers, with or without a port, that get traffic only while no other server is alive: the "
        "sorry_server of ipvs-pool and keepalived, the fallback of ldirectord. The kernel does not mark "
        "them.",
        parse=parse_endpoint,
    )
    hold_down = DurationParam(
        "Required time of health before a start",
        "After a failure of the backends they must have been alive for this long before the address comes "
        "back; start waits for it, so its timeout must be longer.",
        default="0s",
        maximum="24h",
        usual="10min",
    )
    attribute = StringParam(
        "Node attribute that moves the resource",
        "The node attribute (such as healthy-POOL) that a location rule of this resource watches. Then "
        "the rule moves or stops the resource when the backends die, and the agent reports dead "
        "backends as a failure only if that has not happened within the grace period. Unset: dead "
        "backends are a failure at once.",
        charset=f"{NAME_CHARACTERS}#",
    )
    grace = DurationParam(
        "Time for the location rule to act",
        "With attribute: how long the backends may be dead before this resource fails.",
        default="15s",
        maximum="24h",
        usual="10min",
    )
    allowed_prefixes = PrefixListParam(
        "Networks of permitted addresses",
        "An address outside of these networks is refused, and so is one outside of those in "
        f"{ALLOWED_PREFIXES_FILE}, if that file has any.",
    )

    actions = (
        Action("start", "20s"),
        Action("stop", "20s"),
        Action("monitor", "20s", interval="5s"),
        Action("migrate_to", "20s"),
        Action("migrate_from", "20s"),
    )

    example = {"ip": "192.0.2.53"}
    see_also = ("ocf_anycast_ipvs-pool(7)", "ocf_anycast_bgp-announce(7)", "anycastctl(8)")

    _judged = ""
    """The kernel's table as it was found well enough; empty where it was not, or where it took more than this to judge."""

    proc_ip_vs = PROC_IP_VS
    prefixes_file = ALLOWED_PREFIXES_FILE

    def check_config(self) -> list[str]:
        faults = []
        if self.ip is None:
            return faults
        if self.allowed_prefixes and not any(prefix.contains(self.ip) for prefix in self.allowed_prefixes):
            faults.append(f"parameter ip: {self.ip} is not in allowed_prefixes")
        for virtual in self.services:
            if virtual.address is not None and virtual.address != self.ip:
                faults.append(f"parameter services: {virtual} is not on {self.ip}")
            elif virtual.family != self.ip.family:
                faults.append(f"parameter services: {virtual} is not for IPv{self.ip.family}")
        return faults

    def check_host(self) -> None:
        faults = [*self._host_faults(), *filter(None, [self._obstacle(self.ip, self.nic)])]
        if faults:
            raise HostError("; ".join(faults))

    def _host_faults(self) -> list[str]:
        """What no waiting mends."""
        faults = []
        prefixes = read_prefixes(self.prefixes_file)
        if prefixes and not any(prefix.contains(self.ip) for prefix in prefixes):
            faults.append(f"{self.ip} is not in any of the networks that {self.prefixes_file} allows")
        if not has_interface(self.nic):
            faults.append(f"there is no network interface {self.nic}")
        return faults

    def claim(self) -> dict[str, str]:
        return {"ip": self.ip.cidr, "nic": self.nic}

    def check_claim(self, claim: dict[str, str]) -> None:
        address = parse_address(claim["ip"])
        conflict = self._conflict(address)
        if not conflict and not self._host_faults():
            conflict = self._obstacle(address, claim["nic"])
        if conflict:
            raise ClaimedError(conflict)

    def observe(self, claim: dict[str, str]) -> Status:
        address, nic = parse_address(claim["ip"]), claim["nic"]
        holders = locate(address)
        if (nic, address.prefixlen) not in holders:
            # Another program's address is not ours to stop, or a stop could never end; it keeps check_host from starting us,
            # though.
            return Status.stopped(_elsewhere(address, holders) if holders else "")
        conflict = self._conflict(address)
        if conflict:
            return Status.stopped(conflict)
        reason, seconds = self._look(address)
        failure = self._failure(reason, seconds) if reason else ""
        return Status.failed(failure) if failure else Status.running()

    def shortcut_facts(self) -> Sequence[str]:
        record = self.context.state.read()
        if record is None or record.get("ip") != self.ip.cidr or record.get("nic") != self.nic:
            return ()  # which resource the address belongs to is not seen without a record
        address = f"address {self.nic} {self.ip.cidr}"
        if self.gate == NONE:
            return (address,)
        from ocfpy.ipvs.excerpt import excerpt, pattern_of

        if not self._judged:
            return ()
        marks = any(virtual.address is None for virtual in self.services)
        return (address, f"table {pattern_of(self.ip, marks)}", *excerpt(self._judged, self.ip, marks))

    def start(self, claim: dict[str, str]) -> None:
        from ocfpy.net.arp import exposure

        address = parse_address(claim["ip"])
        self._require_gate(address)
        add_address(address, claim["nic"])
        exposed = exposure(address, claim["nic"])
        if exposed:
            self.context.log.warning(f"{self.context.action}: {exposed}")

    def stop(self, claim: dict[str, str]) -> None:
        address = parse_address(claim["ip"])
        remove_address(address, claim["nic"])
        if self.hold_down:
            try:
                self._look(address)
            except (OcfError, OSError) as error:
                self.context.log.warning(f"stop: cannot find out whether the backends are alive: {error}")
        self._dead_times().reset()

    def _conflict(self, address: Address) -> str:
        """The sentence about another resource that has the address; an address without any claim is ours."""
        own = self.context.state.read()
        if own is not None and own.get("ip", address.cidr) == address.cidr:
            return ""
        for resource, record in self.context.other_claims(self.name):
            if record.get("ip") == address.cidr:
                return (
                    f"resource {resource} already holds {address}: give one of them another ip (if there is "
                    f"no such resource any more, remove {self.context.rundir}/{self.name}-{resource}.state)"
                )
        return ""

    def _obstacle(self, address: Address, nic: str) -> str:
        """Say where the address is if this resource did not put it there: for example an IPaddr2 that is about to stop."""
        holders = locate(address)
        own = self.context.state.read() or {}
        if not holders or (nic, address.prefixlen) in holders or (own.get("nic", ""), address.prefixlen) in holders:
            return ""
        return f"{_elsewhere(address, holders)}: remove it there first"

    def _require_gate(self, address: Address) -> None:
        """Wait until hold_down is over. Raises ServiceError when the backends are dead and this resource has to report it."""

        def may_start() -> bool:
            reason, seconds = self._look(address)
            if not reason:
                return seconds >= self.hold_down
            failure = self._failure(reason, seconds)
            if failure:
                raise ServiceError(failure)
            return True

        self.context.deadline.poll(may_start, f"the backends to be alive for {self.hold_down:g} s")

    def _look(self, address: Address) -> tuple[str, float]:
        """Why the backends are dead, or "", and for how many seconds they have been dead or alive."""
        reason = self._why_dead(address)
        times = self._dead_times()
        return reason, times.note_dead() if reason else times.note_alive()

    def _failure(self, reason: str, dead_s: float) -> str:
        """Why dead backends are now a failure of this resource, or "".

        With a location rule the attribute tells Pacemaker, a moment after the kernel's table, and the
        two nodes of a pair lose their backends one after the other. A start or a move at that
        moment must not leave a failed action, which would outlast the outage.
        """
        if not self.attribute:
            return reason
        left_s = self.grace - dead_s
        if left_s > 0:
            self.context.log.warning(f"{reason}; left to {self.attribute} for {left_s:.1f} s more")
            return ""
        return (
            f"{reason}; dead for {dead_s:.0f} s, and Pacemaker has not moved the resource: "
            f"add a location rule on {self.attribute}"
        )

    def _why_dead(self, address: Address) -> str:
        if self.gate == NONE:
            return ""
        required = self.services

        def matters(virtual: VirtualService) -> bool:
            return virtual in required if required else virtual.address == address

        try:
            with open(self.proc_ip_vs, encoding="ascii") as file:
                text = file.read()
        except FileNotFoundError:
            return "this kernel has no IPVS yet: start ipvs-pool on this node"
        table = parse_proc(text, matters)
        self._judged = text
        reason = why_dead(
            address, table, required, self.gate, self.min_backends, self.sorry_server,
            ask=lambda virtuals: self._ask_kernel(virtuals, address),
        )  # fmt: skip
        if reason:
            self._judged = ""
        return reason

    def _ask_kernel(self, virtuals: Sequence[VirtualService], address: Address) -> Mapping[VirtualService, ProcService]:
        self._judged = ""
        return self.read_kernel(virtuals, address)

    def read_kernel(self, virtuals: Sequence[VirtualService], address: Address) -> Mapping[VirtualService, ProcService]:
        """Ask the kernel what /proc does not show, see ipvs/presence.py."""
        from ocfpy.ipvs.presence import read_kernel  # only a monitor that is about to fail needs it

        return read_kernel(virtuals, address)

    def _dead_times(self) -> DeadTimes:
        return DeadTimes(
            f"{self.context.rundir}/{self.name}-{self.context.key}.gate", self.context.log.warning
        )


def _elsewhere(address: Address, holders: list[tuple[str, int]]) -> str:
    return f"{address} is already on this host as " + ", ".join(
        f"{address}/{length} on {nic}" for nic, length in holders
    )
