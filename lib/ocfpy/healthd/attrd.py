"""The commands that change this node's attributes in Pacemaker's attribute manager. Each blocks until it is done or gives up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocfpy.ocf.attributes import delete_attribute, set_attribute, set_attributes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocfpy.ocf.context import Log

TIMEOUT_S = 5.0
ALL_TIMEOUT_S = 2.0
"""Shorter: what one command has not set is set by name."""


class Attrd:
    """Runs attrd_updater; a command that is not done after TIMEOUT_S is killed and counts as refused."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def put(self, name: str, value: int, dampen: str, first: bool) -> bool:
        """Set one attribute; whether the cluster took it. Why not is logged the `first` time: this node may be in no cluster."""
        return set_attribute(name, str(value), dampen, TIMEOUT_S, log=self._log if first else None)

    def put_all(self, names: Sequence[str], value: int) -> bool:
        """Set attributes that exist to one value by a single command; whether the cluster took it.

        Those that attrd does not know are left out without a word, and before Pacemaker 2.1.6 there is no such command.
        """
        return set_attributes(names, str(value), ALL_TIMEOUT_S)

    def delete(self, name: str) -> bool:
        """Delete an attribute; whether the cluster took it."""
        return delete_attribute(name, TIMEOUT_S)
