"""What a TCP check costs: a thousand servers, once a second each, by one checker after the other, and what is the least."""
from __future__ import annotations

import time
from typing import Any

from bench.balancer import Balancer, Listener, real
from bench.checkers import CHECKERS, Checker, Floor, Pool, Service
from tests.lab.testbed.base import wait_for

SERVICES, REALS_EACH = 10, 100
SETTLE_S, MEASURE_S, IDLE_S = 10, 30, 10
SETUP_LIMIT_S = 300
INTERVAL_S = 1
ONE = "ipvs-pool, one of them all"


def run() -> dict[str, Any]:
    """Rows: checks done a second; processor time a check, in ms and beside the least; memory in MiB."""
    services = [
        Service(f"192.0.2.{number + 1}", [real(number * REALS_EACH + index) for index in range(REALS_EACH)])
        for number in range(SERVICES)
    ]
    with Balancer() as balancer:
        listener = Listener(balancer.servers, "")
        before = balancer.node.cpu_s()
        time.sleep(IDLE_S)
        idle = (balancer.node.cpu_s() - before) / IDLE_S
        rows = [_measure(balancer, listener, checker, services, idle) for checker in CHECKERS]
        together = [Service("192.0.2.1", [real for service in services for real in service.reals])]
        rows.append(_measure(balancer, listener, Pool(ONE), together, idle))
        rows.append(_measure(balancer, listener, Floor(), services, idle))
        listener.close()
    costs = {row["checker"]: row["cpu_ms_a_check"] for row in rows}
    for row in rows:
        row["beside_the_least"] = row["cpu_ms_a_check"] / costs[Floor.name]
    return {
        "rows": rows,
        "idle_cpu_s_a_second": idle,
        "the_least_beside_ldirectord": costs[Floor.name] / costs["ldirectord"],
        "bars": {
            "the pool keeps up": rows[0]["checks_a_second"] > 0.95 * SERVICES * REALS_EACH / INTERVAL_S,
            "a check costs no more than keepalived's": costs["ipvs-pool"] <= costs["keepalived"],
            "and in one pool of all of them, too": costs[ONE] <= costs["keepalived"],
            "a check costs at most a tenth of ldirectord's": costs["ipvs-pool"] <= costs["ldirectord"] / 10,
        },
    }


def _measure(balancer: Balancer, listener: Listener, checker: Checker, services: list[Service], idle: float) -> dict[str, Any]:
    if checker.keeps_up_with < SERVICES * REALS_EACH:
        services = services[: checker.keeps_up_with // REALS_EACH]
    servers = sum(len(service.reals) for service in services)
    taken = listener.taken + servers
    checker.start(balancer.node, services, INTERVAL_S)
    wait_for(lambda: listener.taken >= taken, SETUP_LIMIT_S, f"{checker.name} has checked every server once", every=1)
    time.sleep(SETTLE_S)
    cpu, taken, begun = balancer.node.cpu_s(), listener.taken, time.monotonic()
    time.sleep(MEASURE_S)
    seconds = time.monotonic() - begun
    cpu = balancer.node.cpu_s() - cpu - idle * seconds
    taken = listener.taken - taken
    memory = balancer.pss_kib(checker.pattern) / 1024
    checker.stop(balancer.node)
    return {
        "checker": checker.name,
        "servers": servers,
        "checks_a_second": taken / seconds,
        "cpu_percent": 100 * cpu / seconds,
        "cpu_ms_a_check": 1000 * cpu / max(taken, 1),
        "memory_mib": memory,
    }
