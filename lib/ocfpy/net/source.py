"""Which source address this host uses for a destination, and whether it accepts replies from an address of its own."""

from __future__ import annotations

# The C module behind socket, which itself pulls in enum and selectors.
from _socket import AF_INET, AF_INET6, SOCK_CLOEXEC, SOCK_DGRAM, socket

from ocfpy.net.loopback import find_address
from ocfpy.ocf.addresses import Address, parse_address

ANY_PORT = 9
"""The discard port. Nothing is sent to it: a connected datagram socket only asks the kernel for the route."""
PROC_CONF = "/proc/sys/net/ipv4/conf"
_AF = {4: AF_INET, 6: AF_INET6}
_STRICT = 1


def source_towards(address: Address) -> str:
    """Return the source address that the kernel picks for this destination. Raises OSError."""
    sock = socket(_AF[address.family], SOCK_DGRAM | SOCK_CLOEXEC)
    try:
        sock.connect((str(address), ANY_PORT))
        return str(sock.getsockname()[0])
    finally:
        sock.close()


def missing_local_reply_sysctls(address: Address, proc_conf: str = PROC_CONF) -> list[str]:
    """Return the settings that must change before this host accepts packets from an address of its own off the wire.

    The wire is the interface that leads to `address`. The kernel drops such packets as spoofed, in IPv4 only
    (fib_validate_source in net/ipv4/fib_frontend.c; seen with 7.2). Raises OSError when there is no route.
    """
    if address.family != 4:
        return []
    wrong = []
    for nic in find_address(parse_address(source_towards(address)))[:1]:
        accepts, strictness = (
            [_setting(proc_conf, place, name) for place in ("all", nic)] for name in ("accept_local", "rp_filter")
        )
        if not any(accepts):
            wrong.append(f"net.ipv4.conf.{nic}.accept_local=1")
        if max(strictness) == _STRICT:  # the higher one counts, and 2 is not stricter than 1
            wrong.append(f"net.ipv4.conf.{nic}.rp_filter=2")
    return wrong


def _setting(proc_conf: str, nic: str, name: str) -> int:
    with open(f"{proc_conf}/{nic}/{name}", encoding="ascii") as file:
        return int(file.read())
