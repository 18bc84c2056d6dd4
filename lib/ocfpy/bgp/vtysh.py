"""The alternative to the vty socket: the same two verbs through vtysh, 30 ms a call, which works with any change of FRR's
sockets.
"""

from __future__ import annotations

from ocfpy.bgp.errors import BgpdDead, BgpdHung, CommandRefused
from ocfpy.bgp.process import Progress, pid_from_file
from ocfpy.bgp.vty import RESPONSE_LIMIT_S, listener_pid
from ocfpy.ocf.errors import DeadlineError
from ocfpy.ocf.process import run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocfpy.ocf.deadline import Deadline
    from ocfpy.ocf.process import Completed

_NOBODY = ("is not running", "failed to connect to any daemons")


class Vtysh:
    """bgpd behind vtysh; directory is where the vty sockets are.

    -d bgpd: no other daemon is involved. From FRR 9 on mgmtd would refuse `configure terminal` while another
    session is configuring anything.
    """

    __slots__ = ("_argv", "_deadline", "_socket")

    def __init__(self, directory: str, deadline: Deadline) -> None:
        self._argv = ["vtysh", "--vty_socket", directory, "-d", "bgpd"]
        self._socket = f"{directory}/bgpd.vty"
        self._deadline = deadline

    def show(self, command: str) -> str:
        """Return the text of a show command. Raises what Vty.show raises, and NotInstalledError."""
        return self._run([command])

    def configure(self, lines: Iterable[str]) -> None:
        """Run lines of configuration; vtysh stops at the first one that is refused."""
        self._run(["configure terminal", *lines])

    def configure_each(self, statements: Iterable[tuple[tuple[str, ...], str]]) -> dict[str, CommandRefused]:
        """Like Vty.configure_each: with one vtysh, unless it stops at a refused statement, and then with one for each."""
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
        for command in commands:
            if not command.isprintable():  # vtysh treats a line break as the end of one command and the next
                raise ValueError(f"not a line for vtysh: {command[:64]!r}")
        done = self._vtysh([*self._argv, *(word for line in commands for word in ("-c", line))])
        if done.rc == 0:
            return done.out
        text = (done.out + done.err).strip()
        if any(sign in text for sign in _NOBODY):
            raise BgpdDead(f"bgpd does not run: vtysh says: {text}")
        raise CommandRefused(commands[-1], done.rc, text)

    def _vtysh(self, argv: list[str]) -> Completed:
        """Run it; once more with twice the time while bgpd is at work. Every command may be repeated."""
        progress = Progress(listener_pid(self._socket) or pid_from_file(self._socket))
        limit = RESPONSE_LIMIT_S
        while True:
            seconds = min(limit, self._deadline.remaining())
            try:
                return run(argv, seconds, package="frr")
            except DeadlineError:
                if seconds < limit:
                    busy = ", which is busy," if limit > RESPONSE_LIMIT_S else ""
                    raise self._deadline.error(f"bgpd{busy} to answer vtysh") from None
                if not progress.is_made():
                    raise BgpdHung(
                        f"bgpd hangs: vtysh got no answer within {limit:g} s, and bgpd uses no processor time"
                    ) from None
                limit *= 2
