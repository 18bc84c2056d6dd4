"""How a check ends other than well."""

from __future__ import annotations


class CheckFailed(Exception):
    """The server is not fine; the text says why."""


class NotMade(Exception):
    """This node could not make the check; the text says what it lacks."""
