"""The fallback to the vty socket: the same two verbs by way of vtysh, 30 ms a call, whatever FRR makes of its
sockets.
"""

from __future__ import annotations

from ocfpy.bgp.errors import BgpdDead, BgpdHung, CommandRefused
from ocfpy.bgp.vty import RESPONSE_LIMIT_S
from ocfpy.ocf.errors import DeadlineError
from ocfpy.ocf.process import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocfpy.ocf.deadline import Deadline

_NOBODY = ("is not running", "failed to connect to any daemons")


class Vtysh:
    """bgpd behind vtysh; directory is where the vty sockets are.

    -d bgpd: no other daemon has a say. From FRR 9 on mgmtd would refuse `configure terminal` while somebody
    else is configuring anything.
    """

    __slots__ = ("_argv", "_deadline")

    def __init__(self, directory: str, deadline: Deadline) -> None:
        self._argv = ["vtysh", "--vty_socket", directory, "-d", "bgpd"]
        self._deadline = deadline

    def show(self, command: str) -> str:
        """The text of a show command. Raises what Vty.show raises, and NotInstalledError."""
        return self._run([command])

    def configure(self, lines: Iterable[str]) -> None:
        """Lines of configuration; vtysh stops at the first one that is refused."""
        self._run(["configure terminal", *lines])

    def configure_each(self, statements: Iterable[tuple[tuple[str, ...], str]]) -> dict[str, CommandRefused]:
        """As Vty.configure_each: by one vtysh, unless it stops at a statement that is refused, and then by one for each."""
        wanted = list(statements)
        try:
            self.configure(line for place, statement in wanted for line in (*place, statement))
            return {}
        except CommandRefused as refusal:
            if len(wanted) == 1:
                return {wanted[0][1]: refusal}
        refused: dict[str, CommandRefused] = {}
        for one in wanted:
            refused.update(self.configure_each([one]))
        return refused

    def _run(self, commands: list[str]) -> str:
        limit = min(RESPONSE_LIMIT_S, self._deadline.remaining())
        for command in commands:
            if not command.isprintable():  # vtysh takes a line break for the end of one command and the next
                raise ValueError(f"not a line for vtysh: {command[:64]!r}")
        try:
            done = run(
                [*self._argv, *(word for line in commands for word in ("-c", line))], limit, package="frr"
            )
        except DeadlineError:
            if limit < RESPONSE_LIMIT_S:
                raise
            raise BgpdHung(f"bgpd hangs: vtysh got no answer within {RESPONSE_LIMIT_S:g} s") from None
        if done.rc == 0:
            return done.out
        text = (done.out + done.err).strip()
        if any(sign in text for sign in _NOBODY):
            raise BgpdDead(f"bgpd does not run: vtysh says: {text}")
        raise CommandRefused(commands[-1], done.rc, text)
