"""What a TCP check costs the process that makes it, on the kernel of this host: by the pool's engine, and what is the least."""
from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.balancer import LAN, NODE, REALS, SERVERS, Listener, real
from bench.checkers import compile_floor
from tests.lab.testbed.base import REPOSITORY, wait_for
from tests.lab.testbed.network import Fabric, Namespace, sweep

COUNT, EACH = 1000, 100
SETTLE_S, MEASURE_S = 5, 30
SETUP_LIMIT_S = 60
LEAST = "connect and close, in C"


def run() -> dict[str, Any]:
    """Rows: checks done a second; microseconds of processor time a check, the system's part of it apart."""
    servers = [real(index) for index in range(COUNT)]
    engine = [sys.executable, "-m", "bench.engine"]
    sweep()
    fabric = Fabric()
    with tempfile.TemporaryDirectory() as directory:
        floor = compile_floor(Path(directory))
        try:
            node, there = _wire(fabric)
            listener = Listener(there, "")
            ten = [[*engine, *servers[first : first + EACH]] for first in range(0, COUNT, EACH)]
            rows = [
                _measure(node, listener, f"ipvs-pool, {len(ten)} of {EACH} servers", ten),
                _measure(node, listener, "ipvs-pool, one of them all", [[*engine, *servers]]),
                _measure(node, listener, LEAST, [[str(floor), "1", *servers]]),
            ]
            listener.close()
        finally:
            fabric.close()
    for row in rows:
        row["beside_the_least"] = row["us_a_check"] / rows[-1]["us_a_check"]
    return {"rows": rows, "bars": {"a large pool keeps up": rows[1]["checks_a_second"] > 0.95 * COUNT}}


def _wire(fabric: Fabric) -> tuple[Namespace, Namespace]:
    fabric.segment(LAN)
    node, there = fabric.namespace("node"), fabric.namespace("servers")
    fabric.plug(node, "lan", LAN, f"{NODE}/24")
    fabric.plug(there, "lan", LAN, f"{SERVERS}/24")
    there.ip("route", "add", "local", REALS, "dev", "lo")
    node.ip("route", "add", REALS, "via", SERVERS)
    return node, there


def _measure(node: Namespace, listener: Listener, name: str, commands: list[list[str]]) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "lib"), "HA_LOGFACILITY": "none", "HA_LOGFILE": os.devnull}
    taken = listener.taken + COUNT
    processes = [
        subprocess.Popen(node.enter(*command), cwd=REPOSITORY, env=environment, stderr=subprocess.DEVNULL) for command in commands
    ]
    try:
        wait_for(lambda: listener.taken >= taken, SETUP_LIMIT_S, f"{name} has checked every server once")
        time.sleep(SETTLE_S)
        before, taken, begun = _spent(processes), listener.taken, time.monotonic()
        time.sleep(MEASURE_S)
        seconds, taken = time.monotonic() - begun, listener.taken - taken
        user, system = (after - then for after, then in zip(_spent(processes), before))
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return {
        "by": name,
        "checks_a_second": taken / seconds,
        "us_a_check": 1e6 * (user + system) / max(taken, 1),
        "us_of_the_system": 1e6 * system / max(taken, 1),
    }


def _spent(processes: list[subprocess.Popen[bytes]]) -> tuple[float, float]:
    """Seconds of processor time, the user's and the system's, of processes that run."""
    hertz = os.sysconf("SC_CLK_TCK")
    stats = [Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split() for process in processes]
    return sum(int(words[11]) for words in stats) / hertz, sum(int(words[12]) for words in stats) / hertz
