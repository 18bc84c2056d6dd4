"""A gate in a process of its own on one node, and what pools tell it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

from ocfpy.healthd.client import DaemonHangs, NoDaemon, ask
from ocfpy.healthd.gate_files import GateFiles, Registration

from tests.frr import gate_server
from tests.frr.harness import Frr, wait_for

LIBRARY = "usr/lib/ocf/lib/anycast"
POOL = "healthy-dns"


class GateProcess:
    """The health daemon of one node, as far as its gate goes; pools are repeated to one that takes the place of another."""

    def __init__(self, node: Frr) -> None:
        self._node = node
        self.rundir = node.directory / "resource-agents" / "anycast"
        self.log = node.directory / "gate.log"
        self.files = GateFiles(str(self.rundir))
        self._program = node.directory / "gate_server.py"
        for path in (self.log, self.rundir / "healthd-gate.shut"):
            path.unlink(missing_ok=True)
        shutil.copy(gate_server.__file__, self._program)
        self.alive: dict[str, int] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and tell it what the pools have last said."""
        argv = ["/usr/bin/python3", "-IS", self._program, self._node.system.stage / LIBRARY, self.rundir, self.log]
        with open(self._node.directory / "gate.err", "ab") as errors:
            self._process = subprocess.Popen(
                self._node.argv(*map(str, argv)), stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, start_new_session=True
            )
        wait_for("the gate to answer", lambda: self._answers("ping"))
        for attribute, alive in self.alive.items():
            self._ask(f"pool {attribute} {alive}")

    def _answers(self, words: str) -> str:
        assert self._process is not None
        assert self._process.poll() is None, (self._node.directory / "gate.err").read_text()
        try:
            return ask(str(self.rundir / "healthd.sock"), words, 20)
        except (NoDaemon, DaemonHangs):
            return ""

    def _ask(self, words: str) -> str:
        return ask(str(self.rundir / "healthd.sock"), words, 20)

    def pool(self, alive: int, *attributes: str) -> float:
        """Have pools say how many backends they have; return how many seconds the gate took to take note."""
        names = attributes or (POOL,)
        self.alive.update(dict.fromkeys(names, alive))
        return float(self._ask(f"pool {','.join(names)} {alive} the check failed")) / 1000

    def state(self, resource: str) -> str:
        """The gate of one resource."""
        return self._ask(f"gate state {resource}")

    def register(self, resource: str, prefix: str, **fields: str) -> str:
        """What a start does: write the registration, and have bgpd agree with it."""
        fields = {"attribute": POOL, "vty_dir": str(self._node.directory), **fields}
        self.files.write(Registration(resource, prefix, **fields))
        return self._ask(f"gate apply {resource}")

    def unregister(self, resource: str) -> None:
        """What a stop does in the end."""
        self.files.delete(resource)
        self._ask(f"gate apply {resource}")

    def kill(self) -> None:
        """SIGKILL, as far as it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def signal(self, number: int) -> None:
        """Send it a signal; one that it was killed by is waited for."""
        if self._process is not None:
            self._process.send_signal(number)
            if number == signal.SIGKILL:
                self.kill()

    def logged(self, words: str) -> list[str]:
        """The lines of its log that have these words."""
        return [line for line in Path(self.log).read_text().splitlines() if words in line] if self.log.exists() else []


def seconds_until(what: str, look: object) -> float:
    """How long it takes until look() is true, looked at without a pause."""
    begun = time.monotonic()
    wait_for(what, look, every=0.002)  # type: ignore[arg-type]
    return time.monotonic() - begun
