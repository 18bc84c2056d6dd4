"""One agent under one rule: runs its actions, checks every answer against the basic rules, keeps the findings."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from ocfpy.testkit.executor import Executor, Result
from ocfpy.testkit.place import Place, Sandbox

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

DEFINED = {*range(10), 190, 191}
FAILURES = {1, 2, 4, 5, 6, 9, 190, 191}
RUNNING = (0, 190)
MAX_QUOTED = 200


class Subject:
    """An agent, with a valid configuration.

    path is the agent's file; prepare, binds and hide prepare a fresh sandbox for it (see Sandbox); here is for
    a machine that is discarded afterwards: no sandbox; limit_s is the timeout of every action.
    """

    def __init__(
        self,
        path: str,
        params: Mapping[str, str],
        prepare: str = "",
        binds: Mapping[str, str] | None = None,
        hide: Sequence[str] = (),
        here: bool = False,
        limit_s: float = 20.0,
    ) -> None:
        self.path = path
        self.params = dict(params)
        self.prepare = prepare
        self.binds = dict(binds or {})
        self.hide = hide
        self.here = here
        self.limit_s = limit_s

    def __str__(self) -> str:
        return f"{os.path.basename(os.path.dirname(self.path))}:{os.path.basename(self.path)}"

    def place(self) -> Place:
        """Where it is tested."""
        return Place() if self.here else Sandbox(self.binds, self.hide, self.prepare)


class Trial:
    """Runs actions of a subject in a place; findings are sentences, each there once."""

    def __init__(self, subject: Subject, place: Place) -> None:
        self.subject = subject
        self.place = place
        self.executor = Executor(place, subject.path, subject.params, "testkit")
        self.findings: list[str] = []

    def find(self, sentence: str) -> None:
        """Record a violation."""
        sentence = "".join(c if c.isprintable() else "?" for c in sentence)
        if sentence not in self.findings:
            self.findings.append(sentence)

    def run(self, action: str, *more: str, said: str = "", **options: object) -> Result:
        """Run an action and check its answer against the basic rules; said describes this call."""
        options.setdefault("timeout_s", self.subject.limit_s)
        result = self.executor.run(action, *more, **options)  # type: ignore[arg-type]
        what = f"{action or 'no action'}{f' {said}' if said else ''}"
        if "kill_after_s" in options:
            return result
        if result.code is None:
            self.find(f"{what} did not end before its timeout of {self.subject.limit_s:g} s")
            return result
        if result.code not in DEFINED:
            self.find(f"{what}: exit code {result.code} is not defined by OCF")
        if result.code in FAILURES and len(result.reasons) != 1:
            self.find(f"{what}: {len(result.reasons) or 'no'} exit reasons with exit code {result.code}, instead of one")
        if "Traceback (most recent call last)" in result.err:
            self.find(f"{what}: a traceback on stderr")
        if result.pipes_held:
            self.find(f"{what}: a process that was started holds stdout or stderr, which Pacemaker reads to the end")
        if result.left_in_group:
            self.find(f"{what}: a process was left in the agent's process group, which Pacemaker kills at a timeout")
        return result

    def expect(self, codes: Collection[int], action: str, *more: str, said: str = "", **options: object) -> Result:
        """Run an action that has to answer with one of the codes."""
        result = self.run(action, *more, said=said, **options)
        what = f"{action} {said}" if said else action
        if result.code is not None and result.code not in codes:
            wanted = " or ".join(map(str, codes))
            words = result.reasons or result.err.split("\n")
            last = next((line.strip() for line in reversed(words) if line.strip()), "")[:MAX_QUOTED]
            self.find(f"{what}: exit code {result.code}, not {wanted}{f' ({last})' if last else ''}")
        return result

    def metadata(self) -> ElementTree.Element:
        """The agent's metadata; an empty document when it cannot be parsed, which is a finding by itself."""
        try:
            return ElementTree.fromstring(self.executor.run("meta-data").out)
        except ElementTree.ParseError as error:
            self.find(f"meta-data is not XML: {error}")
            return ElementTree.Element("nothing")

    def parameters(self, required: bool = False) -> list[str]:
        """The names of its parameters."""
        found = [p for p in self.metadata().iter("parameter") if not required or p.get("required") in ("1", "true")]
        return [p.get("name", "") for p in found]

    def actions(self) -> set[str]:
        """The names of the actions that it advertises."""
        return {action.get("name", "") for action in self.metadata().iter("action")}

    def start(self) -> bool:
        """Return whether it starts; a failure is a finding."""
        return self.expect((0,), "start").code == 0

    def compare(self, before: set[str], after: str) -> None:
        """Record everything that was not there before."""
        for line in sorted(self.place.snapshot() - before):
            kind, _, what = line.partition(" ")
            what = what.partition(" ")[2] if kind == "process" else what
            self.find(f"{after} there is still {kind} {what[:MAX_QUOTED]}")
