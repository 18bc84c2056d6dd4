"""The end of the story: the table beside the paper's figures, report.json and the picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from tests.lab.demo.scenes import Outcome


def table(outcomes: Sequence[Outcome]) -> Table:
    """Scene by scene: what was sent and lost, the longest gap, when the route had moved, the paper's figure."""
    made = Table(title="Two sites, one anycast address: what each event cost the clients")
    counts = ("sent", "lost", "longest gap", "lost coming back")
    for heading in ("", "event", *counts, "detected", "route moved", "paper (2010)", "bar", ""):
        made.add_column(heading, justify="right" if heading in counts else "left")
    for o in outcomes:
        made.add_row(
            *(o.key, o.title, str(o.sent), str(o.lost), seconds(o.gap), str(o.lost_coming_back)),
            *(seconds(o.detected), seconds(o.route_moved)),
            *(o.paper, o.bar, "[green]ok[/green]" if o.passed else f"[red]{o.why}[/red]"),
        )
    return made


def seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


def write(path: Path, outcomes: Sequence[Outcome], facts: dict[str, object]) -> None:
    """The same as JSON: `scenes` (times in seconds), and the facts of the lab that they were measured in."""
    scenes = [asdict(outcome) for outcome in outcomes]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"lab": facts, "scenes": scenes}, indent=2) + "\n")
