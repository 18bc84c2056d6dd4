"""POP3 (RFC 1939, RFC 2449), the client's side: what a line of a server means."""

from __future__ import annotations

from ocfpy.checks.errors import ProtocolError
from ocfpy.checks.words import said

END = b"."
"""The line after the last one of an answer that has several."""


def is_positive(line: bytes) -> bool:
    """Whether a status line is +OK; False for -ERR. Raises ProtocolError for anything else."""
    if line.startswith(b"+OK"):
        return True
    if line.startswith(b"-ERR"):
        return False
    raise ProtocolError(f"not a POP3 answer: {said(line) or 'an empty line'}")


def capability_in(line: bytes) -> bytes:
    """The name of the capability that a line of the answer to CAPA is about, in capitals."""
    return line.upper().partition(b" ")[0]
