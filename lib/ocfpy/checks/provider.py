"""What a check needs from its node: secrets, TLS files, and sockets that need privilege."""

from __future__ import annotations

import socket
from functools import partial
from typing import TYPE_CHECKING

from ocfpy.checks.files import read
from ocfpy.checks.secretfile import read_secret

if TYPE_CHECKING:
    import ssl
    from typing import Protocol

    from ocfpy.checks.options import TlsOptions
    from ocfpy.checks.timer import Timer

    class VipPath(Protocol):
        """A client's path to one real server, through the virtual service: healthd/vip_probe.py creates it."""

        mark: int

        def open(self) -> None:
            """Add the path to the kernel. Raises OcfError, OSError."""

        def source(self) -> str:
            """Return the address of this node to send from. Raises OSError."""

        def hint(self) -> str:
            """What to look at when no answer comes."""

    class Target(Protocol):
        """The destination of a check: `host`, along `way` if there is one, from `source` if it is not empty."""

        host: str
        family: socket.AddressFamily
        source: str
        way: VipPath | None
        timer: Timer

IP_BIND_ADDRESS_NO_PORT = 24
"""linux/in.h: the port is chosen at connect, so that the ports of a source address are not used up."""


class Provider:
    """Takes everything from the node itself, with the privileges of this process."""

    async def secret(self, path: str, timer: Timer) -> str:
        """Return the first line of a file. Raises HostError, TimedOut."""
        return await read(path, partial(read_secret, path), timer)

    async def tls(self, options: TlsOptions, timer: Timer) -> ssl.SSLContext:
        """Return the TLS context of files as they are now. Raises HostError, TimedOut."""
        from ocfpy.checks.tls import context_for

        what = options.tls_verify, *options.files  # the same files may be put to another use
        return await read(what, partial(context_for, options), timer)

    async def connected(self, check: Target, kind: int, proto: int, port: int) -> tuple[socket.socket, int]:
        """Return a non-blocking socket and the errno of its connect, usually 0 or EINPROGRESS.

        Raises OSError, OcfError.
        """
        return connecting(check, kind, proto, port)


HERE = Provider()


def connecting(check: Target, kind: int, proto: int, port: int) -> tuple[socket.socket, int]:
    """Do the same as `Provider.connected`, without waiting for anything. Raises OSError, OcfError."""
    sock = socket.socket(check.family, kind | socket.SOCK_NONBLOCK, proto)
    try:
        source = check.source
        if check.way is not None:
            check.way.open()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, check.way.mark)
            source = source or check.way.source()
        return sock, start_connect(sock, source, check.host, port)
    except BaseException:
        sock.close()
        raise


def start_connect(sock: socket.socket, source: str, host: str, port: int) -> int:
    """Bind to `source`, if it is not empty, and begin to connect; return the errno. Raises OSError."""
    if source:
        bind_source(sock, source)
    return sock.connect_ex((host, port))


def bind_source(sock: socket.socket, source: str) -> None:
    """Bind a socket to an address, and leave the port to connect. Raises OSError."""
    sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((source, 0))


