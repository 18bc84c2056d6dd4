"""NTP: the server's clock is synchronized, and close enough to its reference clock."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

from ocfpy.checks.base import Check, CheckFailed
from ocfpy.checks.options import NetworkOptions, option
from ocfpy.ocf.parameters import parse_duration

SIZE = 48
"""Bytes of a packet without extensions, RFC 5905, 7.3."""
CLIENT = 4 << 3 | 3
"""Version 4, mode 3."""
SERVER_MODE = 4
UNSYNCHRONISED = 3
MAX_STRATUM = 15
FRACTION = 1 << 16
"""The unit of root delay and root dispersion, as a fraction of a second."""


@dataclass(frozen=True)
class NtpOptions(NetworkOptions):
    """How far the server may be from a reference clock: in steps, and in seconds."""

    max_stratum: int = option(int)
    max_distance: float = option(parse_duration)


class NtpCheck(Check):
    """Asks for the time like a client, and checks what a client checks before it trusts a server."""

    options_type = NtpOptions
    options: NtpOptions

    async def attempt(self) -> None:
        # A random transmit timestamp: the answer has to repeat it, and the server does not learn our time.
        cookie = os.urandom(8)
        with await self.open_datagrams() as server:
            self.doing = "waiting for the answer"
            server.send(bytes((CLIENT,)).ljust(SIZE - 8, b"\0") + cookie)
            answer = b""
            while answer[24:32] != cookie:
                answer = await server.receive()
                if len(answer) < SIZE:
                    raise CheckFailed(f"not an NTP answer: {len(answer)} bytes")
        judge(answer, self.options.max_stratum, self.options.max_distance)


def judge(packet: bytes, max_stratum: int, max_distance: float) -> None:
    """Raise CheckFailed if the reply shows an unusable time source. packet has at least SIZE bytes.

    `max_distance` is in seconds: half the delay to the reference clock and back, plus the dispersion.
    """
    first, stratum, _, _, delay, dispersion = struct.unpack("!BBbbiI", packet[:12])
    leap, mode = first >> 6, first & 7
    if mode != SERVER_MODE:
        raise CheckFailed(f"not an NTP answer: mode {mode}")
    reference = packet[12:16]
    if stratum == 0 and reference.rstrip(b"\0").isalpha():
        raise CheckFailed(f"kiss of death: {_kiss(reference)}")
    if leap == UNSYNCHRONISED or stratum == 0 or stratum > MAX_STRATUM:
        raise CheckFailed("the server's clock is not synchronized")
    if stratum > max_stratum:
        raise CheckFailed(f"stratum {stratum}, more than {max_stratum} (check_max_stratum)")
    if packet[40:48] == bytes(8):
        raise CheckFailed("the answer contains no time")
    distance = (abs(delay) / 2 + dispersion) / FRACTION
    if distance > max_distance:
        raise CheckFailed(f"root distance {distance:.3g} s, more than {max_distance:g} s (check_max_distance)")


def _kiss(reference: bytes) -> str:
    code = reference.rstrip(b"\0").decode("ascii")
    # RFC 5905, 7.4.
    words = {"RATE": "requests come too often", "DENY": "access is denied", "RSTR": "access is denied"}
    return f"{code}, {words[code]}" if code in words else code
