"""The messages of IPVS declared for pyroute2: a second way to the bytes that ocfpy.ipvs.messages packs."""

from __future__ import annotations

from socket import AF_INET, AF_INET6, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP
from sys import byteorder
from typing import Any

from ocfpy.ipvs.model import (
    SCHEDULER_FLAGS,
    TUNNEL_CHECKSUMS,
    TUNNEL_TYPES,
    RealServer,
    ServiceSettings,
    VirtualService,
)
from ocfpy.ocf.addresses import Address
from pyroute2.netlink import genlmsg, nla

GENL_VERSION = 1

SVC_F_PERSISTENT = 0x0001
SVC_F_ONE_PACKET = 0x0004
_SVC_F_SCHEDULER = dict(zip(SCHEDULER_FLAGS, (0x0008, 0x0010, 0x0020)))

_FORWARD_CODES = {"nat": 0, "tunnel": 2, "dr": 3}

_PROTOCOL_CODES = {"tcp": IPPROTO_TCP, "udp": IPPROTO_UDP, "sctp": IPPROTO_SCTP}
_AF = {4: AF_INET, 6: AF_INET6}
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


def _mask(length: int | None, family: int) -> bytes:
    """A netmask in network order for IPv4, but a length in the host's order for IPv6, in the same 32 bits."""
    if family == 6:
        return (128 if length is None else length).to_bytes(4, byteorder)
    return (0xFFFFFFFF << (32 - (32 if length is None else length)) & 0xFFFFFFFF).to_bytes(4, "big")
