"""The content of an IPVS table as plain values without any I/O, and the texts that users write for them.

Monitors import this module: it uses nothing of the standard library.
"""

from __future__ import annotations

from ocfpy.ocf.addresses import Address, parse_address
from ocfpy.ocf.values import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

RealKey = tuple[Address, int]

PROTOCOLS = ("tcp", "udp", "sctp")
ONE_PACKET_PROTOCOLS = ("udp", None)
FORWARDS = ("dr", "nat", "tunnel")
TUNNEL_TYPES = ("ipip", "gue", "gre")
TUNNEL_CHECKSUMS = ("nocsum", "csum", "remcsum")
SYNC_ROLES = ("backup", "master")
"""A backup receives what the peer's master sends."""

MAX_PORT = 65535
MAX_WEIGHT = 65535
"""ipvsadm's limit; the kernel itself accepts any positive int."""
MAX_THRESHOLD = 2**31 - 1
"""Beyond it kernel 7.2 answers EINVAL; older ones accept any 32 bits."""
MAX_FWMARK = 2**32 - 1

HASHING = ("mh", "sh")
"""Schedulers that map each client to one server. They keep a server at weight 0 in their tables and drop its
clients unless the fallback flag is set (net/netfilter/ipvs/ip_vs_mh.c and ip_vs_sh.c; seen in the lab)."""

# The meaning of a flag depends on the scheduler: IP_VS_SVC_F_SCHED_{SH,MH}_{FALLBACK,PORT} in linux/ip_vs.h.
SCHEDULER_FLAGS = ("flag-1", "flag-2", "flag-3")
SCHEDULER_FLAG_NAMES = {
    "flag-1": "flag-1",
    "flag-2": "flag-2",
    "flag-3": "flag-3",
    "sh-fallback": "flag-1",
    "sh-port": "flag-2",
    "mh-fallback": "flag-1",
    "mh-port": "flag-2",
}


class VirtualService(Record):
    """A virtual service by its key in the kernel: protocol, address and port, or a firewall mark.

    `family` is 4 or 6. A firewall mark has no address, so each mark can have one service for either family.
    """

    __slots__ = ("address", "family", "fwmark", "port", "proto")

    def __init__(
        self,
        proto: str | None = None,
        address: Address | None = None,
        port: int = 0,
        fwmark: int = 0,
        family: int = 0,
    ) -> None:
        self.proto = proto
        self.address = address
        self.port = port
        self.fwmark = fwmark
        self.family = address.family if address is not None else family or 4

    def __str__(self) -> str:
        if self.address is None:
            return f"fwmark6/{self.fwmark}" if self.family == 6 else f"fwmark/{self.fwmark}"
        # Includes the port even if it is 0: parse_virtual requires one.
        return f"{self.proto}/{endpoint(self.address, 0)}:{self.port}"


class RealServer(Record):
    """A server behind a virtual service.

    `upper` is the number of connections at which the kernel stops sending it new ones, until they are below
    `lower` again; 0 is no limit. `tunnel_*` matter only with forward "tunnel"; `tunnel_port` is for GUE.
    """

    __slots__ = (
        "address",
        "forward",
        "lower",
        "port",
        "tunnel_checksum",
        "tunnel_port",
        "tunnel_type",
        "upper",
        "weight",
    )

    def __init__(
        self,
        address: Address,
        port: int,
        weight: int = 1,
        forward: str = "dr",
        lower: int = 0,
        upper: int = 0,
        tunnel_type: str = "ipip",
        tunnel_port: int = 0,
        tunnel_checksum: str = "nocsum",
    ) -> None:
        self.address = address
        self.port = port
        self.weight = weight
        self.forward = forward
        self.lower = lower
        self.upper = upper
        self.tunnel_type = tunnel_type
        self.tunnel_port = tunnel_port
        self.tunnel_checksum = tunnel_checksum

    @property
    def key(self) -> RealKey:
        """The key of a real server inside its virtual service."""
        return self.address, self.port

    def __str__(self) -> str:
        return endpoint(self.address, self.port)

    def behind(self, virtual: VirtualService) -> RealServer:
        """Return this server as the kernel has it behind `virtual`: the default port is the one clients ask for."""
        return self if self.port else self.replace(port=virtual.port)


class ServiceSettings(Record):
    """The scheduling of a virtual service.

    `flags` are sorted names out of SCHEDULER_FLAGS. `persistence_timeout` is in seconds, 0 for none;
    `netmask` is the prefix length by which persistence groups clients, None for each host separately;
    `engine` is a persistence engine of the kernel ("sip") or "".
    """

    __slots__ = ("engine", "flags", "netmask", "one_packet", "persistence_timeout", "scheduler")

    def __init__(
        self,
        scheduler: str = "wlc",
        flags: tuple[str, ...] = (),
        persistence_timeout: int = 0,
        netmask: int | None = None,
        engine: str = "",
        one_packet: bool = False,
    ) -> None:
        self.scheduler = scheduler
        self.flags = flags
        self.persistence_timeout = persistence_timeout
        self.netmask = netmask
        self.engine = engine
        self.one_packet = one_packet

    @property
    def drops_at_zero(self) -> bool:
        """Whether the clients of a server at weight 0 are dropped, as by HASHING without the fallback flag."""
        return self.scheduler in HASHING and "flag-1" not in self.flags

    def meant_for(self, virtual: VirtualService) -> ServiceSettings:
        """Return these settings as they apply to one service: one-packet scheduling is for UDP and marks."""
        if not self.one_packet or virtual.proto in ONE_PACKET_PROTOCOLS:
            return self
        return self.replace(one_packet=False)


class SyncDaemon(Record):
    """One of the kernel's two threads that synchronize the connection tables of a pair.

    `role` is one of SYNC_ROLES. `maxlen` is the longest message in bytes, 0 for the interface's default.
    """

    __slots__ = ("group", "maxlen", "nic", "port", "role", "syncid", "ttl")

    def __init__(
        self, role: str, nic: str, syncid: int, group: Address, port: int, ttl: int, maxlen: int = 0
    ) -> None:
        self.role = role
        self.nic = nic
        self.syncid = syncid
        self.group = group
        self.port = port
        self.ttl = ttl
        self.maxlen = maxlen

    def misses(self, running: SyncDaemon) -> list[str]:
        """Return how a running daemon differs from this one, in words."""
        return [
            f"{name} {getattr(running, name)} instead of {getattr(self, name)}"
            for name in ("nic", "syncid", "group", "port", "ttl", "maxlen")
            if getattr(running, name) != getattr(self, name) and (name != "maxlen" or self.maxlen)
        ]


class Timeouts(Record):
    """After how many seconds of silence IPVS forgets a connection: of TCP, of a closing TCP connection, of UDP."""

    __slots__ = ("tcp", "tcp_fin", "udp")

    def __init__(self, tcp: int, tcp_fin: int, udp: int) -> None:
        self.tcp = tcp
        self.tcp_fin = tcp_fin
        self.udp = udp


class Traffic(Record):
    """Counters of a virtual service, or a real server of it, since it was added. With direct routing no replies pass."""

    __slots__ = ("connections", "in_bytes", "in_packets", "out_bytes", "out_packets")

    def __init__(
        self, connections: int, in_packets: int, out_packets: int, in_bytes: int, out_bytes: int
    ) -> None:
        self.connections = connections
        self.in_packets = in_packets
        self.out_packets = out_packets
        self.in_bytes = in_bytes
        self.out_bytes = out_bytes


Table = dict[VirtualService, tuple[ServiceSettings, dict[RealKey, RealServer]]]


def by_key(reals: Iterable[RealServer]) -> dict[RealKey, RealServer]:
    """Real servers of one virtual service, each found by its key."""
    return {real.key: real for real in reals}


def endpoint(address: Address, port: int) -> str:
    """An address and a port as users write them; port 0 ("the one clients ask for") is left out."""
    host = f"[{address}]" if address.family == 6 else str(address)
    return f"{host}:{port}" if port else host


def parse_virtual(text: str) -> VirtualService:
    """Parse `tcp/192.0.2.53:53`, `udp/[2001:db8::53]:53`, `fwmark/7` or `fwmark6/7`. Raises ValueError."""
    kind, slash, rest = text.partition("/")
    if not slash or not rest:
        raise ValueError(f"{text!r} is not like tcp/192.0.2.53:53, udp/[2001:db8::53]:53 or fwmark/7")
    if kind in ("fwmark", "fwmark6"):
        mark = _number(rest, f"{text!r}: the firewall mark", 1, MAX_FWMARK)
        return VirtualService(fwmark=mark, family=6 if kind == "fwmark6" else 4)
    if kind not in PROTOCOLS:
        raise ValueError(f"{text!r} begins with none of {', '.join(PROTOCOLS)}, fwmark and fwmark6")
    address, port = parse_endpoint(rest)
    if port is None:
        raise ValueError(f"{text!r} has no port: write {kind}/{endpoint(address, 53)}, or 0 for every port")
    return VirtualService(kind, address, port)


def parse_real_server(text: str, default_forward: str = "dr") -> RealServer:
    """Parse `10.0.0.11:53,weight=2,forward=nat,lower=10,upper=100`. Raises ValueError with the fault.

    The default port is the one that clients ask for (see RealServer.behind). Host names are
    refused: a name server that does not answer must not keep a pool from starting.
    """
    where, *options = text.split(",")
    address, port = parse_endpoint(where)
    real = RealServer(address, port or 0, forward=default_forward)
    seen = set()
    for option in options:
        name, equals, value = option.partition("=")
        if not option:
            raise ValueError(f"{text!r}: an option is missing after the comma; separate servers by a space")
        if not equals or name not in _REAL_OPTIONS:
            raise ValueError(f"{text!r}: {option!r} is not an option; there are {', '.join(_REAL_OPTIONS)}")
        if name in seen:
            raise ValueError(f"{text!r}: {name} is given twice")
        seen.add(name)
        allowed = _REAL_OPTIONS[name]
        if isinstance(allowed, int):
            setattr(real, name, _number(value, f"{text!r}: {name}", 0, allowed))
        elif value in allowed:
            setattr(real, name, value)
        else:
            raise ValueError(f"{text!r}: {name} is one of {', '.join(allowed)}, not {value!r}")
    return real


_REAL_OPTIONS: dict[str, int | tuple[str, ...]] = {
    "weight": MAX_WEIGHT,
    "forward": FORWARDS,
    "lower": MAX_THRESHOLD,
    "upper": MAX_THRESHOLD,
    "tunnel_type": TUNNEL_TYPES,
    "tunnel_port": MAX_PORT,
    "tunnel_checksum": TUNNEL_CHECKSUMS,
}


def parse_endpoint(text: str) -> tuple[Address, int | None]:
    """Parse `192.0.2.53:53`, `[2001:db8::53]:53`, or either without its port. Raises ValueError.

    IPv6 needs its brackets even without a port: 2001:db8::5:53 would be ambiguous.
    """
    if text.startswith("["):
        host, bracket, tail = text[1:].partition("]")
        if not bracket or (tail and not tail.startswith(":")):
            raise ValueError(f"{text!r} is not [address]:port")
        colon, port = tail[:1], tail[1:]
    elif text.count(":") > 1:
        raise ValueError(f"{text!r}: write an IPv6 address in brackets, such as [2001:db8::53]:53")
    else:
        host, colon, port = text.partition(":")
    try:
        address = parse_address(host)
    except ValueError:
        shown = repr(text) if host == text else f"{text!r}: {host!r}"
        raise ValueError(f"{shown} is not an address; host names are not resolved") from None
    if "/" in host:
        raise ValueError(f"{text!r}: a server has no prefix length")
    if (address.family == 6) != text.startswith("["):
        raise ValueError(f"{text!r}: brackets are for IPv6 addresses")
    return address, _number(port, f"{text!r}: the port", 0, MAX_PORT) if colon else None


def parse_scheduler_flag(text: str) -> str:
    """Return the kernel's name (flag-1 ...) of a scheduler flag such as mh-port. Raises ValueError with all names."""
    if text not in SCHEDULER_FLAG_NAMES:
        raise ValueError(f"{text!r} is not a scheduler flag; there are {', '.join(SCHEDULER_FLAG_NAMES)}")
    return SCHEDULER_FLAG_NAMES[text]


def parse_netmask(text: str, family: int) -> int | None:
    """Parse a persistence netmask (`24`, `255.255.255.0`) as a prefix length; None is each host separately."""
    bits = 128 if family == 6 else 32
    if family == 4 and "." in text:
        packed = parse_address(text).packed
        ones = f"{int.from_bytes(packed, 'big'):032b}".rstrip("0")
        if "0" in ones or not ones:
            raise ValueError(f"{text!r} is not a netmask")
        length = len(ones)
    else:
        length = _number(text, f"{text!r}: the length of the netmask", 1, bits)
    return None if length == bits else length


def _number(text: str, what: str, minimum: int, maximum: int) -> int:
    # isdigit() alone also accepts digits of other scripts, int() accepts "1_0" and " 1".
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and minimum <= int(text) <= maximum):
        raise ValueError(f"{what} is a number from {minimum} to {maximum}, not {text!r}")
    return int(text)
