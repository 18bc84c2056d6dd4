"""Many services on a pair of one-core nodes: started, at rest, standby and back, all real servers dead and back.

The same composition of ocf:pacemaker:Dummy agents in the same run says what Pacemaker itself needs on such nodes, and the lab's
own latency, of an action that does nothing, stands beside it. SERVICES="12 40" in the environment says how many services;
MEMORY_MIB how much memory each node has.
"""
from __future__ import annotations

import os
import statistics
import time
from typing import Any

from tests.lab.testbed import Lab, wait_for
from tests.lab.testbed.scale import Mark, Pair

COUNTS = [int(word) for word in os.environ.get("SERVICES", "12 40").split()]
MEMORY_MIB = int(os.environ.get("MEMORY_MIB", "3072"))
REST_S = 30
LIMIT_S = 900.0
EMPTY = (
    "env OCF_ROOT=/usr/lib/ocf OCF_RESOURCE_INSTANCE=empty OCF_RESKEY_state=/run/empty.state HA_LOGFACILITY=none "
    "/usr/lib/ocf/resource.d/pacemaker/Dummy {}"
)
DUMMY_FACTOR = 1.3
GONE_S, THERE_S = 0.3, 0.5
HANDFUL = 6


def run() -> dict[str, Any]:
    """Rows: one for each number of services, kind of agents, and phase; times in seconds, processor time of both nodes."""
    rows: list[dict[str, Any]] = []
    with Lab(sites=("a",), memory_mib=MEMORY_MIB) as lab:
        lab.start_clusters()
        empty = latency(lab)
        for count in COUNTS:
            for agents in ("anycast", "dummy"):
                found = Story(lab, count, agents).rows()
                print(f"  {count} services, {agents}: " + "; ".join(map(told, found)), flush=True)
                rows += found
        flaps = lab.site_a.router.bfd_downs()
    return {"rows": rows, "empty_action_s": empty, "bfd_flaps": flaps, "host_cores": os.cpu_count(), "bars": bars(rows)}


def told(row: dict[str, Any]) -> str:
    """One phase in a few words."""
    return f"{row['phase']} {row['settled_s']:.1f} s, {row['transitions']} transitions"


def latency(lab: Lab) -> float:
    """Seconds that an action takes which does nothing: the median of nine monitors of a Dummy, on an idle node."""
    node = lab.site_a.nodes[0]
    node.run(EMPTY.format("start")).check()
    took = []
    for _ in range(9):
        begun = time.monotonic()
        node.run(EMPTY.format("monitor")).check()
        took.append(time.monotonic() - begun)
    node.run(EMPTY.format("stop")).check()
    return statistics.median(took)


class Story:
    """The phases of one composition."""

    def __init__(self, lab: Lab, count: int, agents: str) -> None:
        self._lab, self._count, self._agents = lab, count, agents
        self._pair = Pair(lab.site_a, count, agents)
        self._ours = agents == "anycast"

    def rows(self) -> list[dict[str, Any]]:
        """Play them all; the cluster is as it was afterwards."""
        first, second = (node.name for node in self._lab.site_a.nodes)
        rows = []
        mark = self._pair.load()
        loaded = time.time() - mark.at
        rows.append({**self._row("started", mark, self._all_run), "load_s": loaded})
        rows.append(self._rest())
        mark = self._pair.standby(first, True)
        rows.append(self._row("standby", mark, lambda: self._all_run() and self._only_on(second)))
        mark = self._pair.standby(first, False)
        rows.append(self._row("online", mark, self._all_run))
        if self._ours:
            self._pair.watch_tables()
            time.sleep(2)
        rows += [self._dead(), self._back()]
        if self._pair.gated:
            rows += self._gate_alone()
        self._pair.unload(LIMIT_S)
        return rows

    def _all_run(self) -> bool:
        if self._ours and len(self._pair.announced()) < self._count:
            return False
        return len(self._pair.running()) == self._count

    def _none_runs(self) -> bool:
        return not (self._ours and self._pair.announced()) and not self._pair.running()

    def _only_on(self, node: str) -> bool:
        return not self._ours or all(hops == [node] for hops in self._pair.announced().values())

    def _row(self, phase: str, mark: Mark, done: Any) -> dict[str, Any]:
        settled = self._pair.settle(mark, done, LIMIT_S, f"{self._count} services of {self._agents} agents: {phase}")
        row = {
            "services": self._count, "agents": self._agents, "phase": phase, "settled_s": settled - mark.at,
            "transitions": mark.transitions(), "cpu_s": mark.cpu_s(), "load": os.getloadavg()[0],
        }
        if self._ours and phase in ("standby", "online"):
            row["interrupted"] = sum(any(not hops for _, hops in moves) for moves in self._pair.routes(mark.at).values())
        return row

    def _rest(self) -> dict[str, Any]:
        mark = self._pair.mark()
        time.sleep(REST_S)
        share = mark.cpu_s() / (time.time() - mark.at) / len(self._lab.site_a.nodes)
        return {
            "services": self._count, "agents": self._agents, "phase": "rest", "settled_s": 0.0, "transitions": mark.transitions(),
            "cpu_percent": 100 * share, "load": os.getloadavg()[0],
        }

    def _dead(self) -> dict[str, Any]:
        mark, where = self._pair.mark(), self._pair.announced()
        if self._ours:
            died = self._pair.reals.stop()
        else:
            died = time.time()
            self._pair.set_attributes(0)
        row = self._row("dead", mark, self._none_runs)
        if self._ours:
            row.update(self._moments(died, where, alive=False))
        row.update(self._published(mark, died, alive=False))
        return row

    def _back(self) -> dict[str, Any]:
        mark = self._pair.mark()
        if self._ours:
            back = self._pair.reals.start()
        else:
            back = time.time()
            self._pair.set_attributes(2)
        row = self._row("back", mark, self._all_run)
        if self._ours:
            row.update(self._moments(back, self._pair.announced(), alive=True))
        row.update(self._published(mark, back, alive=True))
        return row

    def _gate_alone(self) -> list[dict[str, Any]]:
        """Dead and back while Pacemaker leaves everything as it is: what the daemon does to the routes by itself."""
        cluster = self._lab.site_a.cluster
        cluster.run("crm_attribute -n maintenance-mode -v true").check()
        cluster.wait_idle(LIMIT_S)
        rows, where = [], self._pair.announced()
        for phase, alive, change in (("gate shuts", False, self._pair.reals.stop), ("gate opens", True, self._pair.reals.start)):
            mark = self._pair.mark()
            at = change()
            wanted = self._count if alive else 0
            wait_for(lambda wanted=wanted: len(self._pair.announced()) == wanted, LIMIT_S, phase, every=1)  # type: ignore[misc]
            rows.append({
                "services": self._count, "agents": self._agents, "phase": phase, "settled_s": time.time() - mark.at,
                "transitions": mark.transitions(), "cpu_s": mark.cpu_s(), "load": os.getloadavg()[0],
                **self._moments(at, where, alive),
            })
        cluster.run("crm_attribute -n maintenance-mode -D").check()
        cluster.wait_idle(LIMIT_S)
        return rows

    def _moments(self, since: float, where: dict[str, list[str]], alive: bool) -> dict[str, float]:
        """When real servers were seen dead or alive by the table of the node that announces, and when routes went or came.

        Seconds after `since`; `worst_lag_s` is the longest time from the one to the other of any service.
        """
        seen: dict[str, float] = {}
        for (name, node), changes in self._pair.tables(since).items():
            if node in where.get(name, []):
                at = [moment for moment, count in changes if (count > 0) == alive]
                if at:
                    seen[name] = at[0]
        moved = {}
        for name, events in self._pair.routes(since).items():
            at = [moment for moment, hops in events if bool(hops) == alive]
            if at:
                moved[name] = at[-1]
        lags = [moved[name] - seen[name] for name in moved if name in seen]
        return {
            "first_detected_s": min(seen.values(), default=0) - since, "last_detected_s": max(seen.values(), default=0) - since,
            "first_route_s": min(moved.values(), default=0) - since, "last_route_s": max(moved.values(), default=0) - since,
            "worst_lag_s": max(lags, default=-1.0), "services_seen": len(lags),
        }

    def _published(self, mark: Mark, since: float, alive: bool) -> dict[str, float]:
        """When the first and the last attribute of either node fell to 0 or rose from it, seconds after `since`."""
        moments: dict[tuple[str, str], float] = {}
        for at, name, node in mark.attributes(lambda value: bool(value) == alive):
            moments.setdefault((name, node), at)
        return {
            "first_attribute_s": min(moments.values(), default=0) - since,
            "last_attribute_s": max(moments.values(), default=0) - since,
        }


def bars(rows: list[dict[str, Any]]) -> dict[str, bool]:
    """What the figures are held against."""
    by = {(row["services"], row["agents"], row["phase"]): row for row in rows}
    found = {}
    for count in COUNTS:
        ours, dummy = by[count, "anycast", "started"], by[count, "dummy", "started"]
        found[f"{count} services start in at most {DUMMY_FACTOR} times what Dummy agents take"] = (
            ours["settled_s"] <= DUMMY_FACTOR * dummy["settled_s"]
        )
        for phase, limit in (("dead", GONE_S), ("gate opens", THERE_S)):
            row = by.get((count, "anycast", phase), {"worst_lag_s": float("inf")})
            found[f"{count} services, {phase}: each route at most {limit} s after the verdict"] = 0 <= row["worst_lag_s"] <= limit
        for phase in ("dead", "back"):
            transitions = by[count, "anycast", phase]["transitions"]
            found[f"{count} services, {phase}: at most {HANDFUL} transitions"] = transitions <= HANDFUL
    return found
