"""Exceptions of checks."""

from __future__ import annotations


class CheckFailed(Exception):
    """The check failed; the text is the reason."""


class ProtocolError(CheckFailed):
    """The conversation cannot go on: the server speaks something else, says too much, or wants what is not done here."""


class NotMade(Exception):
    """This node could not make the check; the text says what it lacks."""
