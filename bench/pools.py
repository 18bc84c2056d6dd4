"""What fifty pools on one node cost, a resource each, beside keepalived and ldirectord with the same virtual services."""
from __future__ import annotations

from typing import Any

from bench.balancer import Balancer, Listener, real
from bench.checkers import CHECKERS, Service
from bench.load import Load

POOLS, REALS_EACH = 50, 4
INTERVAL_S = 2
MEMORY_MIB = 3072


def run() -> dict[str, Any]:
    """Rows: seconds until all are up, processor time and memory (PSS) of all and of each."""
    services = [
        Service(f"192.0.2.{number + 1}", [real(number * REALS_EACH + index) for index in range(REALS_EACH)])
        for number in range(POOLS)
    ]
    with Balancer(memory_mib=MEMORY_MIB) as balancer:
        listener = Listener(balancer.servers, "")
        load = Load(balancer, listener)
        rows = [load.measure(checker, services, INTERVAL_S) for checker in CHECKERS]
        listener.close()
    for row in rows:
        row["memory_mib_each"] = row["memory_mib"] / POOLS
        row["cpu_percent_each"] = row["cpu_percent"] / POOLS
    ours, keepalived, _ = rows
    return {
        "rows": rows,
        "idle_cpu_s_a_second": load.idle,
        "bars": {
            "all servers are checked in time": ours["checks_a_second"] > 0.95 * POOLS * REALS_EACH / INTERVAL_S,
            "no more than three times the processor time of one process": ours["cpu_percent"] < 3 * keepalived["cpu_percent"],
            "no more than 12 MiB each": ours["memory_mib_each"] < 12,
        },
    }
