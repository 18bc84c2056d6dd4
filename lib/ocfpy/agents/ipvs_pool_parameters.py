"""The parameters of ocf:anycast:ipvs-pool except those of its checks, and their validation."""

from __future__ import annotations

from ocfpy.ipvs.model import (
    FORWARDS,
    HASHING,
    MAX_PORT,
    ONE_PACKET_PROTOCOLS,
    TUNNEL_TYPES,
    ServiceSettings,
    by_key,
    parse_netmask,
    parse_real_server,
    parse_scheduler_flag,
    parse_virtual,
)
from ocfpy.ipvs.refusals import problems
from ocfpy.ocf.agent import Agent
from ocfpy.ocf.errors import HostError
from ocfpy.ocf.parameters import NAME_CHARACTERS, BoolParam, DurationParam, IntParam, ListParam, StringParam
from ocfpy.pool.backends import members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ocfpy.checks.settings import CheckSettings
    from ocfpy.ipvs.model import RealServer, VirtualService
    from ocfpy.pool.spec import ServiceSpec


def real_server_word(text: str) -> str:
    """Return a real server as written, after validation: its defaults come from other parameters."""
    parse_real_server(text)
    return text


class PoolParameters(Agent):
    """Declares parameters and combines them; CheckParameters adds those of the checks."""

    virtual = ListParam(
        "virtual services",
        "What clients connect to, separated by white space: tcp/192.0.2.53:53 udp/[2001:db8::53]:53,"
        " sctp/..., or a firewall mark: fwmark/7 (IPv4), fwmark6/7 (IPv6). Required, like real_servers, unless config is set.",
        parse=parse_virtual,
        reloadable=True,
    )
    real_servers = ListParam(
        "real servers",
        "The servers behind each virtual service, separated by white space: 10.0.0.11:53"
        " [2001:db8:1::11]:53,weight=2,forward=nat. The default port is that of the virtual service. Options:"
        " weight, forward, lower and upper (connection thresholds), tunnel_type, tunnel_port. A virtual service gets"
        " the servers of its own address family; if there are none, those with forward=tunnel."
        " Host names are refused.",
        parse=real_server_word,
        reloadable=True,
    )
    scheduler = StringParam(
        "scheduler",
        "Any scheduler of the kernel: rr, wrr, lc, wlc, sh, mh, ...",
        charset="abcdefghijklmnopqrstuvwxyz0123456789_",
        default="wlc",
        reloadable=True,
    )
    scheduler_flags = ListParam(
        "scheduler flags",
        "mh-fallback, mh-port, sh-fallback, sh-port, or flag-1 to flag-3.",
        parse=parse_scheduler_flag,
        reloadable=True,
    )
    forward = StringParam(
        "forwarding method",
        "dr (direct routing), nat or tunnel, for real servers that do not set it.",
        choices=FORWARDS,
        default="dr",
        reloadable=True,
    )
    tunnel_type = StringParam(
        "tunnel type",
        "ipip, gue or gre, for forward=tunnel.",
        choices=TUNNEL_TYPES,
        default="ipip",
        reloadable=True,
    )
    tunnel_port = IntParam(
        "tunnel port",
        "UDP port at which the real servers receive GUE.",
        minimum=1,
        maximum=MAX_PORT,
        reloadable=True,
    )
    persistence_timeout = DurationParam(
        "persistence",
        "How long a client stays with its real server; whole seconds. 0: each connection is scheduled separately.",
        maximum="744h",  # ipvsadm's limit, 31 days
        default="0s",
        reloadable=True,
    )
    persistence_netmask = StringParam(
        "persistence netmask",
        "Clients of the same network stay together: 24 or 255.255.255.0. Unset: each address separately.",
        reloadable=True,
    )
    persistence_engine = StringParam(
        "persistence engine", "sip, or another engine of the kernel.", charset=NAME_CHARACTERS, reloadable=True
    )
    one_packet = BoolParam(
        "one-packet scheduling",
        "Schedule each packet separately in the pool's UDP (and firewall mark) services: for DNS, where a packet is a"
        " request. Otherwise a client's address and port stay with a server, even a dead one, until the UDP timeout of"
        " five minutes. Not with forward=nat.",
        default="false",
        reloadable=True,
    )
    quiesce = BoolParam(
        "quiesce",
        "true: a failed server gets weight 0, and its existing connections stay. false: it is"
        " removed, and with the kernel's net.ipv4.vs.expire_nodest_conn=1 its clients go to another server"
        " at once, instead of at the end of the connection's timeout (five minutes for UDP).",
        default="true",
        reloadable=True,
    )
    attribute = StringParam(
        "node attribute",
        "Holds the number of live backends, of the virtual service that has the fewest. Each pool needs its own."
        " Unset: healthy- and the name of the resource.",
        charset=NAME_CHARACTERS,
    )
    dampen = DurationParam(
        "dampening",
        "How long the cluster waits for further changes of the attribute before it acts on a change.",
        maximum="1h",
        usual="1min",
        default="0s",
        reloadable=True,
    )

    _reals: tuple[RealServer, ...] | None = None
    _behind: dict[VirtualService, list[RealServer]] | None = None

    def reals(self) -> tuple[RealServer, ...]:
        """The real servers, with the pool's defaults applied."""
        if self._reals is None:
            self._reals = tuple(map(self.real, self.real_servers))
        return self._reals

    def behind(self, virtual: VirtualService) -> list[RealServer]:
        """The real servers of a virtual service. Computed once: every monitor of a large pool asks for them again and again."""
        if self._behind is None:
            self._behind = {}
        if virtual not in self._behind:
            self._behind[virtual] = members(virtual, self.reals())
        return self._behind[virtual]

    def real(self, text: str) -> RealServer:
        """Parse one real server."""
        real = parse_real_server(text, self.forward)
        if real.forward == "tunnel":
            if ",tunnel_type=" not in text:
                real = real.replace(tunnel_type=self.tunnel_type)
            if ",tunnel_port=" not in text and self.tunnel_port:
                real = real.replace(tunnel_port=self.tunnel_port)
        return real

    def settings(self) -> ServiceSettings:
        """The scheduling of every virtual service of the pool."""
        netmask = None
        if self.persistence_netmask:
            netmask = parse_netmask(self.persistence_netmask, self.virtual[0].family)
        return ServiceSettings(
            self.scheduler,
            tuple(sorted(set(self.scheduler_flags))),
            int(self.persistence_timeout),
            netmask,
            self.persistence_engine or "",
            self.one_packet,
        )

    def check_config(self) -> list[str]:
        faults = [f"{text} is given twice" for text in twice([str(virtual) for virtual in self.virtual])]
        if self.persistence_timeout % 1:
            faults.append("persistence_timeout must be whole seconds")
        if self.quiesce and self.scheduler in HASHING and "flag-1" not in self.scheduler_flags:
            faults.append(
                f"scheduler={self.scheduler} drops the clients of a server at weight 0:"
                f" add scheduler_flags={self.scheduler}-fallback, or set quiesce=false"
            )
        if self.one_packet and self.virtual and all(v.proto not in ONE_PACKET_PROTOCOLS for v in self.virtual):
            faults.append("one_packet is for UDP, and no virtual service is")
        return faults + self._faults_of_services()

    def _faults_of_services(self) -> list[str]:
        families = {virtual.family for virtual in self.virtual}
        if not families:
            return []
        if self.persistence_netmask:
            if len(families) > 1:
                return [
                    "persistence_netmask fits one address family: use one pool for IPv4 and one for IPv6"
                ]
            faults = fault_of(
                lambda text: parse_netmask(text, max(families)),
                "persistence_netmask",
                self.persistence_netmask,
            )
            if faults:
                return faults
        faults = []
        settings, reals = self.settings(), self.reals()
        for virtual in self.virtual:
            behind = self.behind(virtual)
            faults += [
                f"{virtual}: real server {text} is given twice" for text in twice(list(map(str, behind)))
            ]
            faults += problems(virtual, settings.meant_for(virtual), by_key(behind))
            if not behind and self.real_servers:  # without real_servers another fault says so
                faults.append(f"{virtual} has no real server of its address family, IPv{virtual.family}")
        for real in reals:
            if real.forward != "tunnel" and real.address.family not in families:
                faults.append(f"real server {real} has no virtual service of its address family")
        return faults

    def config_warnings(self) -> list[str]:
        from ocfpy.ipvs.schedulers import doubts

        return super().config_warnings() + doubts(self.scheduler, self.reals())

    def check_host(self) -> None:
        """Raise HostError if the kernel lacks the scheduler; only in validate-all, a start gets the kernel's own error."""
        if self.context.action != "validate-all":
            return
        from ocfpy.ipvs.schedulers import is_missing

        names = sorted({service.settings.scheduler for service in self.services()})
        missing = [name for name in names if is_missing(name, self.context.deadline)]
        if missing:
            modules = " ".join(f"ip_vs_{name}" for name in missing)
            raise HostError(f"this kernel has no IPVS scheduler {', '.join(missing)} (no module {modules})")

    def check_settings(self) -> CheckSettings:
        """The check of every real server."""
        raise NotImplementedError

    def services(self) -> tuple[ServiceSpec, ...]:
        """The specification of each virtual service for the daemon: the same settings for all of them."""
        from ocfpy.pool.spec import ServiceSpec

        settings, check = self.settings(), self.check_settings()
        return tuple(
            ServiceSpec(
                virtual,
                by_key(self.behind(virtual)),
                settings.meant_for(virtual),
                check,
                quiesce=self.quiesce,
            )
            for virtual in self.virtual
        )

    def attribute_name(self) -> str:
        """The node attribute with the number of live backends."""
        return self.attribute or f"healthy-{self.context.resource}"


def twice(texts: list[str]) -> list[str]:
    """Return the texts that occur more than once."""
    seen: set[str] = set()
    again: set[str] = set()
    for text in texts:
        (again if text in seen else seen).add(text)
    return sorted(again)


def fault_of(parse: Callable[[str], object], name: str, text: str) -> list[str]:
    """Return what `parse` reports about the value of a parameter."""
    try:
        parse(text)
    except ValueError as error:
        return [f"parameter {name}: {error}"]
    return []
