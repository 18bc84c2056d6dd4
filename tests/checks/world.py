"""Real servers in a network namespace, each with addresses of its own, and checks that are run from inside it.

Nothing of the host changes: a server has private copies of the directories that it insists on, a process namespace whose end is
the end of all that it started, and is ended by its pid.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from tests.checks.pki import Pki
from tests.frr.harness import Namespace, wait_for

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
"""As in sched.h."""
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
"""What a server gets: nothing of the one who runs the tests."""
PROXY4, PROXY6 = "10.77.0.250", "fd77::fa"
"""Where a proxy in front of a server listens, at the server's own port."""

# A server's own mounts; what it reads and writes below them is gone with it.
_INSIDE = """
set -e
for place in $0; do mount -t tmpfs -o mode=1777 tmpfs "$place"; done
exec "$@"
"""


class Server:
    """One daemon. Subclasses say how it is configured and run; it listens on its own addresses only.

    `private` are directories of the host that it sees empty; `ports` those that are open once it is ready, "udp/53" or "tcp/53".
    """

    name: str
    port: int
    ports: tuple[str, ...]
    private: tuple[str, ...] = ("/run", "/tmp", "/dev/shm")
    user: str | None = None

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.address4 = f"10.77.0.{number}"
        self.address6 = f"fd77::{number:x}"
        self.directory = world.directory / self.name
        self.log = self.directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._prepared = False

    def prepare(self) -> None:
        """Write what the server reads; once."""

    def argv(self) -> list[str]:
        """The server, in the foreground."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether it answers; asked after its ports are open."""
        return True

    def write(self, name: str, text: str) -> Path:
        """A file of its own."""
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if self.user:
            shutil.chown(path, self.user)
        return path

    def run(self, *argv: str, input: str | None = None) -> str:
        """A program that prepares the server, as the server sees the host."""
        done = subprocess.run(
            self._command(list(argv)),
            env=ENVIRONMENT, input=input, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, f"{' '.join(argv)}: exit {done.returncode}\n{done.stdout}"
        return done.stdout

    def _command(self, argv: list[str]) -> list[str]:
        user = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups", "--"] if self.user else []
        spaces = ["unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"]
        return self.world.namespace.command(*spaces, "sh", "-c", _INSIDE, " ".join(self.private), *user, *argv)

    def start(self) -> None:
        """Start it unless it runs, and wait until it serves."""
        if self._process is not None:
            return
        if not self._prepared:
            self.directory.mkdir(exist_ok=True)
            if self.user:
                shutil.chown(self.directory, self.user, self.user)
            self.prepare()
            self._prepared = True
        with open(self.log, "wb") as log:
            self._process = subprocess.Popen(
                self._command(self.argv()),
                env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory,
            )  # fmt: skip
        try:
            wait_for(f"{self.name} to serve", self._serves, limit=120, every=0.05)
        except AssertionError as error:
            self.stop()
            raise AssertionError(f"{error}\n{self.log.read_text(errors='replace')[-5000:]}") from None

    def _serves(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self._process.returncode}")
        return self._open_ports().issuperset(self._wanted_ports()) and self.ready()

    def _wanted_ports(self) -> set[str]:
        return {f"{proto}/{address}:{port}" for proto, port in (text.split("/") for text in self.ports)
                for address in (self.address4, f"[{self.address6}]")}  # fmt: skip

    def _open_ports(self) -> set[str]:
        text = subprocess.run(self.world.namespace.command("ss", "-Hlntu"), stdout=subprocess.PIPE, text=True, check=True).stdout
        lines = [line.split() for line in text.splitlines()]
        return {f"{line[0]}/{line[4]}" for line in lines}

    def freeze(self) -> None:
        """Stop all its processes where they are: the kernel goes on taking connections for it."""
        wait_for(f"{self.name} to stand still", self._all_frozen)

    def thaw(self) -> None:
        """Let them go on."""
        for pid in self._pids():
            os.kill(pid, signal.SIGCONT)

    def _all_frozen(self) -> bool:
        pids = self._pids()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        return bool(pids) and all(_is_stopped(pid) for pid in pids) and self._pids() == pids

    def _pids(self) -> set[int]:
        """All processes in its process namespace, whatever became of their parents."""
        assert self._process is not None
        unshare = self._process.pid
        inside = os.readlink(f"/proc/{unshare}/ns/pid_for_children")
        found = set()
        for entry in os.listdir("/proc"):
            try:
                if entry.isdigit() and os.readlink(f"/proc/{entry}/ns/pid") == inside:
                    found.add(int(entry))
            except OSError:
                pass  # it has ended meanwhile
        return found

    def stop(self) -> None:
        """SIGKILL to it and all that it started."""
        if self._process is not None:
            for pid in self._pids():  # not left to --kill-child: a process that changes its user forgets that
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            wait_for(f"the ports of {self.name} to close", lambda: not self._open_ports() & self._wanted_ports())


def _is_stopped(pid: int) -> bool:
    try:
        states = [Path(f"/proc/{pid}/task/{task}/stat").read_text() for task in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return False
    return all(text.rpartition(")")[2].split()[0] in "TZ" for text in states)


class World:
    """The namespace, the servers in it, started when they are asked for, and one thread that lives inside."""

    def __init__(self, servers: tuple[type[Server], ...]) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="checks-", dir="/var/tmp"))
        self.directory.chmod(0o755)
        self.namespace = Namespace(f"checks{os.getpid()}")
        self._worker = ThreadPoolExecutor(1, initializer=self._enter)
        self.servers = {kind.name: kind(self, number) for number, kind in enumerate(servers, 1)}
        everybody = [(server.address4, server.address6) for server in self.servers.values()]
        for address4, address6 in [*everybody, (PROXY4, PROXY6)]:
            self.namespace.ip("addr", "add", f"{address4}/32", "dev", "lo")
            self.namespace.ip("addr", "add", f"{address6}/128", "dev", "lo", "nodad")
        self.pki = Pki(self.directory / "pki")

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
        """The server of that name, serving."""
        server = self.servers[name]
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


def log_says(server: Server, pattern: str) -> bool:
    """Whether the server has written that since it was started."""
    return re.search(pattern, server.log.read_text(errors="replace")) is not None
