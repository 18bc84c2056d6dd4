"""The servers behind the pool of pool_lifecycle.py: DNS and HTTP, in network namespaces. Run as a program, one of them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from functools import partial

from hosts import eventually, run  # type: ignore[import-not-found]  # beside this file

BACKENDS = {"one": ("10.254.0.11", "fd00:254::11"), "two": ("10.254.0.12", "fd00:254::12")}


class Backend:
    """A server in a network namespace: answers DNS on 53, HTTP on 80."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.addresses = BACKENDS[name]
        self.namespace = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self.server: subprocess.Popen[bytes] | None = None
        link, pid = f"pool-{name}", str(self.namespace.pid)
        ours = os.readlink("/proc/self/ns/net")
        eventually(lambda: os.readlink(f"/proc/{pid}/ns/net") != ours, 10, "a namespace")
        run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", pid)
        run("ip", "link", "set", link, "up")
        for address, router in zip(self.addresses, ("10.254.0.1", "fd00:254::1")):
            bits = "/128" if ":" in address else "/32"
            run("ip", "addr", "replace", router + bits, "dev", link, *(["nodad"] if ":" in address else []))
            run("ip", "route", "add", address + bits, "dev", link, "src", router)
            self.inside(
                "ip", "addr", "add", address + bits, "dev", "eth0", *(["nodad"] if ":" in address else [])
            )
        self.inside("ip", "link", "set", "eth0", "up")
        for router in ("10.254.0.1/32", "fd00:254::1/128"):
            self.inside("ip", "route", "add", router, "dev", "eth0")

    def inside(self, *argv: str) -> None:
        run("nsenter", "--net", "-t", str(self.namespace.pid), *argv)

    def start(self) -> None:
        nsenter = ["nsenter", "--net", "-t", str(self.namespace.pid)]
        self.server = subprocess.Popen([*nsenter, sys.executable, "-S", os.path.abspath(__file__)])
        for address in self.addresses:
            eventually(partial(answers, address), 10, f"server {self.name} answers")

    def stop(self) -> None:
        assert self.server is not None
        self.server.kill()
        self.server.wait()

    def freeze(self) -> None:
        assert self.server is not None
        self.server.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.server is not None
        self.server.send_signal(signal.SIGCONT)

    def close(self) -> None:
        for process in (self.server, self.namespace):
            if process is not None:
                process.kill()
                process.wait()


def answers(host: str) -> bool:
    try:
        socket.create_connection((host, 80), 0.5).close()
        return True
    except OSError:
        return False


def serve() -> None:
    """A DNS server that knows one address for every name, and a web server with one page."""
    threading.Thread(target=serve_http, daemon=True).start()
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        sock.bind(("::", 53))
        while True:
            query, client = sock.recvfrom(512)
            question = query[12 : query.index(b"\0", 12) + 5]  # what follows it is EDNS
            sock.sendto(
                query[:2]
                + b"\x84\0\0\1\0\1\0\0\0\0"
                + question
                + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\x07",
                client,
            )


def serve_http() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("::", 80))
        sock.listen(64)
        while True:
            client, _ = sock.accept()
            with client, contextlib.suppress(OSError):
                client.recv(4096)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n")


if __name__ == "__main__":
    serve()
