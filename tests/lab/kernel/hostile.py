"""What a pool can have against it: servers whose answers are costly, checks with faults, a file system that hangs.

Run as a program, hostile.py serves on the ports below.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

from hosts import StepFailed  # type: ignore[import-not-found]  # beside this file

ENDLESS_BODY, ENDLESS_LINE, DNS_POINTERS, BACKTRACKING = 8001, 8002, 8003, 8004
BLOCK = b"x" * 65536
NESTED = "re:(a+)+$"
"""A regular expression that needs 2^n steps for n letters and another character."""


def endless_body(connection: socket.socket) -> None:
    """An HTTP answer without an end."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(BLOCK)


def endless_line(connection: socket.socket) -> None:
    """A line without an end."""
    while True:
        connection.sendall(BLOCK)


def dns_pointers(connection: socket.socket) -> None:
    """A DNS answer over TCP of 64 KiB, full of records, each named by a pointer to a name of 127 labels."""
    query = connection.recv(512)[2:]
    question = query[12 : query.index(b"\0", 12) + 5]
    long_name = b"\1a" * 127 + b"\0"
    body = question + b"\0" + struct.pack("!HHIH", 10, 1, 0, len(long_name)) + long_name  # in a record of the type NULL
    pointer = struct.pack("!H", 0xC000 | 12 + len(question) + 11)
    record = pointer + struct.pack("!HHIH", 5, 1, 0, 2) + pointer
    count = (65535 - 12 - len(body)) // len(record)
    answer = query[:2] + struct.pack("!HHHHH", 0x8180, 1, count + 1, 0, 0) + body + record * count
    connection.sendall(len(answer).to_bytes(2, "big") + answer)


def backtracking(connection: socket.socket) -> None:
    """What NESTED cannot cope with."""
    connection.sendall(b"a" * 4000 + b"!\n")
    connection.recv(1)


def listen(port: int, talk: Callable[[socket.socket], None]) -> None:
    """Serve every connection to this port in a thread of its own, until the process ends."""

    def served(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ValueError):
            talk(connection)

    with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128) as server:
        while True:
            threading.Thread(target=served, args=(server.accept()[0],), daemon=True).start()


@contextlib.contextmanager
def hanging(directory: str) -> Iterator[None]:
    """Have all that looks at this directory hang, as with a file server that is gone: FUSE, and nothing that answers it."""
    libc = ctypes.CDLL(None, use_errno=True)
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    try:
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
        if libc.mount(b"nowhere", directory.encode(), b"fuse", 0, options):
            raise StepFailed(f"mounting over {directory}: {os.strerror(ctypes.get_errno())}")
        yield
    finally:
        os.close(device)  # what hangs fails from here on
        libc.umount2(directory.encode(), 2)  # MNT_DETACH, umount(2)


FAULTS = {
    ("imap", "ImapCheck"): "raise RuntimeError('a fault of the check')",
    ("pop3", "Pop3Check"): "__import__('os').abort()",
    ("ftp", "FtpCheck"): "__import__('hashlib').pbkdf2_hmac('sha256', b'', b'', (1 << 31) - 1)",
    ("smtp", "SmtpCheck"): "bytearray(1 << 40)",
}
"""What these types of checks do in a library that was spoiled: raise, die, take no signal for half an hour, take a TiB."""


def spoil(library: str) -> None:
    """Give checks of an installed library faults."""
    for (module, check), fault in FAULTS.items():
        with Path(library, f"ocfpy/checks/{module}.py").open("a") as file:
            file.write(f"\n\nasync def _fault(self):\n    {fault}\n\n\n{check}.attempt = _fault\n")


if __name__ == "__main__":
    for port, talk in (
        (ENDLESS_BODY, endless_body), (ENDLESS_LINE, endless_line), (DNS_POINTERS, dns_pointers), (BACKTRACKING, backtracking),
    ):  # fmt: skip
        threading.Thread(target=listen, args=(port, talk), daemon=True).start()
    threading.Event().wait()
