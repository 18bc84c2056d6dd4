"""Exceptions of checks."""

from __future__ import annotations


class CheckFailed(Exception):
    """The check failed; the text is the reason."""


class NotMade(Exception):
    """This node could not make the check; the text says what it lacks."""
