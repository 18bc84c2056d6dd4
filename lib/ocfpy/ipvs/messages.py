"""The generic-netlink messages of IPVS, to and from the model.

Numbers and types are those of linux/ip_vs.h and of the policies in net/netfilter/ipvs/ip_vs_ctl.c.
Addresses, ports and the mask of IPv4 are in network order, everything else, the port of a sync daemon included, is in
the host's. Packed here by hand: pyroute2 takes 0.4 to 0.9 ms for each of these messages and 150 ms to be imported, and its
own declarations of IPVS are in no enterprise distribution.
"""

from __future__ import annotations

from _struct import Struct  # the module struct is a file that has nothing but this
from sys import byteorder

from ocfpy.ipvs.model import (
    SCHEDULER_FLAGS,
    TUNNEL_CHECKSUMS,
    TUNNEL_TYPES,
    RealServer,
    ServiceSettings,
    SyncDaemon,
    Timeouts,
    Traffic,
    VirtualService,
)
from ocfpy.net.netlink import attribute, attributes
from ocfpy.ocf.addresses import Address

FAMILY_NAME = "IPVS"
GENL_VERSION = 1

CMD_NEW_SERVICE = 1
CMD_SET_SERVICE = 2
CMD_DEL_SERVICE = 3
CMD_GET_SERVICE = 4
CMD_NEW_DEST = 5
CMD_SET_DEST = 6
CMD_DEL_DEST = 7
CMD_GET_DEST = 8
CMD_NEW_DAEMON = 9
CMD_DEL_DAEMON = 10
CMD_GET_DAEMON = 11
CMD_GET_CONFIG = 13

CMD_ATTR_SERVICE = 1
CMD_ATTR_DEST = 2
CMD_ATTR_DAEMON = 3
CMD_ATTR_TIMEOUT_TCP = 4
CMD_ATTR_TIMEOUT_TCP_FIN = 5
CMD_ATTR_TIMEOUT_UDP = 6

SVC_ATTR_AF = 1
SVC_ATTR_PROTOCOL = 2
SVC_ATTR_ADDR = 3
SVC_ATTR_PORT = 4
SVC_ATTR_FWMARK = 5
SVC_ATTR_SCHED_NAME = 6
SVC_ATTR_FLAGS = 7
SVC_ATTR_TIMEOUT = 8
SVC_ATTR_NETMASK = 9
SVC_ATTR_PE_NAME = 11
SVC_ATTR_STATS64 = 12

DEST_ATTR_ADDR = 1
DEST_ATTR_PORT = 2
DEST_ATTR_FWD_METHOD = 3
DEST_ATTR_WEIGHT = 4
DEST_ATTR_U_THRESH = 5
DEST_ATTR_L_THRESH = 6
DEST_ATTR_ACTIVE_CONNS = 7
DEST_ATTR_INACT_CONNS = 8
DEST_ATTR_PERSIST_CONNS = 9
DEST_ATTR_ADDR_FAMILY = 11
DEST_ATTR_STATS64 = 12
DEST_ATTR_TUN_TYPE = 13
DEST_ATTR_TUN_PORT = 14
DEST_ATTR_TUN_FLAGS = 15

# Connections, packets in and out, bytes in and out; after them the same a second.
STATS_ATTRS = (1, 2, 3, 4, 5)

DAEMON_ATTR_STATE = 1
DAEMON_ATTR_MCAST_IFN = 2
DAEMON_ATTR_SYNC_ID = 3
DAEMON_ATTR_SYNC_MAXLEN = 4
DAEMON_ATTR_MCAST_GROUP = 5
DAEMON_ATTR_MCAST_GROUP6 = 6
DAEMON_ATTR_MCAST_PORT = 7
DAEMON_ATTR_MCAST_TTL = 8

SVC_F_PERSISTENT = 0x0001
SVC_F_ONE_PACKET = 0x0004
_SVC_F_SCHEDULER = dict(zip(SCHEDULER_FLAGS, (0x0008, 0x0010, 0x0020)))
_EVERY_FLAG = 0xFFFFFFFF

FWD_MASK = 0x0007
# 1 (local) and 4 (bypass) no kernel since 2.6.37 reports.
_FORWARDS = {0: "nat", 1: "dr", 2: "tunnel", 3: "dr", 4: "dr"}
_FORWARD_CODES = {"nat": 0, "tunnel": 2, "dr": 3}

_ROLE_CODES = {"master": 1, "backup": 2}
_ROLES = {code: role for role, code in _ROLE_CODES.items()}

_PROTOCOL_CODES = {"tcp": 6, "udp": 17, "sctp": 132}
_PROTOCOLS = {code: name for name, code in _PROTOCOL_CODES.items()}
_AF = {4: 2, 6: 10}
_FAMILIES = {af: family for family, af in _AF.items()}
_ADDRESS_BYTES = {4: 4, 6: 16}
_WIRE_ADDRESS_BYTES = 16

_GENL = Struct("=BBH")  # command, version, reserved
_U8 = Struct("=B")
_U16 = Struct("=H")
_BE16 = Struct("!H")
_U32 = Struct("=I")
_U64 = Struct("=Q")
_FLAGS = Struct("=II")  # flags, and which of them to change


def genl_message(command: int, packed: bytes = b"") -> bytes:
    """The body of a command with these attributes."""
    return _GENL.pack(command, GENL_VERSION, 0) + packed


def message(
    command: int,
    virtual: VirtualService | None = None,
    settings: ServiceSettings | None = None,
    real: RealServer | None = None,
) -> bytes:
    """The body of a command on a service, or on a real server of it."""
    body = _GENL.pack(command, GENL_VERSION, 0)
    if virtual is not None:
        service = _key(virtual) + (_settings(virtual.family, settings) if settings is not None else b"")
        body += attribute(CMD_ATTR_SERVICE, service)
    if real is not None:
        body += attribute(CMD_ATTR_DEST, _real(real))
    return body


def key_of(body: bytes) -> VirtualService:
    """The virtual service that a message is about."""
    get = _part(body, CMD_ATTR_SERVICE)
    family = _FAMILIES[_read(_U16, get[SVC_ATTR_AF])]
    if SVC_ATTR_FWMARK in get:
        return VirtualService(fwmark=_read(_U32, get[SVC_ATTR_FWMARK]), family=family)
    protocol = _PROTOCOLS[_read(_U16, get[SVC_ATTR_PROTOCOL])]
    return VirtualService(protocol, _address(get[SVC_ATTR_ADDR], family), _read(_BE16, get[SVC_ATTR_PORT]))


def service_of(body: bytes) -> tuple[VirtualService, ServiceSettings]:
    """The virtual service in a message, and its settings."""
    virtual = key_of(body)
    get = _part(body, CMD_ATTR_SERVICE)
    flags = _read(_FLAGS, get[SVC_ATTR_FLAGS])
    persistent = bool(flags & SVC_F_PERSISTENT)
    return virtual, ServiceSettings(
        scheduler=_name(get.get(SVC_ATTR_SCHED_NAME, b"")),
        flags=tuple(name for name, bit in _SVC_F_SCHEDULER.items() if flags & bit),
        persistence_timeout=_read(_U32, get[SVC_ATTR_TIMEOUT]) if persistent else 0,
        netmask=_mask_length(get[SVC_ATTR_NETMASK], virtual.family) if persistent else None,
        engine=_name(get.get(SVC_ATTR_PE_NAME, b"")),
        one_packet=bool(flags & SVC_F_ONE_PACKET),
    )


def real_of(body: bytes, family: int) -> RealServer:
    """The real server in a message; `family` is its service's, for kernels before 3.18, which leave it out."""
    get = _part(body, CMD_ATTR_DEST)
    if DEST_ATTR_ADDR_FAMILY in get:
        family = _FAMILIES[_read(_U16, get[DEST_ATTR_ADDR_FAMILY])]
    real = RealServer(
        _address(get[DEST_ATTR_ADDR], family),
        _read(_BE16, get[DEST_ATTR_PORT]),
        weight=_read(_U32, get[DEST_ATTR_WEIGHT]),
        forward=_FORWARDS[_read(_U32, get[DEST_ATTR_FWD_METHOD]) & FWD_MASK],
        lower=_read(_U32, get[DEST_ATTR_L_THRESH]),
        upper=_read(_U32, get[DEST_ATTR_U_THRESH]),
    )
    # Kernels before 5.2 know only IP in IP, and leave it out.
    if real.forward == "tunnel" and DEST_ATTR_TUN_TYPE in get:
        real.tunnel_type = TUNNEL_TYPES[_read(_U8, get[DEST_ATTR_TUN_TYPE])]
        real.tunnel_port = _read(_BE16, get[DEST_ATTR_TUN_PORT])
        real.tunnel_checksum = TUNNEL_CHECKSUMS[_read(_U16, get[DEST_ATTR_TUN_FLAGS])]
    return real


def traffic_of(body: bytes) -> Traffic:
    """The kernel's counters of the service, or the real server, in a message."""
    parts = attributes(body[_GENL.size :])
    part, kind = (CMD_ATTR_DEST, DEST_ATTR_STATS64) if CMD_ATTR_DEST in parts else (CMD_ATTR_SERVICE, SVC_ATTR_STATS64)
    get = attributes(attributes(parts[part])[kind])
    return Traffic(*(_read(_U64, get[number]) for number in STATS_ATTRS))


def timeouts_of(body: bytes) -> Timeouts:
    """The timeouts in a message."""
    get = attributes(body[_GENL.size :])
    kinds = (CMD_ATTR_TIMEOUT_TCP, CMD_ATTR_TIMEOUT_TCP_FIN, CMD_ATTR_TIMEOUT_UDP)
    return Timeouts(*(_read(_U32, get[kind]) for kind in kinds))


def daemon_message(command: int, role: str, daemon: SyncDaemon | None = None) -> bytes:
    """The body of a command on the sync daemon of that role; CMD_NEW_DAEMON needs its settings."""
    packed = attribute(DAEMON_ATTR_STATE, _U32.pack(_ROLE_CODES[role]))
    if daemon is not None:
        group = DAEMON_ATTR_MCAST_GROUP6 if daemon.group.family == 6 else DAEMON_ATTR_MCAST_GROUP
        packed += (
            attribute(DAEMON_ATTR_MCAST_IFN, daemon.nic.encode() + b"\0")
            + attribute(DAEMON_ATTR_SYNC_ID, _U32.pack(daemon.syncid))
            + attribute(DAEMON_ATTR_SYNC_MAXLEN, _U16.pack(daemon.maxlen))
            + attribute(group, daemon.group.packed)
            + attribute(DAEMON_ATTR_MCAST_PORT, _U16.pack(daemon.port))
            + attribute(DAEMON_ATTR_MCAST_TTL, _U8.pack(daemon.ttl))
        )
    return genl_message(command, attribute(CMD_ATTR_DAEMON, packed))


def role_of(body: bytes) -> str:
    """The role of the sync daemon that a message is about."""
    return _ROLES[_read(_U32, _part(body, CMD_ATTR_DAEMON)[DAEMON_ATTR_STATE])]


def daemon_of(body: bytes) -> SyncDaemon:
    """The sync daemon in a message."""
    get = _part(body, CMD_ATTR_DAEMON)
    family = 6 if DAEMON_ATTR_MCAST_GROUP6 in get else 4
    return SyncDaemon(
        role_of(body),
        _name(get[DAEMON_ATTR_MCAST_IFN]),
        _read(_U32, get[DAEMON_ATTR_SYNC_ID]),
        _address(get[DAEMON_ATTR_MCAST_GROUP6 if family == 6 else DAEMON_ATTR_MCAST_GROUP], family),
        _read(_U16, get[DAEMON_ATTR_MCAST_PORT]),
        _read(_U8, get[DAEMON_ATTR_MCAST_TTL]),
        _read(_U16, get[DAEMON_ATTR_SYNC_MAXLEN]),
    )


def connections_of(body: bytes) -> tuple[int, int]:
    """Return the connections, active and inactive, and the persistent clients of the real server in a message.

    UDP connections count as inactive, each until the timeout of `ipvsadm --set` (five minutes). A persistent client
    counts until persistence_timeout after its last new connection, and longer if that one still goes on.
    """
    get = _part(body, CMD_ATTR_DEST)
    kinds = (DEST_ATTR_ACTIVE_CONNS, DEST_ATTR_INACT_CONNS, DEST_ATTR_PERSIST_CONNS)
    active, inactive, clients = (_read(_U32, get[kind]) if kind in get else 0 for kind in kinds)
    return active + inactive, clients


def _key(virtual: VirtualService) -> bytes:
    af = attribute(SVC_ATTR_AF, _U16.pack(_AF[virtual.family]))
    if virtual.address is None:
        return af + attribute(SVC_ATTR_FWMARK, _U32.pack(virtual.fwmark))
    return (
        af
        + attribute(SVC_ATTR_PROTOCOL, _U16.pack(_PROTOCOL_CODES[virtual.proto or ""]))
        + attribute(SVC_ATTR_ADDR, _wire(virtual.address))
        + attribute(SVC_ATTR_PORT, _BE16.pack(virtual.port))
    )


def _settings(family: int, settings: ServiceSettings) -> bytes:
    flags = sum(_SVC_F_SCHEDULER[name] for name in settings.flags)
    if settings.persistence_timeout:
        flags |= SVC_F_PERSISTENT
    if settings.one_packet:
        flags |= SVC_F_ONE_PACKET
    packed = (
        attribute(SVC_ATTR_SCHED_NAME, settings.scheduler.encode() + b"\0")
        # Set every flag: otherwise editing a service could not remove its persistence.
        + attribute(SVC_ATTR_FLAGS, _FLAGS.pack(flags, _EVERY_FLAG))
        + attribute(SVC_ATTR_TIMEOUT, _U32.pack(settings.persistence_timeout))
        # Demanded for IPv6 even without persistence: ip_vs_add_service refuses a length of 0.
        + attribute(SVC_ATTR_NETMASK, _mask(settings.netmask, family))
    )
    return (
        packed + attribute(SVC_ATTR_PE_NAME, settings.engine.encode() + b"\0") if settings.engine else packed
    )


def _real(real: RealServer) -> bytes:
    packed = (
        attribute(DEST_ATTR_ADDR, _wire(real.address))
        + attribute(DEST_ATTR_PORT, _BE16.pack(real.port))
        + attribute(DEST_ATTR_FWD_METHOD, _U32.pack(_FORWARD_CODES[real.forward]))
        + attribute(DEST_ATTR_WEIGHT, _U32.pack(real.weight))
        + attribute(DEST_ATTR_U_THRESH, _U32.pack(real.upper))
        + attribute(DEST_ATTR_L_THRESH, _U32.pack(real.lower))
        + attribute(DEST_ATTR_ADDR_FAMILY, _U16.pack(_AF[real.address.family]))
    )
    if real.forward != "tunnel":
        return packed
    return (
        packed
        + attribute(DEST_ATTR_TUN_TYPE, _U8.pack(TUNNEL_TYPES.index(real.tunnel_type)))
        + attribute(DEST_ATTR_TUN_PORT, _BE16.pack(real.tunnel_port))
        + attribute(DEST_ATTR_TUN_FLAGS, _U16.pack(TUNNEL_CHECKSUMS.index(real.tunnel_checksum)))
    )


def _part(body: bytes, part: int) -> dict[int, bytes]:
    """The attributes of the service or of the destination in a message."""
    return attributes(attributes(body[_GENL.size :])[part])


def _read(form: Struct, value: bytes) -> int:
    return int(form.unpack_from(value)[0])


def _name(value: bytes) -> str:
    return value.rstrip(b"\0").decode()


def _wire(address: Address) -> bytes:
    return address.packed.ljust(_WIRE_ADDRESS_BYTES, b"\0")


def _address(wire: bytes, family: int) -> Address:
    size = _ADDRESS_BYTES[family]
    return Address(family, wire[:size], size * 8)


def _mask(length: int | None, family: int) -> bytes:
    """A netmask in network order for IPv4, but a length in the host's order for IPv6, in the same 32 bits."""
    if family == 6:
        return (128 if length is None else length).to_bytes(4, byteorder)
    return (0xFFFFFFFF << (32 - (32 if length is None else length)) & 0xFFFFFFFF).to_bytes(4, "big")


def _mask_length(wire: bytes, family: int) -> int | None:
    length = int.from_bytes(wire, byteorder) if family == 6 else bin(int.from_bytes(wire, "big")).count("1")
    return None if length == _ADDRESS_BYTES[family] * 8 else length
