"""UDP: the server's port is open and, if asked for, answers what it should."""

from __future__ import annotations

from ocfpy.checks.base import Check, CheckFailed, TimedOut
from ocfpy.checks.ping import open_echo
from ocfpy.checks.tcp import ExchangeOptions


class UdpCheck(Check):
    """Sends one datagram, empty unless there is a `request`.

    With `expect` a datagram has to come back that has it. Without, the server is fine unless its host says that the
    port is closed. As a host that is gone says nothing either, it is pinged, too: an answer to the ping comes after
    the word about the port. (Not by way of the virtual service, which forwards no ping.)
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
                    server.raise_error()  # even of a host that leaves pings without an answer


def _text(data: bytes) -> str:
    r"""An answer as text; where it is not UTF-8 each byte is the character of its number, as \xHH in a pattern."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
