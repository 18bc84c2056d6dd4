"""Namespaces, switches, cables: the lab's wiring, all of it named after this run and gone with it.

Every cable runs through one namespace, the fabric, where each network segment is a bridge and each end of a cable one of its
ports. A cut takes the port out of its bridge: both ends keep their carrier and nothing arrives, as when a switch in the
middle dies.
"""
from __future__ import annotations

import ctypes
import fcntl
import os
import secrets
import shutil
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Callable, Protocol, TextIO, TypeVar

from .base import LabError, host, in_order

T = TypeVar("T")

PREFIX = "ocflab"
LOCKS = Path("/run")
NAMESPACES = Path("/run/netns")
CLONE_NEWNET = 0x40000000
CONTROL = "control"
"""The segment by which the host gives commands to nodes."""


class Namespace:
    """One network namespace; its name on the host is unique to the run, inside `ip netns` terms."""

    def __init__(self, run: str, name: str) -> None:
        self.name = name
        self.host_name = f"{run}-{name}"
        host("ip", "netns", "add", self.host_name)
        self.ip("link", "set", "lo", "up")

    def ip(self, *words: str | Path) -> str:
        """Standard output of `ip WORDS` in here."""
        return host("ip", "-n", self.host_name, *words).out

    def sysctl(self, **settings: int | str) -> None:
        """Set sysctls of this namespace; dots of the name are written as two underscores."""
        words = [f"{name.replace('__', '.')}={value}" for name, value in settings.items()]
        host(*self.enter("sysctl", "-q", "-w", *words))

    def enter(self, *command: str) -> list[str]:
        """The command line that runs `command` in here; it is exec'ed, so that its process id is Popen's."""
        return ["nsenter", f"--net={NAMESPACES / self.host_name}", *command]

    def within(self, action: Callable[[], T]) -> T:
        """Result of action() in a thread that is in here: a socket made so belongs to this namespace for life."""
        return _in_namespace(self.host_name, action)

    def remove(self) -> None:
        """Kill what still runs in here and delete it."""
        remove_namespace(self.host_name)


class Host(Protocol):
    """What a cable can be plugged into: `name`, and `ip` with the words of ip(8)."""

    name: str

    def ip(self, *words: str) -> object: ...


class Fabric:
    """All cabling of one run. The segment CONTROL is there from the beginning, the host's address in it 10.99.0.254."""

    def __init__(self) -> None:
        self.run = f"{PREFIX}-{os.getpid()}-{secrets.token_hex(2)}"
        self._lock = _locked(LOCKS / f"{self.run}.lock")
        self._namespaces: list[Namespace] = []
        self.switches = self.namespace("fabric")
        self.switches.sysctl(net__ipv6__conf__default__disable_ipv6=1)
        self.segment(CONTROL)
        self.switches.ip("address", "add", "10.99.0.254/24", "dev", CONTROL)

    def namespace(self, name: str) -> Namespace:
        """A new namespace that goes when the fabric goes."""
        namespace = Namespace(self.run, name)
        self._namespaces.append(namespace)
        return namespace

    def segment(self, name: str) -> None:
        """A new network segment: a bridge without spanning tree."""
        self.switches.ip("link", "add", name, "type", "bridge", "stp_state", "0", "mcast_snooping", "0")
        self.switches.ip("link", "set", name, "up")

    def plug(self, namespace: Host, nic: str, segment: str, *addresses: str) -> Cable:
        """A cable from `nic` in `namespace` to a segment; IPv6 addresses are usable at once."""
        port = f"{namespace.name}.{segment}"[:15]
        namespace.ip("link", "add", nic, "type", "veth", "peer", "name", port, "netns", self.switches.host_name)
        namespace.ip("link", "set", nic, "up")
        for address in addresses:
            namespace.ip("address", "add", address, "dev", nic, *(["nodad"] if ":" in address else []))
        return self._connect(port, segment)

    def tap(self, port: str, segment: str) -> Cable:
        """A tap on a segment, for a user-mode Linux that runs in the fabric's namespace."""
        self.switches.ip("tuntap", "add", port, "mode", "tap")
        return self._connect(port, segment)

    def _connect(self, port: str, segment: str) -> Cable:
        self.switches.ip("link", "set", port, "up")
        cable = Cable(self.switches, port, segment)
        cable.mend()
        return cable

    def close(self) -> None:
        """Remove every namespace, with what runs in it; safe to call again."""
        namespaces, self._namespaces = self._namespaces[::-1], []
        in_order(*(namespace.remove for namespace in namespaces))
        Path(self._lock.name).unlink(missing_ok=True)
        self._lock.close()


class Cable:
    """A line that fails silently: neither end sees its carrier go."""

    def __init__(self, switches: Namespace, port: str, segment: str) -> None:
        self._switches, self._port, self._segment = switches, port, segment

    def cut(self) -> None:
        """From now on nothing arrives, in both directions."""
        self._switches.ip("link", "set", self._port, "nomaster")

    def mend(self) -> None:
        """The line works (again)."""
        self._switches.ip("link", "set", self._port, "master", self._segment)


def _locked(path: Path) -> TextIO:
    """The file, made and locked until it is closed; again if it was removed between the two."""
    while True:
        file = path.open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()


def remove_namespace(host_name: str) -> None:
    """Kill what runs in a namespace, by process id, and delete it; one that is already gone is fine."""
    if not (NAMESPACES / host_name).exists():
        return
    end = time.monotonic() + 10
    while pids := host("ip", "netns", "pids", host_name, check=False).out.split():
        for pid in pids:
            kill(int(pid))
        if time.monotonic() > end:
            raise LabError(f"namespace {host_name}: processes {pids} do not die")
        time.sleep(0.05)
    host("ip", "netns", "delete", host_name)


def kill(pid: int) -> None:
    """SIGKILL, for a process that may be gone already."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def sweep() -> list[str]:
    """Remove what runs left behind that were killed before they could clean up; names of those runs.

    A run holds the lock on its file for life. Its process id would not do: a run may be in another process namespace.
    """
    dead = []
    for path in LOCKS.glob(f"{PREFIX}-*.lock"):
        try:
            file = path.open()
        except FileNotFoundError:  # its run has just ended
            continue
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            for namespace in NAMESPACES.glob(f"{path.stem}-*"):
                remove_namespace(namespace.name)
            for directory in LOCKS.glob(f"{path.stem}-*"):
                shutil.rmtree(directory)
            path.unlink(missing_ok=True)
            dead.append(path.stem)
    return dead


def connect(namespace: Namespace, address: str, port: int, timeout: float) -> socket.socket:
    """A TCP connection made in another namespace; OSError when it fails."""
    return namespace.within(lambda: socket.create_connection((address, port), timeout))


def _in_namespace(host_name: str, action: Callable[[], T]) -> T:
    # setns moves the calling thread only: a thread of its own goes there and ends. os.setns came with Python 3.12.
    results: list[T] = []
    failures: list[BaseException] = []

    def work() -> None:
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            with (NAMESPACES / host_name).open() as file:
                if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"cannot enter {host_name}")
            results.append(action())
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]
