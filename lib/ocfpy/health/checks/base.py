"""What every check does: one attempt at a server, ended by success, a reason in words, or the timeout."""

from __future__ import annotations

import asyncio
import errno
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ocfpy.health.spec import CheckSettings
    from ocfpy.ocf.addresses import Address

RECEIVE_SIZE = 65536
"""Bytes asked for in one receive."""

_WORDS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
    errno.EHOSTUNREACH: "host unreachable",
    errno.ENETUNREACH: "network unreachable",
    errno.ETIMEDOUT: "no answer from the network",
}


class CheckFailed(Exception):
    """The server answered, and wrongly; the message is the reason."""


@dataclass(frozen=True)
class Result:
    """How a check ended; `reason` is empty when it is `ok`. `seconds` is how long it took."""

    ok: bool
    reason: str
    seconds: float


class Check:
    """One server and how it is tried.

    Subclasses implement `attempt`; an object makes one attempt at a time.
    """

    def __init__(self, address: Address, port: int, settings: CheckSettings) -> None:
        self.settings = settings
        self.host = str(address)
        self.family = socket.AF_INET6 if address.family == 6 else socket.AF_INET
        self.port = port
        self.doing = ""

    async def attempt(self) -> None:
        """Returns when the server is fine.

        Raises CheckFailed or OSError; sets `doing` to what it waits for.
        """
        raise NotImplementedError

    async def run(self) -> Result:
        """One attempt, never longer than the timeout, never an exception of its own."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        reason = ""
        try:
            await asyncio.wait_for(self.attempt(), self.settings.timeout)
        except CheckFailed as failed:
            reason = str(failed)
        except asyncio.TimeoutError:
            reason = f"timed out after {self.settings.timeout:g} s, {self.doing}"
        except OSError as error:
            reason = _WORDS.get(error.errno or 0) or f"{error.strerror or error}, {self.doing}"
        except Exception as error:  # an answer that nobody thought of must not end the checks
            reason = f"{type(error).__name__}: {error}, {self.doing}"
        return Result(not reason, reason, loop.time() - begun)

    async def connect(self, kind: int) -> socket.socket:
        """A socket connected to the server; the caller closes it."""
        self.doing = "connecting"
        sock = socket.socket(self.family, kind)
        try:
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, (self.host, self.port))
        except BaseException:
            sock.close()
            raise
        return sock
