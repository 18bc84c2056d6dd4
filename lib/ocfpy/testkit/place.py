"""Where an agent is tested: this host, or its own namespaces, from which nothing reaches the host."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import TypeVar

    T = TypeVar("T", bound="Place")

COMMAND_LIMIT_S = 60
_IPVS = "/proc/net/ip_vs"
_IPVS_HEAD = 3  # lines; the first names the size of the connection table, which newer kernels change at any time
_LEFT_BEHIND = ("/run", "/var/lib/heartbeat")


class Place:
    """This host as it is: right for a machine that is discarded afterwards."""

    @property
    def enter(self) -> list[str]:
        """The command prefix that runs a program in here."""
        return []

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove what was set up."""

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a program in here, to look around or to prepare something."""
        return subprocess.run(
            [*self.enter, *argv], capture_output=True, text=True, timeout=COMMAND_LIMIT_S, check=False
        )

    def files(self) -> list[str]:
        """The files in /run and the like, except lock files, which may stay: deleting them makes locks fail."""
        found = self.run("find", *_LEFT_BEHIND, "-type", "f", "-not", "-name", "*.lock").stdout
        return sorted(found.splitlines())

    def pids(self) -> list[int]:
        """The processes in here, without the kernel's own."""
        return [pid for pid in pids() if stat(pid, "ppid") != 2 and pid != 2]

    def snapshot(self) -> set[str]:
        """Everything that a resource could leave behind, a line each: addresses, IPVS services, files, processes, held locks."""
        inside = self.pids()
        found = {f"address {line.split('valid_lft')[0]}" for line in self.run("ip", "-o", "address").stdout.splitlines()}
        found |= {f"file {path}" for path in self.files()}
        services = self.run("cat", _IPVS).stdout.splitlines()[_IPVS_HEAD:]
        found |= {f"ipvs {line.strip()}" for line in services}
        found |= {f"process {pid} {command(pid)}" for pid in inside if command(pid)}
        with open("/proc/locks") as file:
            found |= {f"lock {words[5]} {words[1]}" for words in map(str.split, file) if words[4] in map(str, inside)}
        return found


class Sandbox(Place):
    """Fresh network and mount namespaces: empty /run, a loopback that is up, and the requested additions; needs root.

    binds maps directories and files to their paths inside; hide names directories that appear
    empty; prepare is a shell script to run at the end. Raises RuntimeError with the output when it fails.
    """

    def __init__(
        self, binds: Mapping[str, str] | None = None, hide: Sequence[str] = (), prepare: str = ""
    ) -> None:
        script = [
            "mount --make-rprivate /",
            "mount -t tmpfs -o mode=755 tmpfs /run",
            "mkdir -m 1755 /run/resource-agents; mkdir -m 1777 /run/lock",
            *(f"mount --bind {source} {target}" for source, target in (binds or {}).items()),
            *(f"mount -t tmpfs -o mode=755 tmpfs {path}" for path in hide if os.path.isdir(path)),
            "ip link set lo up",
            "cd /",
            prepare,
            "echo ready",
            "exec sleep infinity",
        ]
        self._process = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-ec", "\n".join(script)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            if line == "ready\n":
                return
            said.append(line)
        self.close()
        raise RuntimeError("no sandbox (root, unshare(1) and ip(8) are needed): " + "".join(said))

    def close(self) -> None:
        """End every process in here; the namespaces remove the rest."""
        for pid in [*self.pids(), self._process.pid]:
            _kill(pid)
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def enter(self) -> list[str]:
        """The command prefix that runs a program in here; with the root of here, or it would leave a chroot."""
        return ["/usr/bin/nsenter", "-t", str(self._process.pid), "--net", "--mount", "--root", "--wd", "--"]

    def pids(self) -> list[int]:
        """A daemon that was left behind lives in these namespaces and nowhere else."""
        ours = _namespace(self._process.pid)
        return [pid for pid in pids() if pid != self._process.pid and _namespace(pid) == ours]


def pids() -> list[int]:
    """Every process there is."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def stat(pid: int, field: str) -> int:
    """A field of /proc/PID/stat, ppid or pgrp; 0 when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(text.rpartition(")")[2].split()[{"ppid": 1, "pgrp": 2}[field]])


def command(pid: int) -> str:
    """The command line of a process; empty when it has ended, even if it has not been waited for."""
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read().replace("\0", " ").strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return f"gone {pid}"


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
