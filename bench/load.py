"""What a checker costs the node that it runs on, its kernel and its network included."""
from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from bench.balancer import Balancer, Listener
from bench.checkers import Checker, Service
from tests.lab.testbed.base import wait_for

SETTLE_S, MEASURE_S, IDLE_S = 10, 60, 10
SETUP_LIMIT_S = 300


class Load:
    """Of one balancer, with a listener that is all of its real servers."""

    def __init__(self, balancer: Balancer, listener: Listener) -> None:
        self._balancer, self._listener = balancer, listener
        before = balancer.node.cpu_s()
        time.sleep(IDLE_S)
        self.idle = (balancer.node.cpu_s() - before) / IDLE_S
        """Seconds of processor time a second that the node takes by itself."""

    def measure(self, checker: Checker, services: Sequence[Service], interval_s: int) -> dict[str, Any]:
        """Started, measured for MEASURE_S and stopped: seconds until each server had been checked; checks done a second; what
        the node takes, in percent of a processor and ms a check; memory of the checker's processes in MiB (PSS)."""
        node, listener = self._balancer.node, self._listener
        servers = sum(len(service.reals) for service in services)
        taken, begun = listener.taken + servers, time.monotonic()
        checker.start(node, services, interval_s)
        wait_for(lambda: listener.taken >= taken, SETUP_LIMIT_S, f"{checker.name} has checked every server once", every=0.2)
        ready = time.monotonic() - begun
        time.sleep(SETTLE_S)
        cpu, taken, begun = node.cpu_s(), listener.taken, time.monotonic()
        time.sleep(MEASURE_S)
        seconds = time.monotonic() - begun
        cpu = node.cpu_s() - cpu - self.idle * seconds
        taken = listener.taken - taken
        memory = self._balancer.pss_kib(checker.pattern) / 1024
        checker.stop(node)
        return {
            "checker": checker.name,
            "servers": servers,
            "ready_s": ready,
            "checks_a_second": taken / seconds,
            "cpu_percent": 100 * cpu / seconds,
            "cpu_ms_a_check": 1000 * cpu / max(taken, 1),
            "memory_mib": memory,
        }
