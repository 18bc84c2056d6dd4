"""What a check takes from its node: secrets, TLS files, and sockets that need privilege."""

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
        """The path of a client to one real server, through the virtual service: healthd/vip_probe.py makes it."""

        mark: int

        def open(self) -> None:
            """Have the path in the kernel. Raises OcfError, OSError."""

        def source(self) -> str:
            """The address of this node to send from. Raises OSError."""

        def hint(self) -> str:
            """What to look at when there is no answer."""

    class Target(Protocol):
        """Where a check goes: to `host`, along `way` if there is one, from `source` if it is not empty."""

        host: str
        family: socket.AddressFamily
        source: str
        way: VipPath | None
        timer: Timer

IP_BIND_ADDRESS_NO_PORT = 24
"""linux/in.h: the port is chosen at connect, so that those of one source address do not run out."""


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
        """Return a non-blocking socket and the errno that its connect came to, 0 or EINPROGRESS as a rule.

        Raises OSError, OcfError.
        """
        return connecting(check, kind, proto, port)


HERE = Provider()


def connecting(check: Target, kind: int, proto: int, port: int) -> tuple[socket.socket, int]:
    """Do what `Provider.connected` does, without waiting for anything. Raises OSError, OcfError."""
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
    """Have a socket send from an address, and leave the port to connect. Raises OSError."""
    sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((source, 0))


