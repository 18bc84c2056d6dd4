"""Real FRR in network namespaces: a bridge, nodes on it with zebra, bfdd and bgpd, and all gone afterwards.

Nothing runs in the namespace of the caller, and only processes started here are ended, by their pid.
Environment: OCF_STAGE, the tree that the agents are installed in, default build/stage.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, TypeVar

from ocfpy.bgp.errors import FrrError
from ocfpy.bgp.vty import Vty
from ocfpy.ocf.deadline import Deadline

from tests.frr.hang import stopped_thread
from tests.frr.namespace import Namespace, run
from tests.frr.system import System
from tests.lab.testbed.base import favour

T = TypeVar("T")
S = TypeVar("S", bound="Site")
_numbers = itertools.count()

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLES = REPOSITORY / "docs" / "examples"
STAGE = Path(os.environ.get("OCF_STAGE", REPOSITORY / "build" / "stage"))
AGENT = "usr/lib/ocf/resource.d/anycast/bgp-announce"
DAEMON_DIR = "/usr/lib/frr"
SESSIONS = 4  # of the announcer: two routers, two families
CONVERGENCE_LIMIT = 30.0  # seconds for a session to come up on a busy machine; normally two or three


def wait_for(what: str, look: Callable[[], T], limit: float = CONVERGENCE_LIMIT, every: float = 0.02) -> T:
    """The first true value that look() gives; AssertionError with the last one after limit seconds."""
    end = time.monotonic() + limit
    while True:
        value = look()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {limit:g} s for {what}; last seen: {value!r}")
        time.sleep(every)


class Frr:
    """The FRR daemons of one node, configured by one frr.conf the way Debian's service does it (vtysh -b)."""

    def __init__(self, system: System, namespace: Namespace, config: str) -> None:
        self.system = system
        self.namespace = namespace
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.directory = Path(tempfile.mkdtemp(prefix=f"{namespace.name}-", dir="/tmp"))
        (self.directory / "frr.conf").write_text(config)
        (self.directory / "vtysh.conf").write_text("service integrated-vtysh-config\n")
        self.run("chown", "frr:frr", str(self.directory))
        self.directory.chmod(0o755)

    @property
    def vty_path(self) -> str:
        """Where bgpd listens."""
        return str(self.directory / "bgpd.vty")

    def argv(self, *argv: str) -> list[str]:
        """argv as it has to be started from outside to run on this node."""
        return self.system.argv(self.namespace.name, *argv)

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command on this node."""
        return run(*self.argv(*argv))

    @property
    def has_mgmtd(self) -> bool:
        """FRR from 9 on."""
        return self.system.has(f"{DAEMON_DIR}/mgmtd")

    def start(self) -> None:
        """Start everything and load frr.conf; AssertionError when a line of it is refused."""
        if self.has_mgmtd:
            self.start_daemon("mgmtd")
        for name in ("zebra", "staticd", "bfdd", "bgpd"):
            self.start_daemon(name)
        self.load()

    def start_daemon(self, name: str) -> None:
        """Start one daemon in the foreground and wait until it answers on its vty."""
        place = str(self.directory)
        argv = [f"{DAEMON_DIR}/{name}", "--vty_socket", place, "-i", f"{place}/{name}.pid"]
        if name != "mgmtd":
            argv += ["-z", f"{place}/zserv.api"]
        if name == "bfdd" and not self.has_mgmtd:
            argv += ["--bfdctl", f"{place}/bfdd.sock"]
        if name == "bgpd":
            argv += ["-f", "/dev/null"]
        argv += ["--log", "stdout", "-P", "0"] if name != "mgmtd" else ["--log", "stdout"]
        with open(self.directory / f"{name}.log", "ab") as log:
            self._processes[name] = subprocess.Popen(
                self.argv(*argv), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        favour(self._processes[name].pid)  # BFD allows it 300 ms, on a machine that may have a lot else to do
        wait_for(f"{name} to answer", lambda: self._answers(name))

    def _answers(self, name: str) -> bool:
        process = self._processes[name]
        if process.poll() is not None:
            raise AssertionError(
                f"{name} ended: " + (self.directory / f"{name}.log").read_text(errors="replace")
            )
        try:
            return "FRR" in self.show("show version", name)
        except FrrError:
            return False

    def load(self) -> None:
        """Load frr.conf into the running daemons, as a boot does."""
        place = str(self.directory)
        done = self.run("vtysh", "--vty_socket", place, "--config_dir", place, "-b")
        said = [
            line
            for line in (done.stdout + done.stderr).splitlines()
            if line.startswith("%") or "line " in line
        ]
        assert not said, said

    def reload(self) -> None:
        """What Debian's `systemctl reload frr` does."""
        place = str(self.directory)
        program = f"{DAEMON_DIR}/frr-reload.py"
        self.run(program, "--reload", "--vty_socket", place, "--confdir", place, "--rundir", place, f"{place}/frr.conf")

    def vtysh(self, command: str) -> str:
        """The text of a command given to all daemons."""
        return self.run("vtysh", "--vty_socket", str(self.directory), "-c", command).stdout

    def show(self, command: str, daemon: str = "bgpd") -> str:
        """The text of a show command."""
        return Vty(str(self.directory / f"{daemon}.vty"), Deadline(5)).show(command)

    def show_json(self, command: str, daemon: str = "bgpd") -> Any:
        """A show command's JSON."""
        return json.loads(self.show(command + " json", daemon))

    def configure(self, *lines: str) -> None:
        """Lines typed by hand in bgpd's configuration mode."""
        Vty(self.vty_path, Deadline(5)).configure(lines)

    def pid(self, daemon: str = "bgpd") -> int:
        """The daemon itself (nsenter replaces itself with it)."""
        return self._processes[daemon].pid

    def signal(self, number: signal.Signals, daemon: str = "bgpd") -> None:
        """Send a signal to one daemon."""
        self._processes[daemon].send_signal(number)

    @contextmanager
    def hung(self, daemon: str = "bgpd") -> Iterator[None]:
        """The daemon's main thread stands still and its others go on, as if it waited for a lock or ran in a loop."""
        with stopped_thread(self.pid(daemon)):
            yield

    def ended(self, daemon: str = "bgpd", limit: float = 5.0) -> bool:
        """Whether the daemon ends within limit seconds."""
        try:
            self._processes[daemon].wait(limit)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self, daemon: str = "bgpd") -> None:
        """SIGKILL one daemon, stopped or not, and reap it."""
        process = self._processes.pop(daemon)
        process.kill()
        process.wait()

    def restart_bgpd(self, load: bool = True) -> None:
        """End bgpd, in any state, and start it; with frr.conf as a boot loads it, or with nothing."""
        if "bgpd" in self._processes:
            self.kill("bgpd")
        self.start_daemon("bgpd")
        if load:
            self.load()

    def fresh_bgpd(self) -> None:
        """Like restart_bgpd, with the lines typed: after a load by vtysh bgpd keeps its sessions waiting for 4 s."""
        self.restart_bgpd(load=False)
        lines = [line.strip() for line in (self.directory / "frr.conf").read_text().splitlines()]
        lines = [line for line in lines if line and line != "end" and not line.startswith(("!", "frr ", "host", "log"))]
        bfd, bgp = lines.index("bfd"), next(i for i, line in enumerate(lines) if line.startswith("router bgp"))
        self.configure(*lines[:bfd], *lines[bgp:])

    def paths(self, prefix: str) -> list[dict[str, Any]]:
        """The paths that this bgpd has for a prefix, [] when it has none."""
        family = "ipv6" if ":" in prefix else "ipv4"
        return list(self.show_json(f"show bgp {family} unicast {prefix}").get("paths", []))

    def has(self, prefix: str) -> bool:
        """Whether this bgpd has a valid path for a prefix."""
        return any(path.get("valid") for path in self.paths(prefix))

    def connected(self, address: str) -> bool:
        """Whether zebra has a route to an address of this node's own, without length or as /32 or /128."""
        family, length = ("ipv6", 128) if ":" in address else ("ip", 32)
        host = address.partition("/")[0]
        return f"{host}/{length}" in self.show_json(f"show {family} route", "zebra")

    def sent(self, prefix: str, peer: str) -> bool:
        """Whether this bgpd has sent a prefix to a peer."""
        family = "ipv6" if ":" in prefix else "ipv4"
        reply = self.show_json(f"show bgp {family} unicast neighbors {peer} advertised-routes")
        return prefix in reply["advertisedRoutes"]

    def established(self) -> int:
        """How many sessions are up, both families."""
        summary = self.show_json("show bgp summary")
        peers = [peer for family in summary.values() for peer in family.get("peers", {}).values()]
        return sum(peer["state"] == "Established" for peer in peers)

    def guarded(self) -> int:
        """For how many neighbors bgpd itself, which hears of it a little later than bfdd, knows that BFD is up."""
        neighbors = self.show_json("show bgp neighbors").values()
        return sum(one.get("peerBfdInfo", {}).get("status") == "Up" for one in neighbors if isinstance(one, dict))

    def stop(self) -> None:
        """Kill what was started here and remove its files."""
        for name in list(self._processes):
            self.kill(name)
        shutil.rmtree(self.directory, ignore_errors=True)


class Outcome:
    """How an action of an agent ended: its exit code, its exit reason, all of stderr, and the seconds it
    took.
    """

    def __init__(self, code: int, stderr: str, seconds: float) -> None:
        self.code = code
        self.stderr = stderr
        self.seconds = seconds
        said = [line for line in stderr.splitlines() if line.startswith("ocf-exit-reason:")]
        self.reason = said[-1].partition(":")[2] if said else ""

    def __repr__(self) -> str:
        return f"exit {self.code} after {self.seconds:.3f} s: {self.stderr.strip()}"


class Resource:
    """A bgp-announce resource on one node, run the way Pacemaker runs it: own process group, minimal
    environment.
    """

    def __init__(self, node: Frr, name: str, **parameters: str) -> None:
        self.node = node
        self.name = name
        self.parameters = {"vty_dir": str(node.directory), **parameters}
        self._started = 0.0

    def popen(self, action: str, timeout: float = 20, interval: float = 0, level: int = 0) -> subprocess.Popen[str]:
        """Start an action and do not wait; timeout and interval in seconds, level is the OCF_CHECK_LEVEL."""
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C",
            "HA_RSCTMP": str(self.node.directory / "resource-agents"),
            "HA_LOGFACILITY": "none",
            "HA_LOGFILE": str(self.node.directory / "agent.log"),
            "OCF_RESOURCE_INSTANCE": self.name,
            "OCF_RESKEY_CRM_meta_timeout": str(int(timeout * 1000)),
            **{f"OCF_RESKEY_{name}": value for name, value in self.parameters.items()},
        }
        if interval:
            environment["OCF_RESKEY_CRM_meta_interval"] = str(int(interval * 1000))
        if level:
            environment["OCF_CHECK_LEVEL"] = str(level)
        self._started = time.monotonic()
        return subprocess.Popen(
            self.node.argv(str(self.node.system.stage / AGENT), action),
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True,
        )  # fmt: skip

    def finish(self, process: subprocess.Popen[str], timeout: float = 20) -> Outcome:
        """Wait for it; after the timeout it gets what Pacemaker gives it, SIGKILL to the group, and the test
        fails.
        """
        try:
            _, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise AssertionError(f"{self.name}: still running after {timeout} s") from None
        return Outcome(process.returncode, stderr, time.monotonic() - self._started)

    def run(self, action: str, timeout: float = 20, interval: float = 0, level: int = 0) -> Outcome:
        """Run one action to its end."""
        return self.finish(self.popen(action, timeout, interval, level), timeout)

    def monitor(self) -> Outcome:
        """A recurring monitor."""
        return self.run("monitor", interval=5)


class Site:
    """One load balancer (lb) and the two routers of docs/examples (r1, r2) on one bridge."""

    def __init__(self, system: System | None = None) -> None:
        self.system = system or System(STAGE)
        self._namespaces: list[Namespace] = []
        self._nodes: list[Frr] = []
        self._tag = f"frr{os.getpid()}.{next(_numbers)}"
        self._failed = True
        try:
            self._build()
            self._failed = False
        finally:
            if self._failed:
                self.close()

    def _build(self) -> None:
        self.switch = self._namespace("sw")
        self.switch.bridge()
        router = (EXAMPLES / "frr-router.conf").read_text()
        self.lb = self._node(
            "lb", (EXAMPLES / "frr-lb.conf").read_text(), "10.1.0.11/24", "2001:db8:1::11/64"
        )
        self.r1 = self._node("r1", router, "10.1.0.1/24", "2001:db8:1::1/64")
        second = router.replace("bgp router-id 10.1.0.1\n", "bgp router-id 10.1.0.2\n")
        self.r2 = self._node("r2", second, "10.1.0.2/24", "2001:db8:1::2/64")
        for node in self._nodes:
            node.start()
        wait_for("four sessions", lambda: self.lb.established() == SESSIONS)

    def _namespace(self, name: str) -> Namespace:
        namespace = Namespace(f"{self._tag}{name}")
        self._namespaces.append(namespace)
        return namespace

    def _node(self, name: str, config: str, *addresses: str) -> Frr:
        namespace = self._namespace(name)
        namespace.link(self.switch, name, *addresses)
        node = Frr(self.system, namespace, config)
        self._nodes.append(node)
        return node

    def close(self) -> None:
        """Remove everything, in any state."""
        for node in self._nodes:
            node.stop()
        for namespace in self._namespaces:
            namespace.delete()

    def __enter__(self: S) -> S:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


if __name__ == "__main__":  # a site to look at: PYTHONPATH=lib python3 tests/frr/harness.py
    with Site() as site:
        print(site.lb.directory, site.lb.namespace.name, file=sys.stderr)
        input("up; Enter ends it ")
