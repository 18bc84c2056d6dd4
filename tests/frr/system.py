"""The Debian that a site's FRR, and the agent's Python with it, come from: this host, or a root of another release."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

from tests.lab.testbed import rootfs

STAGE = "/mnt"
"""Where the agents' installed tree is, inside a root."""

# Kept alive by its standard input: it and its mounts end with the tests, however these end.
HOLD = """
set -e
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
mount --bind /tmp "$1/tmp"
mount --bind "$2" "$1/mnt"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount -t tmpfs -o mode=755 run "$1/run"
mount -t tmpfs -o mode=777 lib "$1/var/lib/frr"
mount -t tmpfs -o mode=777 log "$1/var/log/frr"
exec chroot "$1" sh -ec 'install -d -o frr -g frr /run/frr; echo held; read never'
"""


class System:
    """This host."""

    name = "host"

    def __init__(self, stage: Path) -> None:
        self.stage = stage

    def argv(self, namespace: str, *argv: str) -> list[str]:
        """argv as it has to be started here to run there; every step is an exec, so the pid stays the same."""
        return ["nsenter", f"--net=/run/netns/{namespace}", *argv]

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        return Path(path).exists()

    def close(self) -> None:
        """Nothing is left of it."""


class Root(System):
    """The Debian of the lab's nodes, with this host's /tmp in it. LabError when it cannot be built."""

    def __init__(self, stage: Path, suite: str = rootfs.SUITE) -> None:
        self.name = suite
        self.stage = Path(STAGE)
        self._root = rootfs.debian_root(rootfs.find_deb())
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", HOLD, "hold", self._root, stage],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert self._holder.stdout
        assert self._holder.stdout.readline() == "held\n", f"{self._root} cannot be entered"

    def argv(self, namespace: str, *argv: str) -> list[str]:
        inside = ["--target", str(self._holder.pid), "--mount", "--root", "--wd=/"]
        return ["nsenter", *inside, f"--net=/run/netns/{namespace}", *argv]

    def has(self, path: str) -> bool:
        return (self._root / path.lstrip("/")).exists()

    def close(self) -> None:
        with suppress(OSError):
            self._holder.communicate(timeout=5)
        self._holder.kill()
        self._holder.wait()
