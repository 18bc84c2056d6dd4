"""Real servers as the tests start them: their files, their own addresses, their ends.

Nothing of the host changes: a server has private copies of the directories that it insists on, a process namespace whose end is
the end of all that it started, and is ended by its pid.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from tests.checks.pki import Pki
from tests.frr.harness import wait_for

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
"""What a server gets: nothing of the one who runs the tests."""

# A server's own mounts; what it reads and writes below them is gone with it.
_INSIDE = """
set -e
for place in $0; do mount -t tmpfs -o mode=1777 tmpfs "$place"; done
exec "$@"
"""


@dataclass(frozen=True)
class Place:
    """Where servers run: `enter` makes the command line that runs a command in their network namespace."""

    enter: Callable[..., list[str]]
    directory: Path
    pki: Pki


class Server:
    """One daemon. Subclasses say how it is configured and run; it listens on its own addresses only.

    `private` are directories of the host that it sees empty; `ports` those that are open once it is ready, "udp/53" or "tcp/53";
    `needs` names servers that it fetches from.
    """

    name: str
    port: int
    ports: tuple[str, ...]
    private: tuple[str, ...] = ("/run", "/tmp", "/dev/shm")
    user: str | None = None
    needs: tuple[str, ...] = ()

    def __init__(self, place: Place, *addresses: str) -> None:
        """The first address of each family is where it is checked; it has one of each at least."""
        self.place = place
        self.addresses = addresses
        self.address4 = next(address for address in addresses if ":" not in address)
        self.address6 = next(address for address in addresses if ":" in address)
        self.directory = place.directory / self.name
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

    @property
    def hosts(self) -> list[str]:
        """Its addresses as they stand before a port: with brackets where it takes them."""
        return [f"[{address}]" if ":" in address else address for address in self.addresses]

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
        return self.place.enter(*spaces, "sh", "-c", _INSIDE, " ".join(self.private), *user, *argv)

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
        return len(self._open_ports()) == len(self.ports) * len(self.addresses) and self.ready()

    def _open_ports(self) -> set[str]:
        """Its ports, at each of its addresses, on which a process listens."""
        text = subprocess.run(self.place.enter("ss", "-Hlntu"), stdout=subprocess.PIPE, text=True, check=True).stdout
        listening = {f"{line[0]}/{line[4]}" for line in map(str.split, text.splitlines())}
        found = set()
        for proto, port in (text.split("/") for text in self.ports):
            for host in self.hosts:
                everywhere = "[::]" if host.startswith("[") else "0.0.0.0"
                if listening & {f"{proto}/{host}:{port}", f"{proto}/{everywhere}:{port}"}:
                    found.add(f"{proto}/{host}:{port}")
        return found

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
        """All processes in its process namespace, even if their parents have ended."""
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
            wait_for(f"the ports of {self.name} to close", lambda: not self._open_ports())


def _is_stopped(pid: int) -> bool:
    try:
        states = [Path(f"/proc/{pid}/task/{task}/stat").read_text() for task in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return False
    return all(text.rpartition(")")[2].split()[0] in "TZ" for text in states)


def log_says(server: Server, pattern: str) -> bool:
    """Whether the server has written that since it was started."""
    return re.search(pattern, server.log.read_text(errors="replace")) is not None
