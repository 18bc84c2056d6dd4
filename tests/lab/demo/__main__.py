"""`make demo`: build the lab, play the failover story live, and leave build/demo/report.json and timeline.png."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from tests.lab.demo import report, timeline
from tests.lab.demo.board import Board
from tests.lab.demo.scenes import STORY, Outcome, Stage, run
from tests.lab.testbed import VIP4, VIP6, Lab
from tests.lab.testbed.report import Request

OUT = Path("build/demo")

INTERVAL = 0.02
"""Seconds between two requests of each kind."""

WARM_UP = 3.0
"""Seconds of traffic before the first event."""


def play(board: Board) -> tuple[list[Outcome], dict[str, object]]:
    """Build, boot, play every scene; returns the outcomes and the facts of the lab, and draws the picture."""
    board.title("building and booting the lab")
    with Lab() as lab:
        board.say("Corosync and Pacemaker come up")
        lab.start_clusters()
        board.say("crm configure load update: the cluster's configuration as a user would load it")
        lab.load_examples()
        for vip in (VIP4, VIP6):
            lab.core.wait_route(vip, "router-a", limit=120)
        stream = lab.client.stream(interval=INTERVAL)
        board.watch(lab, stream)
        time.sleep(WARM_UP)
        facts = facts_of(lab)
        stage = Stage(lab, stream, board.say)
        stage.wait_pair()
        outcomes = []
        for scene in STORY:
            board.title(f"({scene.key}) {scene.title}")
            outcomes.append(run(scene, stage))
            last = outcomes[-1]
            board.say(f"sent {last.sent}, lost {last.lost}, gap {last.gap:.2f} s: {last.why or 'ok'}")
        stream.stop()
        draw(lab, stream.report().requests, outcomes)
        return outcomes, facts


def facts_of(lab: Lab) -> dict[str, object]:
    """What the figures were measured on: versions and sizes."""
    node = lab.site_a.nodes[0]
    return {
        "host_cores": os.cpu_count(),
        "nodes": [n.name for n in lab.nodes],
        "node_kernel": node.run("uname -r").check().out.strip(),
        "node_frr": node.run("dpkg-query -W -f '${Version}' frr").check().out,
        "node_pacemaker": node.run("dpkg-query -W -f '${Version}' pacemaker").check().out,
        "request_interval_s": INTERVAL,
    }


def draw(lab: Lab, requests: Sequence[Request], outcomes: list[Outcome]) -> None:
    """The timeline of everything that was sent, the scenes shaded, the core's route events marked."""
    spans = [timeline.Span(o.key, o.title, o.begin, o.end) for o in outcomes]
    first = min(r.sent for r in requests)
    marks = [
        timeline.Mark(e.at, " + ".join(e.next_hops) or "no route")
        for e in lab.core.events
        if e.prefix.startswith(VIP4) and e.at >= first
    ]
    OUT.mkdir(parents=True, exist_ok=True)
    timeline.draw(OUT / "timeline.png", requests, spans, marks)


def main() -> int:
    """Exit code 0 when every bar was met, 1 when one was missed."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    with Board(console) as board:
        outcomes, facts = play(board)
    report.write(OUT / "report.json", outcomes, facts)
    console.print(report.table(outcomes))
    console.print(f"{OUT / 'report.json'}, {OUT / 'timeline.png'}", highlight=False)
    return 0 if all(outcome.passed for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
