"""Real servers in a network namespace, each with addresses of its own, and checks that are run from inside it."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import tempfile
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from tests.checks.pki import Pki
from tests.checks.server import Place, Server
from tests.frr.namespace import Namespace

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
"""As in sched.h."""
PROXY4, PROXY6 = "10.77.0.250", "fd77::fa"
"""Where a proxy in front of a server listens, at the server's own port."""
NODE4, NODE6 = "10.77.255.1", "fd77::ff01"
"""Where a load balancer of the lab is, whose checks come over a wire."""


class World:
    """The namespace, the servers in it, started when they are asked for, and one thread that lives inside."""

    def __init__(self, servers: tuple[type[Server], ...]) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="checks-", dir="/var/tmp"))
        self.directory.chmod(0o755)
        self.namespace = Namespace(f"checks{os.getpid()}")
        self._worker = ThreadPoolExecutor(1, initializer=self._enter)
        self.pki = Pki(self.directory / "pki")
        place = Place(self.namespace.command, self.directory, self.pki)
        self.servers = {
            kind.name: kind(place, f"10.77.0.{number}", f"fd77::{number:x}") for number, kind in enumerate(servers, 1)
        }
        addresses = [(server.address4, server.address6) for server in self.servers.values()]
        for address4, address6 in [*addresses, (PROXY4, PROXY6)]:
            self.namespace.ip("addr", "add", f"{address4}/32", "dev", "lo")
            self.namespace.ip("addr", "add", f"{address6}/128", "dev", "lo", "nodad")

    def _enter(self) -> None:
        """Move the calling thread, and what it will start, into the namespace."""
        fd = os.open(f"/run/netns/{self.namespace.name}", os.O_RDONLY)
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.setns(fd, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(fd)

    def run(self, story: Coroutine[Any, Any, T]) -> T:
        """What `story` returns, run by an event loop inside."""
        return self._worker.submit(asyncio.run, story).result()

    def started(self, name: str) -> Server:
        """The server of that name, serving, and what it needs."""
        server = self.servers[name]
        for other in server.needs:
            self.started(other)
        server.start()
        return server

    def close(self) -> None:
        """Everything away."""
        for server in self.servers.values():
            server.stop()
        self._worker.shutdown()
        self.namespace.delete()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> World:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
