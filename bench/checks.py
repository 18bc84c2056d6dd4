"""What a TCP check costs: a thousand servers, once a second each, by one checker after the other, and what is the least."""
from __future__ import annotations

from typing import Any

from bench.balancer import Balancer, Listener, real
from bench.checkers import CHECKERS, Floor, Pool, Service
from bench.load import Load

SERVICES, REALS_EACH = 10, 100
INTERVAL_S = 1
ONE = "ipvs-pool, one of them all"


def run() -> dict[str, Any]:
    """Rows: checks done a second; processor time a check, in ms and beside the least; memory in MiB."""
    services = [
        Service(f"192.0.2.{number + 1}", [real(number * REALS_EACH + index) for index in range(REALS_EACH)])
        for number in range(SERVICES)
    ]
    together = Service("192.0.2.1", [real for service in services for real in service.reals])
    with Balancer() as balancer:
        listener = Listener(balancer.servers, "")
        load = Load(balancer, listener)
        rows = [
            load.measure(checker, services[: checker.keeps_up_with // REALS_EACH], INTERVAL_S)
            for checker in (*CHECKERS, Floor())
        ]
        rows.append(load.measure(Pool(ONE), [together], INTERVAL_S))
        listener.close()
    costs = {row["checker"]: row["cpu_ms_a_check"] for row in rows}
    for row in rows:
        row["beside_the_least"] = row["cpu_ms_a_check"] / costs[Floor.name]
    return {
        "rows": rows,
        "idle_cpu_s_a_second": load.idle,
        "the_least_beside_ldirectord": costs[Floor.name] / costs["ldirectord"],
        "bars": {
            "the pool keeps up": rows[0]["checks_a_second"] > 0.95 * SERVICES * REALS_EACH / INTERVAL_S,
            "a check costs no more than keepalived's": costs["ipvs-pool"] <= costs["keepalived"],
            "and in one pool of all of them, too": costs[ONE] <= costs["keepalived"],
            "a check costs at most a tenth of ldirectord's": costs["ipvs-pool"] <= costs["ldirectord"] / 10,
        },
    }
