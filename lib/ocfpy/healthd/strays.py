"""Kills processes that commands of checks leave behind: those that left the session of the command.

The checker is a child subreaper (prctl(2)): a process whose parents have ended becomes its child.
"""

from __future__ import annotations

import os
import signal
import sys

CHILDREN = "/proc/self/task/{}/children"


def end_strays() -> None:
    """Kill and reap children that are neither commands of checks nor in the session of one that runs."""
    commands = _commands()
    if commands is None:
        return
    for pid in _children():
        if pid in commands or _session(pid) in commands:
            continue
        try:
            os.kill(pid, signal.SIGKILL)  # the pid of a child is not reused before it is waited for
            os.waitpid(pid, os.WNOHANG)
        except OSError:
            pass  # it has ended; or it has changed its user, which a command with that permission may do


def end_commands() -> None:
    """Kill the running commands of checks, with their groups, and everything else that they left."""
    for pid in _commands() or ():
        try:
            os.killpg(pid, signal.SIGKILL)
        except OSError:
            pass
    for pid in _children():
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass


def _commands() -> set[int] | None:
    """The commands that run; None if no check has ever been a command."""
    external = sys.modules.get("ocfpy.checks.external")
    return None if external is None else external.running


def _children() -> list[int]:
    try:
        with open(CHILDREN.format(os.getpid()), encoding="ascii") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []  # a kernel without CONFIG_PROC_CHILDREN


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0
