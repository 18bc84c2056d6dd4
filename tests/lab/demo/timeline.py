"""The picture of a demo: answers per second by site, lost requests, and the route's moves, on one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.lab.testbed.report import Request

BIN = 0.5
"""Width of a column in seconds."""

SITE_COLOURS = {"a": "#2a6f97", "b": "#e09f3e"}
LOST_COLOUR = "#c1121f"
SCENE_SHADE = "#f1f1ee"


class Mark(NamedTuple):
    """A moment worth a line in the picture: when (seconds, time.time()) and what."""

    at: float
    text: str


class Span(NamedTuple):
    """A scene's stretch of time (seconds, time.time())."""

    key: str
    title: str
    begin: float
    end: float


def _per_second(times: Sequence[float], begin: float, columns: int) -> list[float]:
    counts = [0] * columns
    for at in times:
        index = int((at - begin) / BIN)
        if 0 <= index < columns:
            counts[index] += 1
    return [count / BIN for count in counts]


def draw(path: Path, requests: Sequence[Request], scenes: Sequence[Span], route_marks: Sequence[Mark]) -> None:
    """Write the picture as PNG; raises ValueError when there is nothing to draw."""
    if not requests:
        raise ValueError("no request was logged: nothing to draw")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    begin, end = min(request.sent for request in requests), max(request.sent for request in requests)
    columns = int((end - begin) / BIN) + 1
    axis = [index * BIN for index in range(columns)]
    sites = sorted({request.site for request in requests if request.site})

    figure, (answers, losses) = pyplot.subplots(
        2, 1, figsize=(14, 6.2), sharex=True, height_ratios=(4, 1), layout="constrained"
    )
    layers = [_per_second([f.sent for f in requests if f.site == site], begin, columns) for site in sites]
    answers.stackplot(
        axis,
        *layers,
        labels=[f"answered by site {site.upper()}" for site in sites],
        colors=[SITE_COLOURS.get(site, "#7f7f7f") for site in sites],
        step="post",
        alpha=0.9,
    )
    losses.bar(
        axis,
        _per_second([f.sent for f in requests if f.answered is None], begin, columns),
        width=BIN,
        align="edge",
        color=LOST_COLOUR,
        label="lost",
    )
    top = max(1.0, *(sum(column) for column in zip(*layers))) if layers else 1.0
    for scene in scenes:
        for panel in (answers, losses):
            panel.axvspan(scene.begin - begin, scene.end - begin, color=SCENE_SHADE, zorder=0)
        answers.text(scene.begin - begin, top * 1.18, f" ({scene.key})", va="top", fontsize=10, fontweight="bold")
    story = "   ".join(f"({scene.key}) {scene.title}" for scene in scenes)
    figure.supxlabel(f"Shaded: {story}; between them, what was broken comes back", fontsize=8)
    for number, mark in enumerate(route_marks):
        for panel in (answers, losses):
            panel.axvline(mark.at - begin, color="black", linewidth=0.7, linestyle=":")
        answers.text(
            mark.at - begin, top * (0.98 - 0.07 * (number % 4)), " " + mark.text, fontsize=6.5, va="top", ha="left"
        )
    answers.set_ylim(0, top * 1.2)
    answers.set_ylabel("answers per second")
    losses.set_ylabel("lost per second")
    losses.set_ylim(bottom=0)
    losses.set_xlabel("seconds since the first request")
    answers.legend(loc="lower right", fontsize=8)
    answers.set_title("Clients of the anycast addresses; dotted: the core router's route moves", fontsize=10)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
