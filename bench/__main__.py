"""Runs benchmarks: python3 -m bench [NAME ...]; each leaves build/bench/NAME.json."""
from __future__ import annotations

import argparse
import importlib
import json
import time
from typing import Any, Callable

from tests.lab.testbed.base import REPOSITORY

RESULTS = REPOSITORY / "build/bench"
BENCHMARKS = {
    "ipvs_table": "1,000 virtual services with 10 real servers each, against ipvsadm -R",
    "agents": "actions against IPaddr2's, ldirectord's and an ocf.py agent's",
    "announcement": "the route at the peer, against a hand-typed line",
    "checks": "1,000 TCP checks a second for a minute, against keepalived and ldirectord",
    "pools": "50 pools on one node, a resource each, against keepalived and ldirectord",
    "checks_native": "the same on the kernel of this host, as far as that can be had: the process alone, without IPVS",
    "scale": "12 and 40 services on a pair, started, standby, all real servers dead and back, against Dummy agents",
    "detection": "from a server's death to weight 0, against keepalived and ldirectord",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python3 -m bench", description=__doc__)
    known = "; ".join(f"{name}: {text}" for name, text in BENCHMARKS.items())
    parser.add_argument("names", nargs="*", metavar="NAME", help=known)
    names = parser.parse_args().names or list(BENCHMARKS)
    for unknown in set(names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {unknown}; there are {', '.join(BENCHMARKS)}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    for name in names:
        print(f"\n{name}: {BENCHMARKS[name]}", flush=True)
        begun = time.monotonic()
        run: Callable[[], dict[str, Any]] = importlib.import_module(f"bench.{name}").run
        result = run()
        path = RESULTS / f"{name}.json"
        path.write_text(json.dumps(result, indent=1) + "\n")
        show(result)
        print(f"({time.monotonic() - begun:.0f} s; {path.relative_to(REPOSITORY)})", flush=True)


def show(result: dict[str, Any]) -> None:
    """Print rows, other figures and the bars that the figures are held against."""
    for row in result["rows"]:
        print("  " + "  ".join(f"{key} {_shown(value)}" for key, value in row.items()))
    for key, value in result.items():
        if key not in ("rows", "bars"):
            print(f"  {key}: {_shown(value)}")
    for text, met in result["bars"].items():
        print(f"  {'met   ' if met else 'MISSED'}  {text}")


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
