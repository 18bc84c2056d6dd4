"""ICMP echo: the host of the server answers."""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING

from ocfpy.checks.base import Check
from ocfpy.checks.options import NetworkOptions
from ocfpy.checks.stream import Datagrams

if TYPE_CHECKING:
    from collections.abc import Iterator

ECHO, ECHO_REPLY = 8, 0
ECHO6, ECHO_REPLY6 = 128, 129
HEADER = struct.Struct("!BBHHH")
TOKEN_SIZE = 16


class PingCheck(Check):
    """Sends one echo request, and expects one reply with its content."""

    options_type = NetworkOptions
    options: NetworkOptions

    async def attempt(self) -> None:
        with await open_echo(self) as echo:
            self.doing = "waiting for the reply to a ping"
            await echo.replied()


async def open_echo(check: Check) -> Echo:
    """An echo request on its way to the server; for use in a `with`."""
    proto = socket.IPPROTO_ICMPV6 if check.family == socket.AF_INET6 else socket.IPPROTO_ICMP
    try:
        sock = await check.connect(socket.SOCK_DGRAM, proto)
    except PermissionError:  # net.ipv4.ping_group_range excludes us
        sock = await check.connect(socket.SOCK_RAW, proto)
    return Echo(sock, check)


class Echo(Datagrams):
    """The socket of one echo request. A raw socket receives everything that the host sends; the token identifies the reply."""

    def __init__(self, sock: socket.socket, check: Check) -> None:
        super().__init__(sock, check.timer)
        v6 = check.family == socket.AF_INET6
        self._reply = ECHO_REPLY6 if v6 else ECHO_REPLY
        self._has_header = not v6 and sock.type == socket.SOCK_RAW
        self._token = os.urandom(TOKEN_SIZE)
        parts = [ECHO6 if v6 else ECHO, 0, 0, os.getpid() & 0xFFFF, 1]
        parts[2] = _checksum(HEADER.pack(*parts) + self._token)  # for IPv6 the kernel does it
        self.send(HEADER.pack(*parts) + self._token)

    async def replied(self) -> None:
        """Return when the reply has arrived."""
        while True:
            packet = await self.receive()
            if self._has_header:
                packet = packet[(packet[0] & 15) * 4 :]
            if packet[:1] == bytes([self._reply]) and packet[HEADER.size :] == self._token:
                return


def _checksum(packet: bytes) -> int:
    """The checksum of RFC 1071, of an even number of bytes."""
    total = sum(_words(packet))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def _words(packet: bytes) -> Iterator[int]:
    return (word for (word,) in struct.iter_unpack("!H", packet))
