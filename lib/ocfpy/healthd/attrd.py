"""Commands that change this node's attributes in Pacemaker's attribute manager. Each blocks until it is done or gives up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocfpy.ocf.attributes import delete_attribute, set_attribute, set_attributes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocfpy.ocf.context import Log

TIMEOUT_S = 5.0
ALL_TIMEOUT_S = 2.0
"""Shorter than TIMEOUT_S: attributes that one command did not set are then set by name."""


class Attrd:
    """Runs attrd_updater; a command that takes longer than TIMEOUT_S is killed and counts as refused."""

    def __init__(self, log: Log) -> None:
        self._log = log

    def put(self, name: str, value: int, dampen: str, first: bool) -> bool:
        """Set one attribute; return whether the cluster accepted it. Only the `first` refusal is logged."""
        return set_attribute(name, str(value), dampen, TIMEOUT_S, log=self._log if first else None)

    def put_all(self, names: Sequence[str], value: int) -> bool:
        """Set existing attributes to one value by a single command; return whether the cluster accepted it.

        attrd silently skips attributes that it does not know. Pacemaker before 2.1.6 has no such command.
        """
        return set_attributes(names, str(value), ALL_TIMEOUT_S)

    def delete(self, name: str) -> bool:
        """Delete an attribute; return whether the cluster accepted it."""
        return delete_attribute(name, TIMEOUT_S)
