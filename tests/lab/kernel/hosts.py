"""What scripts here share: hosts that are namespaces on one segment, servers on them, agents called there.

A script that uses it calls alone() first and is in namespaces of its own from then on; they vanish with it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable, TypeVar

T = TypeVar("T")

LIBRARY = "/usr/lib/ocf/lib/anycast"
AGENTS = "/usr/lib/ocf/resource.d/anycast"
PREFIX4, PREFIX6 = "10.77.0.", "fd00:77::"
VIP4, VIP6 = "192.0.2.53", "2001:db8::53"
SERVER = str(Path(__file__).with_name("server.py"))
TCP_PORT, UDP_PORT = 80, 53
CLONE_NEWNET = 0x40000000
OCF_SUCCESS, OCF_ERR_GENERIC, OCF_ERR_ARGS, OCF_NOT_RUNNING, OCF_DEGRADED = 0, 1, 2, 7, 190


class StepFailed(Exception):
    """What was expected and what was found."""


def run(*argv: str) -> str:
    """What a program says; StepFailed with what it says when it fails."""
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        raise StepFailed(f"{' '.join(argv)}: {done.stderr or done.stdout}")
    return done.stdout


def eventually(probe: Callable[[], object], limit: float, what: str, last: Callable[[], object] = str) -> float:
    """Seconds until probe() is true; StepFailed with last() when it is not within `limit` seconds."""
    begun = time.monotonic()
    while not probe():
        if time.monotonic() - begun > limit:
            raise StepFailed(f"{what}: not within {limit:g} s; last seen: {last()}")
        time.sleep(0.02)
    return time.monotonic() - begun


def expect(found: object, wanted: object, what: str) -> None:
    """StepFailed unless they are the same."""
    if found != wanted:
        raise StepFailed(f"{what}: {found!r}, not {wanted!r}")


def alone() -> None:
    """Go on in a network and a mount namespace of one's own, with a switch in it."""
    if "--alone" not in sys.argv:
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv, "--alone"])
    sys.argv.remove("--alone")
    os.makedirs("/run/netns", exist_ok=True)
    run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")
    run("ip", "link", "set", "lo", "up")
    run("ip", "link", "add", "switch", "type", "bridge", "mcast_snooping", "0")
    run("ip", "link", "set", "switch", "up")


class Host:
    """A machine on the segment, 10.77.0.NUMBER and fd00:77::NUMBER on its eth0."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.ip4, self.ip6 = f"{PREFIX4}{number}", f"{PREFIX6}{number}"
        run("ip", "netns", "add", name)
        self.sysctl("net.ipv6.conf.all.keep_addr_on_down=1", "net.ipv6.conf.default.keep_addr_on_down=1")
        self.plug()
        self.inside("ip", "link", "set", "lo", "up")
        self._processes: list[subprocess.Popen[bytes]] = []

    def plug(self) -> None:
        """Give it its eth0."""
        run("ip", "link", "add", self.name, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        run("ip", "link", "set", self.name, "master", "switch", "up")
        self.inside("ip", "link", "set", "eth0", "up")
        self.inside("ip", "address", "add", f"{self.ip4}/24", "dev", "eth0")
        self.inside("ip", "address", "add", f"{self.ip6}/64", "dev", "eth0", "nodad")

    def unplug(self) -> None:
        """Take its eth0 away."""
        run("ip", "link", "delete", self.name)

    def inside(self, *argv: str) -> str:
        """What a program says in there."""
        return run("ip", "netns", "exec", self.name, *argv)

    def sysctl(self, *settings: str) -> None:
        """Set "name=value"."""
        self.inside("sysctl", "-q", "-w", *settings)

    def start(self, *argv: str) -> subprocess.Popen[bytes]:
        """A program that runs in there until stop()."""
        process = subprocess.Popen(["ip", "netns", "exec", self.name, *argv])
        self._processes.append(process)
        return process

    def within(self, action: Callable[[], T]) -> T:
        """Result of action() in a thread in there: a socket made so belongs to it for life."""
        results: list[T] = []
        failures: list[BaseException] = []

        def work() -> None:
            try:
                with open(f"/run/netns/{self.name}") as file:
                    os.setns(file.fileno(), CLONE_NEWNET)  # type: ignore[attr-defined]  # Python 3.12
                results.append(action())
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if failures:
            raise failures[0]
        return results[0]

    def have_vip(self) -> None:
        """The VIPs on its loopback, without ARP."""
        self.sysctl("net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2")
        self.inside("ip", "address", "add", f"{VIP4}/32", "dev", "lo", "scope", "host")
        self.inside("ip", "address", "add", f"{VIP6}/128", "dev", "lo", "nodad", "preferred_lft", "0")

    def lose_vip(self) -> None:
        """No VIPs on its loopback any more."""
        self.inside("ip", "address", "delete", f"{VIP4}/32", "dev", "lo")
        self.inside("ip", "address", "delete", f"{VIP6}/128", "dev", "lo")

    def ask_at(self, other: Host) -> None:
        """Have the VIPs reached by way of another host."""
        self.inside("ip", "route", "replace", f"{VIP4}/32", "via", other.ip4)
        self.inside("ip", "route", "replace", f"{VIP6}/128", "via", other.ip6)

    def serve(self) -> None:
        """Start a server that says its name (see server.py); returns when it answers."""
        self.start(sys.executable, "-IS", SERVER, self.name)
        eventually(lambda: answer(self, self.ip4) == self.name, 15, f"{self.name} answers")

    def stop(self) -> None:
        """End what runs in there."""
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes.clear()


@contextlib.contextmanager
def balanced() -> Iterator[tuple[Host, list[Host], Host]]:
    """A load balancer with the VIPs, three real servers that serve, and a client that asks at it."""
    lb, client = Host("lb", 1), Host("client", 3)
    servers = [Host(f"rs{number}", 10 + number) for number in (1, 2, 3)]
    lb.have_vip()
    client.ask_at(lb)
    try:
        for server in servers:
            server.have_vip()
            server.serve()
        yield lb, servers, client
    finally:
        for server in servers:
            server.stop()


class Agent:
    """An agent on a host, or right here, called as Pacemaker calls it."""

    def __init__(self, host: Host | None, name: str, rundir: str, instance: str, **params: str) -> None:
        self.host = host
        self.path = f"{AGENTS}/{name}"
        self.rundir = rundir
        self.instance = instance
        self.params = params
        self.reason = ""

    def environment(self, action: str, **params: str) -> dict[str, str]:
        """What Pacemaker passes; "probe" is a monitor without an interval."""
        interval = {"OCF_RESKEY_CRM_meta_interval": "10000"} if action == "monitor" else {}
        return {
            "PATH": os.environ["PATH"],
            "OCF_ROOT": "/usr/lib/ocf",
            "OCF_RESOURCE_INSTANCE": self.instance,
            "OCF_RESKEY_CRM_meta_timeout": "30000",
            "HA_RSCTMP": self.rundir,
            "HA_LOGFILE": f"{self.rundir}/log",
            "HA_LOGFACILITY": "none",
            **interval,
            **{f"OCF_RESKEY_{name}": value for name, value in {**self.params, **params}.items()},
        }

    def command(self, action: str) -> list[str]:
        """The command line."""
        there = ["ip", "netns", "exec", self.host.name] if self.host else []
        return [*there, self.path, "monitor" if action == "probe" else action]

    def call(self, action: str, **params: str) -> int:
        """Exit code of an action; `reason` has what it said."""
        environ = self.environment(action, **params)
        done = subprocess.run(self.command(action), env=environ, capture_output=True, text=True)
        self.reason = done.stderr.strip().replace("ocf-exit-reason:", "")
        return done.returncode

    def must(self, action: str, code: int = OCF_SUCCESS, **params: str) -> float:
        """Seconds that the action took; StepFailed unless it ends with `code`."""
        begun = time.monotonic()
        found = self.call(action, **params)
        if found != code:
            raise StepFailed(f"{action} of {self.instance} says {found}, not {code}: {self.reason}")
        return time.monotonic() - begun

    def log(self) -> str:
        """What it and its daemon have logged."""
        return Path(f"{self.rundir}/log").read_text()

    def killed(self, action: str, after_s: float) -> None:
        """Begin an action and kill it, if it has not ended by then."""
        process = subprocess.Popen(
            self.command(action), env=self.environment(action), stderr=subprocess.DEVNULL, start_new_session=True
        )
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


def halt(pid: int) -> None:
    """SIGSTOP; returns when the process has stopped."""
    os.kill(pid, signal.SIGSTOP)
    stat = Path(f"/proc/{pid}/stat")
    eventually(lambda: stat.read_text().rpartition(") ")[2].startswith("T"), 10, "the process has stopped")


def next_version(directory: str) -> str:
    """The directory of the agents of the next version of the package, which is put below `directory`."""
    root = Path(directory, "ocf")
    shutil.copytree(LIBRARY, root / "lib/anycast")
    shutil.copytree(AGENTS, root / "resource.d/anycast")
    module = root / "lib/anycast/ocfpy/__init__.py"
    found = re.search(r'__version__ = "([^"]*)"', module.read_text())
    assert found is not None
    for path in (module, *(root / "resource.d/anycast").iterdir()):
        path.write_text(path.read_text().replace(found[1], "99"))
    return str(root / "resource.d/anycast")


def answer(client: Host, address: str, timeout: float = 1.0, source: str = "") -> str:
    """Name of the server that a new TCP connection, from one of the client's addresses, reaches; what went wrong instead."""
    try:
        with client.within(lambda: socket.create_connection((address, TCP_PORT), timeout, (source, 0))) as sock:
            sock.settimeout(timeout)
            sock.sendall(b"?\n")
            return sock.recv(100).decode().strip() or "closed"
    except OSError as error:
        return str(error)


class Observer(threading.Thread):
    """Looks at something all the time, and keeps every state of it that it sees. Used in a `with`."""

    PAUSE_S = 0.005

    def __init__(self, look: Callable[[], Any], host: Host | None = None) -> None:
        super().__init__(daemon=True)
        self.look = look
        self.host = host
        self.seen: list[Any] = []
        self.ending = threading.Event()

    def run(self) -> None:
        if self.host is None:
            self._watch()
        else:
            self.host.within(self._watch)

    def _watch(self) -> None:
        while not self.ending.wait(self.PAUSE_S):
            now = self.look()
            if not self.seen or self.seen[-1] != now:
                self.seen.append(now)

    def __enter__(self) -> Observer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self.join()


def story(steps: Callable[[str], object]) -> int:
    """Run the steps, an iterator of what each has shown, in a directory of their own; the exit code."""
    import tempfile

    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="story-") as directory:
        try:
            for step in steps(directory):  # type: ignore[attr-defined]
                print(f"{time.monotonic() - begun:6.1f} s  ok    {step}", flush=True)
        except (StepFailed, OSError) as failed:
            print(f"{time.monotonic() - begun:6.1f} s  FAILED  {failed}", flush=True)
            for log in Path(directory).rglob("log"):
                print(log.read_text()[-2000:])
            return 1
    return 0
