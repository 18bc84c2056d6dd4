"""UDP: the server's port is open and, if requested, answers as expected."""

from __future__ import annotations

from ocfpy.checks.base import Check, CheckFailed, TimedOut
from ocfpy.checks.ping import open_echo
from ocfpy.checks.tcp import ExchangeOptions


class UdpCheck(Check):
    """Sends one datagram, empty unless there is a `request`.

    With `expect` a datagram that contains it has to come back. Without, the check succeeds unless the host reports that the
    port is closed. A missing host does not report anything either, so it is pinged, too: the reply to the ping comes after
    the report about the port. (Not through the virtual service, which forwards no ping.)
    """

    options_type = ExchangeOptions
    options: ExchangeOptions

    async def attempt(self) -> None:
        with await self.open_datagrams() as server:
            server.send(self.value(self.options.request))
            if self.matches is not None:
                self.doing = f"waiting for '{self.expect}'"
                answer = await server.receive()
                if not self.matches(_text(answer)):
                    raise CheckFailed(f"no '{self.expect}' in the answer")
            elif self.way is not None:
                try:
                    await server.receive()
                except TimedOut:
                    pass
            else:
                try:
                    with await open_echo(self) as echo:
                        self.doing = "waiting for the reply to a ping"
                        await echo.replied()
                finally:
                    server.raise_error()  # even from a host that does not answer pings


def _text(data: bytes) -> str:
    r"""Return an answer as text; if it is not UTF-8, each byte is the character of its number, like \xHH in a pattern."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
