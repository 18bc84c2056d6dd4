"""Errors between an agent and bgpd; a hung bgpd, a dead one and one that refuses need different
reactions.
"""

from __future__ import annotations

from ocfpy.ocf.errors import ServiceError


class FrrError(ServiceError):
    """Base of all of them."""


class CommandRefused(FrrError):
    """bgpd refused a command: command, status (lib/command.h, CMD_*) and bgpd's text."""

    def __init__(self, command: str, status: int, text: str) -> None:
        self.command = command
        self.status = status
        self.text = text
        super().__init__(f"bgpd refused `{command}`: {text.strip() or f'status {status}'}")


class UnknownAnswer(FrrError):
    """bgpd's JSON has another shape than that of FRR 8.4 to 10.3. where is the command and the keys that lead there."""

    def __init__(self, where: str, wanted: str, value: object) -> None:
        super().__init__(f"bgpd's answer to {where} is not {wanted} but {str(value)[:64]!r}: this FRR is not supported")


class BgpdHung(FrrError):
    """bgpd accepted the command, or the connection, but does not answer and uses no processor time. It keeps its sessions and
    its routes meanwhile.
    """


class BgpdDead(FrrError):
    """bgpd does not run: no process listens, or it ended in the middle."""
