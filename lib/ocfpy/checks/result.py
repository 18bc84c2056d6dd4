"""The result of one attempt of a check, without the code that makes checks: the keeper needs no more than this."""

from __future__ import annotations

import errno
from typing import NamedTuple

MAX_REASON = 300
"""Most characters of a reason that are kept."""

NODE_TROUBLES = {
    errno.EMFILE: "too many open files",
    errno.ENFILE: "too many open files in the system",
    errno.ENOMEM: "out of memory",
    errno.ENOBUFS: "no memory for the socket",
    errno.EAGAIN: "no free port, process or memory for it",
    errno.EADDRNOTAVAIL: "no free local port",
}
"""Errors of this node's own resources; a server cannot cause them (connect(2), socket(2), posix_spawn(3))."""


class Result(NamedTuple):
    """The result of a check; `reason` is empty when it is `ok`. `seconds` is its duration.

    `ok` is None when this node could not make the check: that is no information about the server, and changes no verdict.
    `weight` is the percentage of its configured weight that the server asks for, None when it asks for nothing.
    """

    ok: bool | None
    reason: str
    seconds: float
    weight: int | None = None


def not_made(why: str, seconds: float) -> Result:
    """Return the result of an attempt that this node could not make because of `why`."""
    return Result(None, f"this node could not make the check: {why}", seconds)
