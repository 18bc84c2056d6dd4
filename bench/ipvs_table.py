"""A large table into the kernel: from empty, with nothing to do, with one server changed."""
from __future__ import annotations

import json
import statistics
from typing import Any

from bench.balancer import Balancer

ROUNDS = 5


def run() -> dict[str, Any]:
    """Rows: median seconds, within a process that runs already, and beside `ipvsadm -R` of the same table from empty."""
    with Balancer() as balancer:
        answer = balancer.node.run(f"/root/ipvs_table {ROUNDS}", timeout=600).check()
    seconds = {name: statistics.median(all_s) for name, all_s in json.loads(answer.out).items()}
    restore = seconds["empty_ipvsadm"]
    words = {
        "empty_ipvsadm": "ipvsadm -R, from empty",
        "empty": "ocfpy, from empty",
        "nothing": "ocfpy, nothing to do, by a daemon that starts",
        "kept": "ocfpy, nothing to do, by a daemon that runs",
        "one": "ocfpy, one server changed, by a daemon that starts",
        "known": "ocfpy, one server changed, by a daemon that runs",
        "one_ipvsadm": "ipvsadm -e, which knows what to change",
    }
    rows = [
        {"what": text, "seconds": seconds[name], "beside_restore": seconds[name] / restore} for name, text in words.items()
    ]
    return {
        "rows": rows,
        "bars": {
            "from empty faster than ipvsadm -R": seconds["empty"] < restore,
            "with nothing to do a running daemon takes at most 0.1 of it": seconds["kept"] <= 0.1 * restore,
        },
    }
