"""Commands that change this node's attributes in Pacemaker's attribute manager. Each blocks until it is done or gives up."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ocfpy.ocf.attributes import delete_attribute, set_attribute, set_attributes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocfpy.ocf.context import Log

TIMEOUT_S = 5.0
ALL_TIMEOUT_S = 2.0
"""Shorter than TIMEOUT_S: attributes that one command did not set are then set by name."""
DAEMON = "pacemaker-attrd"
"""Its name in /proc/PID/comm, since Pacemaker 2.0."""


class Attrd:
    """Runs attrd_updater; a command that takes longer than TIMEOUT_S is killed and counts as refused."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._takes = False
        self._seen: frozenset[str] | None = None

    def is_new(self) -> bool:
        """Whether the daemon may have forgotten what it was told before the last call: it is another process, or cannot be seen.

        Where it cannot be seen and takes nothing, there is no cluster.
        """
        before, self._seen = self._seen, _processes()
        return self._seen != before or (not self._seen and self._takes)

    def put(self, name: str, value: int, dampen: str, first: bool) -> bool:
        """Set one attribute; return whether the cluster accepted it. Only the `first` refusal is logged."""
        self._takes = set_attribute(name, str(value), dampen, TIMEOUT_S, log=self._log if first else None)
        return self._takes

    def put_all(self, names: Sequence[str], value: int) -> bool:
        """Set existing attributes to one value by a single command; return whether the cluster accepted it.

        attrd silently skips attributes that it does not know. Pacemaker before 2.1.6 has no such command.
        """
        return set_attributes(names, str(value), ALL_TIMEOUT_S)

    def delete(self, name: str) -> bool:
        """Delete an attribute; return whether the cluster accepted it."""
        return delete_attribute(name, TIMEOUT_S)


def _processes() -> frozenset[str]:
    """Return the daemon's processes, of which there is one as a rule: each with its number and the time of its start."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                name, _, rest = file.read().partition("(")[2].rpartition(")")
        except OSError:
            continue  # it has ended
        if name == DAEMON:
            found.add(f"{pid} {rest.split()[19]}")  # proc(5): starttime is field 22
    return frozenset(found)
