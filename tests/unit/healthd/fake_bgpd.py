"""A bgpd of a few lines behind the two verbs that the gate uses, with the faults that a real one has."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable

from ocfpy.bgp.errors import CommandRefused


class FakeBgpd:
    """Keeps `network` statements by prefix. sessions holds the statements of each configuration session.

    error is raised by everything; hang, an event, holds up everything until it is set; with deaf it takes statements and does
    nothing.
    """

    def __init__(self) -> None:
        self.statements: dict[str, str] = {}
        self.sessions: list[list[str]] = []
        self.error: Exception | None = None
        self.hang: threading.Event | None = None
        self.deaf = False
        self.denied: set[str] = set()

    def show(self, command: str) -> str:
        self._trouble()
        prefix = command.split()[-2]
        if prefix in self.statements and prefix not in self.denied:
            return json.dumps({"paths": [{"local": True, "sourced": True, "valid": True, "bestpath": {"overall": True}}]})
        return "{}"

    def configure(self, lines: Iterable[str]) -> None:
        raise AssertionError(f"the gate runs statements one by one: {list(lines)}")

    def configure_each(self, statements: Iterable[tuple[tuple[str, ...], str]]) -> dict[str, CommandRefused]:
        self._trouble()
        refused: dict[str, CommandRefused] = {}
        session: list[str] = []
        for _, statement in statements:
            session.append(statement)
            words = statement.split()
            if self.deaf:
                continue
            if words[0] == "network":
                self.statements[words[1]] = " ".join(words[2:])
            elif self.statements.pop(words[2], None) is None:
                refused[statement] = CommandRefused(statement, 13, "% Can't find static route specified")
        self.sessions.append(session)
        return refused

    def _trouble(self) -> None:
        if self.hang is not None:
            assert self.hang.wait(60)
        if self.error is not None:
            raise self.error
