"""Kills the actions of an agent made with ocfpy at every step with an effect, and at many others; judges what is left."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from ocfpy.ocf.codes import OCF_ERR_GENERIC
from ocfpy.testkit.trial import RUNNING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ocfpy.testkit.executor import Executor, Result

ALL = "all"
NOTHING = "nothing"
BEGIN_STOPPED = ("start", "migrate_from")
COUNTED = "/run/testkit-steps"
KILLED = -9
COMING_UP_S = 5.0
"""How long a daemon that a killed action has started may take until a probe can tell."""


class Campaign:
    """One resource that is killed again and again.

    executor runs its actions, in a place made for it; target is its class as MODULE:CLASS and library the
    directory that has it, both as seen in that place. truth looks at the service itself, not through the
    agent, and returns "all", "nothing" or any other word for a state between. findings are sentences, counts how often
    it was killed where.
    """

    def __init__(
        self, executor: Executor, target: str, library: str, truth: Callable[[], str], seed: int = 0, limit_s: float = 20.0
    ) -> None:
        self.executor = executor
        self.truth = truth
        self.findings: list[str] = []
        self.counts: dict[str, int] = {}
        self._target = target
        self._killer = f"{library}/ocfpy/testkit/killer.py"
        self._random = random.Random(seed)
        self._limit_s = limit_s
        self._is_running = False
        self._turn = 0

    def run(self, actions: Sequence[str], lines: int, times: int) -> None:
        """Kill each action before every effect, before `lines` random lines and at `times` random moments."""
        before = self.executor.place.snapshot()
        for action in actions:
            effects, seconds = self._measure(action, "effect")
            for step in range(1, effects + 1):
                self._at_step(action, "effect", step)
            total, _ = self._measure(action, "line")  # several times as slow as the action itself
            for step in sorted(self._random.sample(range(1, total + 1), min(lines, total))):
                self._at_step(action, "line", step)
            for _ in range(times):
                self._at_moment(action, self._random.uniform(0, seconds))
        self._expect("stop", (0,), NOTHING)
        self.executor.place.run("rm", "-f", COUNTED)
        for line in sorted(self.executor.place.snapshot() - before):
            self.findings.append(f"in the end there is still {line}")

    def _measure(self, action: str, where: str) -> tuple[int, float]:
        """Return how many steps an action takes without being killed, and how many seconds."""
        self._begin(action)
        result = self._step_by_step(action, where, 0)
        if result.code not in RUNNING:
            self.findings.append(f"{action}: exit code {result.code} without being killed {result.reasons}")
        self._is_running = action != "stop"
        counted = self.executor.place.run("cat", COUNTED).stdout
        return int(counted or 0), result.seconds

    def _at_step(self, action: str, where: str, step: int) -> None:
        self._begin(action)
        code = self._step_by_step(action, where, step).code
        if code == KILLED:  # actions that depend on the time may take fewer steps than were counted
            self._count(action, where)
        self._judge(f"{action} killed at {where} {step}")

    def _at_moment(self, action: str, seconds: float) -> None:
        self._begin(action)
        if self.executor.run(action, kill_after_s=seconds, timeout_s=self._limit_s).code is None:
            self._count(action, "moment")
        self._judge(f"{action} killed after {seconds * 1000:.0f} ms")

    def _count(self, action: str, where: str) -> None:
        name = f"{action}/{where}"
        self.counts[name] = self.counts.get(name, 0) + 1

    def _step_by_step(self, action: str, where: str, step: int) -> Result:
        # The executor adds the agent's path and the action: for the killer that is one more argument, and ignored.
        under = ["/usr/bin/python3", "-IS", self._killer, where, str(step), COUNTED, self._target, action]
        return self.executor.run(action, under=under, timeout_s=self._limit_s)

    def _begin(self, action: str) -> None:
        wanted = action not in BEGIN_STOPPED
        if wanted != self._is_running:
            self._expect("start" if wanted else "stop", (0,), ALL if wanted else NOTHING)
            self._is_running = wanted

    def _judge(self, what: str) -> None:
        """Require that monitor tells the truth, and that start and stop, in turn, get to the right state."""
        until = time.monotonic() + COMING_UP_S
        while True:
            before = self.truth()
            probe = self.executor.run("monitor", timeout_s=self._limit_s)
            # A started daemon goes on by itself: the probe may have seen the state before, after, or between.
            truths = {before, self.truth()}
            if any(_agree(probe.code, truth) for truth in truths):
                break
            # While a daemon comes up, an agent may say that it cannot tell. A wrong answer it must never give.
            if probe.code != OCF_ERR_GENERIC or time.monotonic() > until:
                self.findings.append(f"{what}: a probe says {probe.code} {probe.reasons}, and there is {' or '.join(truths)}")
                break
        self._turn += 1
        self._is_running = bool(self._turn % 2)
        self._expect(*(("start", (0,), ALL) if self._is_running else ("stop", (0,), NOTHING)), what)

    def _expect(self, action: str, codes: tuple[int, ...], wanted: str, after: str = "") -> None:
        result = self.executor.run(action, timeout_s=self._limit_s)
        truth = self.truth()
        if result.code not in codes or truth != wanted:
            said = f"exit code {result.code} {result.reasons}"
            self.findings.append(f"{action} after {after or 'another'}: {said}, and there is {truth}")
        probe = self.executor.run("monitor", timeout_s=self._limit_s)
        if probe.code not in (RUNNING if wanted == ALL else (7,)):
            self.findings.append(f"a probe after {action} after {after or 'another'}: exit code {probe.code} {probe.reasons}")


def _agree(code: int | None, truth: str) -> bool:
    """Whether a probe's exit code is right for the state; a failure is, unless nothing is in place."""
    if code in RUNNING:
        return truth == ALL
    return truth == NOTHING if code == 7 else code == 1 and truth != NOTHING
