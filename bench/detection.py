"""From a server's death to weight 0, by one checker after the other, with the same interval and the same number of failures."""
from __future__ import annotations

import json
import statistics
import time
from typing import Any

from bench.balancer import Balancer, Listener, real
from bench.checkers import CHECKERS, FALL, Checker, Pool, Service
from tests.lab.testbed.base import wait_for

DEATHS = 12
INTERVAL_S = 1
SETUP_LIMIT_S = 60
VIRTUAL = "192.0.2.1"
IN_DOUBT = "ipvs-pool, check_retry_interval=200ms"


def run() -> dict[str, Any]:
    """Rows: seconds from the death to weight 0, the median and the most, over DEATHS deaths, spread evenly over the interval."""
    with Balancer() as balancer:
        rows = [_measure(balancer, checker) for checker in (*CHECKERS, Pool(IN_DOUBT, check_retry_interval="200ms"))]
    medians = {row["checker"]: row["median_s"] for row in rows}
    return {
        "rows": rows,
        "interval_s": INTERVAL_S,
        "fall": FALL,
        "bars": {
            "in the median no later than keepalived, but for 20 ms": medians["ipvs-pool"] <= medians["keepalived"] + 0.02,
            "with check_retry_interval=200ms in less than half the time": medians[IN_DOUBT] < medians["ipvs-pool"] / 2,
        },
    }


def _measure(balancer: Balancer, checker: Checker) -> dict[str, Any]:
    steady, victim = real(0), real(1)
    others = Listener(balancer.servers, steady)
    mortal = Listener(balancer.servers, victim)
    checker.start(balancer.node, [Service(VIRTUAL, [steady, victim])], INTERVAL_S)
    took = []
    for number in range(DEATHS):
        _await_weight(balancer, victim, "1")
        mortal.await_more(2, SETUP_LIMIT_S)
        # So long after a check, for each of them: where in the interval a server dies counts for more than who checks it.
        time.sleep(INTERVAL_S * (number + 0.5) / DEATHS)
        died = time.time()
        mortal.close()
        took.append(_await_weight(balancer, victim, "0") - died)
        mortal = Listener(balancer.servers, victim)
    _await_weight(balancer, victim, "1")
    checker.stop(balancer.node)
    mortal.close()
    others.close()
    return {"checker": checker.name, "median_s": statistics.median(took), "most_s": max(took), "all_s": took}


def _await_weight(balancer: Balancer, address: str, weight: str) -> float:
    """When the server had that weight, as the node's clock says: a program in there looks every 5 ms."""

    def look() -> float | None:
        answer = balancer.node.run(f"/root/weight {address} {weight} 20", timeout=40)
        return float(json.loads(answer.out)) if answer.rc == 0 else None

    at = wait_for(look, 60, f"{address} has weight {weight}")
    assert at is not None
    return at
