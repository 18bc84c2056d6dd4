"""The generic-netlink messages of IPVS, declared for pyroute2, and their translation to and from the model.

Source of the numbers and types: linux/ip_vs.h and the policies in net/netfilter/ipvs/ip_vs_ctl.c. pyroute2
has declarations of its own from 0.8.1 on; no enterprise distribution has those, and some types are wrong.
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP
from sys import byteorder
from typing import Any

from pyroute2.netlink import genlmsg, nla

from ocfpy.ipvs.model import (
    SCHEDULER_FLAGS,
    TUNNEL_CHECKSUMS,
    TUNNEL_TYPES,
    RealServer,
    ServiceSettings,
    VirtualService,
)
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

SVC_F_PERSISTENT = 0x0001
SVC_F_ONE_PACKET = 0x0004
_SVC_F_SCHEDULER = dict(zip(SCHEDULER_FLAGS, (0x0008, 0x0010, 0x0020)))

FWD_MASK = 0x0007
# 1 (local) and 4 (bypass) no kernel since 2.6.37 reports.
_FORWARDS = {0: "nat", 1: "dr", 2: "tunnel", 3: "dr", 4: "dr"}
_FORWARD_CODES = {"nat": 0, "tunnel": 2, "dr": 3}

_PROTOCOL_CODES = {"tcp": IPPROTO_TCP, "udp": IPPROTO_UDP, "sctp": IPPROTO_SCTP}
_PROTOCOLS = {code: name for name, code in _PROTOCOL_CODES.items()}
_AF = {4: AF_INET, 6: AF_INET6}
_ADDRESS_BYTES = {4: 4, 6: 16}
_WIRE_ADDRESS_BYTES = 16


class ipvsmsg(genlmsg):  # type: ignore[misc]  # pyroute2 is untyped; its classes are named in lower case
    """One IPVS command: a service, a destination (real server) of it, or both."""

    __slots__ = ()
    nla_map = (
        ("IPVS_CMD_ATTR_UNSPEC", "none"),
        ("IPVS_CMD_ATTR_SERVICE", "service"),
        ("IPVS_CMD_ATTR_DEST", "dest"),
    )

    class service(nla):  # type: ignore[misc]
        """A virtual service. Address, port and mask are in network order, everything else in the host's."""

        __slots__ = ()
        nla_map = (
            ("IPVS_SVC_ATTR_UNSPEC", "none"),
            ("IPVS_SVC_ATTR_AF", "uint16"),
            ("IPVS_SVC_ATTR_PROTOCOL", "uint16"),
            ("IPVS_SVC_ATTR_ADDR", "cdata"),
            ("IPVS_SVC_ATTR_PORT", "be16"),
            ("IPVS_SVC_ATTR_FWMARK", "uint32"),
            ("IPVS_SVC_ATTR_SCHED_NAME", "asciiz"),
            ("IPVS_SVC_ATTR_FLAGS", "flags"),
            ("IPVS_SVC_ATTR_TIMEOUT", "uint32"),
            ("IPVS_SVC_ATTR_NETMASK", "cdata"),
            ("IPVS_SVC_ATTR_STATS", "hex"),
            ("IPVS_SVC_ATTR_PE_NAME", "asciiz"),
            ("IPVS_SVC_ATTR_STATS64", "hex"),
        )

        class flags(nla):  # type: ignore[misc]
            """The flags, and which of them to change."""

            __slots__ = ()
            fields = (("flags", "I"), ("mask", "I"))

    class dest(nla):  # type: ignore[misc]
        """A real server. Kernels without ADDR_FAMILY (before 3.18) or TUN_* (before 5.2) leave those out."""

        __slots__ = ()
        nla_map = (
            ("IPVS_DEST_ATTR_UNSPEC", "none"),
            ("IPVS_DEST_ATTR_ADDR", "cdata"),
            ("IPVS_DEST_ATTR_PORT", "be16"),
            ("IPVS_DEST_ATTR_FWD_METHOD", "uint32"),
            ("IPVS_DEST_ATTR_WEIGHT", "uint32"),
            ("IPVS_DEST_ATTR_U_THRESH", "uint32"),
            ("IPVS_DEST_ATTR_L_THRESH", "uint32"),
            ("IPVS_DEST_ATTR_ACTIVE_CONNS", "uint32"),
            ("IPVS_DEST_ATTR_INACT_CONNS", "uint32"),
            ("IPVS_DEST_ATTR_PERSIST_CONNS", "uint32"),
            ("IPVS_DEST_ATTR_STATS", "hex"),
            ("IPVS_DEST_ATTR_ADDR_FAMILY", "uint16"),
            ("IPVS_DEST_ATTR_STATS64", "hex"),
            ("IPVS_DEST_ATTR_TUN_TYPE", "uint8"),
            ("IPVS_DEST_ATTR_TUN_PORT", "be16"),
            ("IPVS_DEST_ATTR_TUN_FLAGS", "uint16"),
        )


def message(
    command: int,
    virtual: VirtualService | None = None,
    settings: ServiceSettings | None = None,
    real: RealServer | None = None,
) -> ipvsmsg:
    """The message for a command on a service, or on a real server of it; header fields are the sender's."""
    msg = ipvsmsg()
    msg["cmd"] = command
    msg["version"] = GENL_VERSION
    if virtual is not None:
        service = _key_attrs(virtual) + (_settings_attrs(virtual.family, settings) if settings else [])
        msg["attrs"].append(("IPVS_CMD_ATTR_SERVICE", {"attrs": service}))
    if real is not None:
        msg["attrs"].append(("IPVS_CMD_ATTR_DEST", {"attrs": _real_attrs(real)}))
    return msg


def key_of(msg: ipvsmsg) -> VirtualService:
    """The virtual service that a message is about."""
    get = _fields(msg, "IPVS_CMD_ATTR_SERVICE")
    family = 6 if get["AF"] == AF_INET6 else 4
    if "FWMARK" in get:
        return VirtualService(fwmark=get["FWMARK"], family=family)
    protocol = _PROTOCOLS.get(get["PROTOCOL"], str(get["PROTOCOL"]))
    return VirtualService(protocol, _address(get["ADDR"], family), get["PORT"])


def service_of(msg: ipvsmsg) -> tuple[VirtualService, ServiceSettings]:
    """The virtual service in a message, and how it is set."""
    virtual = key_of(msg)
    get = _fields(msg, "IPVS_CMD_ATTR_SERVICE")
    flags = get["FLAGS"]["flags"]
    persistent = bool(flags & SVC_F_PERSISTENT)
    return virtual, ServiceSettings(
        scheduler=get.get("SCHED_NAME", ""),
        flags=tuple(name for name, bit in _SVC_F_SCHEDULER.items() if flags & bit),
        persistence_timeout=get["TIMEOUT"] if persistent else 0,
        netmask=_mask_length(bytes(get["NETMASK"]), virtual.family) if persistent else None,
        engine=get.get("PE_NAME", ""),
        one_packet=bool(flags & SVC_F_ONE_PACKET),
    )


def real_of(msg: ipvsmsg, family: int) -> RealServer:
    """The real server in a message; `family` is its service's, for old kernels."""
    get = _fields(msg, "IPVS_CMD_ATTR_DEST")
    if "ADDR_FAMILY" in get:
        family = 6 if get["ADDR_FAMILY"] == AF_INET6 else 4
    real = RealServer(
        _address(get["ADDR"], family),
        get["PORT"],
        weight=get["WEIGHT"],
        forward=_FORWARDS[get["FWD_METHOD"] & FWD_MASK],
        lower=get["L_THRESH"],
        upper=get["U_THRESH"],
    )
    if real.forward == "tunnel":
        real.tunnel_type = TUNNEL_TYPES[get.get("TUN_TYPE", 0)]
        real.tunnel_port = get.get("TUN_PORT", 0)
        real.tunnel_checksum = TUNNEL_CHECKSUMS[get.get("TUN_FLAGS", 0)]
    return real


def _fields(msg: ipvsmsg, part: str) -> dict[str, Any]:
    """The attributes of the service or the destination in a message, by the last part of their names."""
    return {name.split("_ATTR_")[1]: value for name, value in msg.get_attr(part)["attrs"]}


def _key_attrs(virtual: VirtualService) -> list[tuple[str, Any]]:
    attrs: list[tuple[str, Any]] = [("IPVS_SVC_ATTR_AF", int(_AF[virtual.family]))]
    if virtual.address is None:
        return [*attrs, ("IPVS_SVC_ATTR_FWMARK", virtual.fwmark)]
    return [
        *attrs,
        ("IPVS_SVC_ATTR_PROTOCOL", int(_PROTOCOL_CODES[virtual.proto or ""])),
        ("IPVS_SVC_ATTR_ADDR", _wire(virtual.address)),
        ("IPVS_SVC_ATTR_PORT", virtual.port),
    ]


def _settings_attrs(family: int, settings: ServiceSettings) -> list[tuple[str, Any]]:
    flags = sum(_SVC_F_SCHEDULER[name] for name in settings.flags)
    if settings.persistence_timeout:
        flags |= SVC_F_PERSISTENT
    if settings.one_packet:
        flags |= SVC_F_ONE_PACKET
    attrs: list[tuple[str, Any]] = [
        ("IPVS_SVC_ATTR_SCHED_NAME", settings.scheduler),
        # Every flag is ours to decide, or editing a service could not take persistence away from it.
        ("IPVS_SVC_ATTR_FLAGS", {"flags": flags, "mask": 0xFFFFFFFF}),
        ("IPVS_SVC_ATTR_TIMEOUT", settings.persistence_timeout),
        # Demanded for IPv6 even without persistence: ip_vs_add_service refuses a length of 0.
        ("IPVS_SVC_ATTR_NETMASK", _mask(settings.netmask, family)),
    ]
    if settings.engine:
        attrs.append(("IPVS_SVC_ATTR_PE_NAME", settings.engine))
    return attrs


def _real_attrs(real: RealServer) -> list[tuple[str, Any]]:
    attrs: list[tuple[str, Any]] = [
        ("IPVS_DEST_ATTR_ADDR", _wire(real.address)),
        ("IPVS_DEST_ATTR_PORT", real.port),
        ("IPVS_DEST_ATTR_FWD_METHOD", _FORWARD_CODES[real.forward]),
        ("IPVS_DEST_ATTR_WEIGHT", real.weight),
        ("IPVS_DEST_ATTR_U_THRESH", real.upper),
        ("IPVS_DEST_ATTR_L_THRESH", real.lower),
        ("IPVS_DEST_ATTR_ADDR_FAMILY", int(_AF[real.address.family])),
    ]
    if real.forward == "tunnel":
        attrs += [
            ("IPVS_DEST_ATTR_TUN_TYPE", TUNNEL_TYPES.index(real.tunnel_type)),
            ("IPVS_DEST_ATTR_TUN_PORT", real.tunnel_port),
            ("IPVS_DEST_ATTR_TUN_FLAGS", TUNNEL_CHECKSUMS.index(real.tunnel_checksum)),
        ]
    return attrs


def _wire(address: Address) -> bytes:
    return address.packed.ljust(_WIRE_ADDRESS_BYTES, b"\0")


def _address(wire: bytes, family: int) -> Address:
    size = _ADDRESS_BYTES[family]
    return Address(family, bytes(wire[:size]), size * 8)


def _mask(length: int | None, family: int) -> bytes:
    """A netmask in network order for IPv4, but a length in the host's order for IPv6, in the same 32 bits."""
    if family == 6:
        return (128 if length is None else length).to_bytes(4, byteorder)
    return (0xFFFFFFFF << (32 - (32 if length is None else length)) & 0xFFFFFFFF).to_bytes(4, "big")


def _mask_length(wire: bytes, family: int) -> int | None:
    length = int.from_bytes(wire, byteorder) if family == 6 else bin(int.from_bytes(wire, "big")).count("1")
    return None if length == _ADDRESS_BYTES[family] * 8 else length
