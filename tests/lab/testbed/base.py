"""What every module of the test bed uses: one error, one result of a command, one way to wait."""
from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, TypeVar

T = TypeVar("T")

REPOSITORY = Path(__file__).resolve().parents[3]
VIP4 = "192.0.2.53"
VIP6 = "2001:db8:53::53"
VIPS = (VIP4, VIP6)
PRIORITY = -10
LAB = "/lab"
"""Where a node and a sandbox find the directory that they share with the host."""


class LabError(Exception):
    """The lab itself failed, or did not reach a state in time; the text holds the last state seen."""


@dataclass(frozen=True)
class Result:
    """What a command left behind: exit code (124: killed at its timeout), standard output, standard error."""

    command: str
    rc: int
    out: str
    err: str

    def check(self) -> Result:
        """Itself when the exit code is 0, else LabError with everything that was said."""
        if self.rc != 0:
            raise LabError(f"{self.command}: exit code {self.rc}\n{self.out}{self.err}".rstrip())
        return self


def host(*argv: str | Path, timeout: float = 60, check: bool = True, stdin: str | None = None) -> Result:
    """Run one command on the host; raises LabError unless it ends with 0 (or `check` is false)."""
    words = [str(word) for word in argv]
    command = " ".join(words)
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, input=stdin, errors="replace")
    except subprocess.TimeoutExpired as expired:
        raise LabError(f"{command}: no end after {timeout} s\n{expired.stdout!r}\n{expired.stderr!r}") from expired
    except FileNotFoundError as absent:
        raise LabError(f"{words[0]} is not installed on this host") from absent
    result = Result(command, done.returncode, done.stdout, done.stderr)
    return result.check() if check else result


def wait_for(probe: Callable[[], T], limit: float, what: str, every: float = 0.1) -> T:
    """First true value of probe(), asked every `every` seconds; LabError with the last value after `limit` seconds.

    A LabError out of the probe (a node that does not answer yet) is a state like any other.
    """
    end = time.monotonic() + limit
    while True:
        try:
            value = probe()
            last: object = value
            if value:
                return value
        except LabError as error:
            last = error
        if time.monotonic() >= end:
            raise LabError(f"{what}: not within {limit:g} s; last state: {last}")
        time.sleep(every)


def favour(pid: int) -> None:
    """Have the scheduler favour a process that stands for a machine of its own, over tests and builds on the same cores.

    With autogroups (a session is a group) a nice value counts only inside the group, and the group has one of its own.
    """
    autogroup = Path("/proc", str(pid), "autogroup")
    if autogroup.exists():
        autogroup.write_text(str(PRIORITY))
    else:
        os.setpriority(os.PRIO_PROCESS, pid, PRIORITY)


def in_order(*checks: Callable[[], object]) -> None:
    """Run every call even when one before it failed, then raise the first failure: for taking things down."""
    first: Exception | None = None
    for check in checks:
        try:
            check()
        except Exception as error:
            first = first or error
    if first is not None:
        raise first


def names(items: Sequence[str]) -> str:
    """Words for a message: "a, b"; "none" when there are none."""
    return ", ".join(items) or "none"
