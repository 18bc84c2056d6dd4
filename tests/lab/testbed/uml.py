"""A node: a user-mode Linux with its own kernel, disk and network cards, that can lose its power."""
from __future__ import annotations

import json
import os
import shlex
import socket
import struct
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import sandbox
from .base import LAB, LabError, Result, favour, wait_for
from .network import Cable, Fabric, connect, kill
from .rootfs import Images

COMMAND_PORT = 7
BOOT_LIMIT = 60.0
MEMORY_MIB = 512


@dataclass(frozen=True)
class Nic:
    """A network card of a node: its segment and its addresses (CIDR)."""

    segment: str
    mac: str
    addresses: Sequence[str]


@dataclass
class UmlNode:
    """One load balancer. `nics` become eth0, eth1, ...; `control` is the address that the host gives commands to.

    The directory `shared` is the node's /lab: logs are written there and outlive a power cut; the script that `boot` holds is
    run at every power-on.
    """

    name: str
    fabric: Fabric
    images: Images
    shared: Path
    nics: Sequence[Nic]
    control: str
    hosts: Mapping[str, str] = field(default_factory=dict)
    routes: Sequence[str] = ()
    boot: str = ""
    memory_mib: int = MEMORY_MIB

    def __post_init__(self) -> None:
        self.shared.mkdir(parents=True, exist_ok=True)
        log = self.shared / "log"
        log.mkdir(exist_ok=True)
        log.chmod(0o777)
        (self.shared / "setup").write_text(self._setup())
        self.write_boot(self.boot)
        self.cables: list[Cable] = [
            self.fabric.tap(self._tap(index), nic.segment) for index, nic in enumerate(self.nics)
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def provide(self, path: str, text: str) -> None:
        """Have the first boot find a file below /etc; `path` is relative to there."""
        file = self.shared / "etc" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def write_boot(self, script: str) -> None:
        """Have every later power-on run this shell script, output to log/boot.log."""
        path = self.shared / "boot"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def _tap(self, index: int) -> str:
        return f"{self.name}.{index}"

    def _setup(self) -> str:
        lines = [f"hostname {self.name}", f"echo {self.name} > /etc/hostname", "ip link set lo up"]
        # One process of the cluster stack per node name: crmsh refuses nodes that it cannot resolve.
        lines += ["echo 127.0.0.1 localhost > /etc/hosts", "echo ::1 localhost >> /etc/hosts"]
        lines += [f"echo {address} {name} >> /etc/hosts" for name, address in self.hosts.items()]
        for index, nic in enumerate(self.nics):
            lines += [f"ip link set vec{index} name eth{index}", f"ip link set eth{index} up"]
            lines += [
                f"ip address add {address} dev eth{index}{' nodad' if ':' in address else ''}"
                for address in nic.addresses
            ]
        lines += [f"ip route add {route}" for route in self.routes]
        return "\n".join(lines) + "\n"

    def power_on(self, wait: bool = True) -> None:
        """Boot; with `wait`, return when it takes commands. The disk is as the last power cut left it."""
        if self.powered:
            raise LabError(f"{self.name} is running")
        devices = [
            f"vec{index}:transport=tap,ifname={self._tap(index)},depth=64,gro=1,mac={nic.mac}"
            for index, nic in enumerate(self.nics)
        ]
        command = [
            f"{LAB}/kernel/linux.uml", f"mem={self.memory_mib}M", *(["seccomp=on"] if self.images.seccomp else []),
            f"ubd0={LAB}/node/cow,{LAB}/cache/{self.images.disk.name}", "root=/dev/ubda", "rw", "init=/opt/lab/init",
            f"lab={LAB}/node/shared", "random.trust_cpu=on", "con=null", "con0=null,fd:1", *devices,
        ]
        state = self.shared.parent
        argv = sandbox.argv(
            self.images.root, command, {"kernel": self.images.kernel.parent, "cache": self.images.disk.parent, "node": state},
            namespace=self.fabric.switches.host_name, tmp_mib=self.memory_mib + 64,
        )
        with (self.shared / "log/console").open("ab") as console:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT, start_new_session=True
            )
        favour(self._process.pid)
        if wait:
            self.wait()

    @property
    def powered(self) -> bool:
        """Whether its kernel runs."""
        return self._process is not None and self._process.poll() is None

    def wait(self, limit: float = BOOT_LIMIT) -> None:
        """Return when it takes commands; LabError with the end of its console when it went down instead."""
        wait_for(lambda: not self.powered or self.answers(), limit, f"{self.name} takes commands", every=0.2)
        if not self.powered:
            raise LabError(f"{self.name} went down while it booted:\n{self.console()[-2000:]}")

    def answers(self) -> bool:
        """Whether it takes commands right now."""
        try:
            return self.run("true", timeout=5).rc == 0
        except LabError:
            return False

    def power_off(self) -> None:
        """Power cut: SIGKILL for every process of this linux.uml, at once. Does nothing when it is off."""
        process, self._process = self._process, None
        if process is None:
            return
        # The kernel first: it is what speaks for the node. Its children are of its session.
        kill(process.pid)
        for pid in _session(process.pid):
            kill(pid)
        process.wait()

    def cpu_s(self) -> float:
        """Processor seconds that the whole node, kernel and all, has cost this host since it was powered on."""
        if self._process is None:
            raise LabError(f"{self.name} is not running")
        # Its processes are processes of its session; those that ended are counted for the process that waited for them.
        ticks = 0
        for pid in _session(self._process.pid):
            try:
                ticks += sum(map(int, _stat(pid)[11:15]))
            except OSError:  # it has just ended, and is counted from now on by the one that waited for it
                continue
        return ticks / os.sysconf("SC_CLK_TCK")

    def run(self, command: str, timeout: float = 30, stdin: str = "") -> Result:
        """Run shell text in the node; rc 124 when it was killed at `timeout`. LabError when the node does not answer."""
        request = json.dumps({"command": command, "timeout": timeout, "stdin": stdin}).encode()
        try:
            with connect(self.fabric.switches, self.control, COMMAND_PORT, timeout=5) as connection:
                connection.settimeout(timeout + 10)
                connection.sendall(struct.pack("!I", len(request)) + request)
                (size,) = struct.unpack("!I", _receive(connection, 4))
                reply = json.loads(_receive(connection, size))
        except OSError as error:
            raise LabError(f"{self.name} does not answer: {error}") from error
        return Result(f"{self.name}: {command}", reply["rc"], reply["out"], reply["err"])

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file in the node, with its directories."""
        quoted = shlex.quote(path)
        command = f"mkdir -p \"$(dirname {quoted})\" && cat > {quoted} && chmod {mode:o} {quoted}"
        self.run(command, stdin=text).check()

    def get(self, path: str) -> str:
        """Text of a file in the node."""
        return self.run(f"cat {shlex.quote(path)}").check().out

    def console(self) -> str:
        """What the kernel and the init said since the node was made."""
        return (self.shared / "log/console").read_text(errors="replace")

    def start(self, *commands: str, limit: float = 30) -> None:
        """Run commands one after the other; the first that fails raises LabError."""
        for command in commands:
            self.run(command, timeout=limit).check()


def _receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ConnectionError("the connection ended in the middle of a reply")
        data += piece
    return data


def _session(leader: int) -> list[int]:
    """Process ids of a session."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if int(_stat(int(entry))[3]) == leader:
                    found.append(int(entry))
            except OSError:
                continue
    return found


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third on; the second may hold spaces."""
    return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()


def power_on_all(nodes: Sequence[UmlNode]) -> None:
    """Boot several nodes side by side; returns when all take commands."""
    for node in nodes:
        node.power_on(wait=False)
    for node in nodes:
        node.wait()


def now() -> float:
    """The lab's clock, seconds: one host, so one clock for requests, routes and commands."""
    return time.time()
