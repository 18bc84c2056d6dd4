"""What a person at the terminal sees while the story is played: progress, who serves, who announces, the loss so far."""

from __future__ import annotations

import threading
import time
from typing import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from tests.lab.testbed import VIP4, VIP6, Lab
from tests.lab.testbed.client import Stream

REFRESH = 0.5
"""Seconds between two pictures."""

LINES_KEPT = 8
"""Steps of the story that stay in sight."""

PLAIN_EVERY = 5.0
"""Seconds between two status lines when the output is no terminal."""


class Board:
    """A live panel on a terminal, plain lines elsewhere; safe to write to from the story's thread."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        self._started = time.time()
        self._steps: list[str] = []
        self._title = ""
        self._facts: Callable[[], list[tuple[str, str]]] = list
        self._stop = threading.Event()
        self._live: Live | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Board:
        if self.console.is_terminal:
            self._live = Live(self._picture(), console=self.console, auto_refresh=False)
            self._live.start()
        self._thread = threading.Thread(target=self._keep_fresh, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join(timeout=5)
        if self._live:
            self._live.stop()

    def title(self, text: str) -> None:
        """A new scene begins."""
        self._title = text
        self._note(f"== {text}")

    def say(self, text: str) -> None:
        """A step within the scene."""
        self._note(text)

    def watch(self, lab: Lab, stream: Stream) -> None:
        """From now on show the state of this lab and this stream."""
        self._facts = lambda: facts(lab, stream)

    def _note(self, text: str) -> None:
        line = f"{time.time() - self._started:6.1f}s  {text}"
        self._steps.append(line)
        if not self._live:
            self.console.print(line, highlight=False, markup=False)

    def _keep_fresh(self) -> None:
        last_plain = time.time()
        while not self._stop.wait(REFRESH):
            if self._live:
                self._live.update(self._picture(), refresh=True)
            elif time.time() - last_plain >= PLAIN_EVERY:
                last_plain = time.time()
                line = "; ".join(f"{name}: {value}" for name, value in self._facts())
                if line:
                    self.console.print(f"         {line}", highlight=False, markup=False)

    def _picture(self) -> Panel:
        table = Table.grid(padding=(0, 2))
        for name, value in self._facts():
            table.add_row(Text(name, style="bold"), Text(value))
        steps = Text("\n".join(self._steps[-LINES_KEPT:]), style="dim")
        return Panel(Group(table, Text(), steps), title=self._title or "ocf-anycast", title_align="left")


def facts(lab: Lab, stream: Stream) -> list[tuple[str, str]]:
    """The few lines that tell the state of the whole: names and texts."""
    now = time.time()
    last = stream.report(since=now - 1.5, until=now - 0.5)
    total = stream.report()
    served = ", ".join(f"site {site.upper()} {count}/s" for site, count in sorted(last.by_site.items())) or "nobody"
    return [
        ("who serves", served),
        ("core's route", f"{VIP4} via {_names(lab.core.route_to(VIP4))}, {VIP6} via {_names(lab.core.route_to(VIP6))}"),
        ("who announces", "; ".join(f"{s.router.name}: {_names(s.router.route_to(VIP4))}" for s in lab.sites)),
        ("so far", f"{total.sent} requests, {total.lost} lost, longest gap {total.gap:.2f} s"),
    ]


def _names(hops: list[str]) -> str:
    return " + ".join(hops) or "nobody"
