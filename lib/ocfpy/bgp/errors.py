"""What can go wrong between an agent and bgpd; a hung bgpd, a dead one and one that refuses need different
answers.
"""

from __future__ import annotations

from ocfpy.ocf.errors import ServiceError


class FrrError(ServiceError):
    """Base of the three."""


class CommandRefused(FrrError):
    """bgpd answered, and the answer was no: command, status (lib/command.h, CMD_*) and bgpd's text."""

    def __init__(self, command: str, status: int, text: str) -> None:
        self.command = command
        self.status = status
        self.text = text
        super().__init__(f"bgpd refused `{command}`: {text.strip() or f'status {status}'}")


class BgpdHung(FrrError):
    """bgpd took the command, or the connection, and does not answer. It keeps its sessions and its routes
    meanwhile.
    """


class BgpdDead(FrrError):
    """There is no bgpd: nobody listens, or it went away in the middle."""
