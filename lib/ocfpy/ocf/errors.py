"""Exceptions by how far a failure reaches, as Pacemaker's scheduler distinguishes it.

Pacemaker reads the exit code of a failed action (lib/pengine/unpack.c): 6 stops the resource on every node,
2, 4 and 5 ban this node, 1 is a failure that another attempt may overcome.
"""

from __future__ import annotations

from ocfpy.ocf import codes


def one_line(text: str) -> str:
    """Return text as a single printable line: an exit reason ends at its first line break."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


class OcfError(Exception):
    """An action failed; code is its exit code and reason the sentence for the operator."""

    code = codes.OCF_ERR_GENERIC

    def __init__(self, reason: str) -> None:
        self.reason = one_line(reason)
        super().__init__(self.reason)


class ConfigError(OcfError):
    """The configuration is wrong, and would be on every node."""

    code = codes.OCF_ERR_CONFIGURED


class HostError(OcfError):
    """The configuration cannot work on this host, but may on another."""

    code = codes.OCF_ERR_ARGS


class NotInstalledError(OcfError):
    """A program, a kernel feature or a file that the resource needs is missing on this host."""

    code = codes.OCF_ERR_INSTALLED


class PermissionDeniedError(OcfError):
    """The agent lacks a permission; usually it does not run as root."""

    code = codes.OCF_ERR_PERM


class ServiceError(OcfError):
    """The service failed; another attempt, here or elsewhere, may work."""


class ClaimedError(ServiceError):
    """Another resource on this host holds what this one claims; it may be about to stop, for example after it was renamed."""


class DeadlineError(ServiceError):
    """Something did not happen before the action's time was over; the reason names it."""
