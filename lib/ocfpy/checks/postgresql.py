"""PostgreSQL: the server accepts connections or, if there is a user, accepts a login and answers a query.

The protocol is in protocols/postgresql.py, because no library takes a connected socket, and without that the checks would lose
their source address, their mark and their timeout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocfpy.checks.base import Check, CheckFailed, Stream
from ocfpy.checks.protocols.postgresql import Event, PostgresqlConnection, Ready, Row, ServerError, TlsAnswer
from ocfpy.checks.sql import QUERY, SqlOptions

if TYPE_CHECKING:
    from ocfpy.checks.protocols.scram import Keys
    from ocfpy.checks.settings import CheckSettings
    from ocfpy.ocf.addresses import Address

NOBODY = "postgres"
"""The user name in the request when there is no user to log in as, like pg_isready."""
# The errors of a server that accepts no connections: shutting down or starting, and too many connections.
_CLOSED = ("57P01", "57P02", "57P03", "53300")


class PostgresqlCheck(Check):
    """Logs in as `user` and sends the query `request`; with `expect` one of the rows has to contain it."""

    options_type = SqlOptions
    options: SqlOptions

    def __init__(self, address: Address, port: int, settings: CheckSettings) -> None:
        super().__init__(address, port, settings)
        self._keys: Keys = {}

    async def attempt(self) -> None:
        user = self.options.user
        password = self.value(self.options.secret) if user else None
        connection = PostgresqlConnection(user or NOBODY, password, self.speaks_tls, self._keys)
        with await self.open() as stream:
            if self.starttls:
                self.doing = "waiting for the answer to the request for TLS"
                await stream.send(connection.request_tls())
                if await stream.event(connection) != TlsAnswer(True):
                    raise CheckFailed("the server does not offer TLS")
                connection.switch_to_tls()
                await self.start_tls(stream)
            self.doing = "waiting for the answer to the start of a session"
            await stream.send(connection.start(self.options.database or user or NOBODY))
            if not user:
                _judge_openness(await stream.event(connection))
                return
            self.doing = f"logging in as {user}"
            await _next(stream, connection, f"login as {user}")
            self.doing = "waiting for the answer to the query"
            await self._ask(stream, connection)
            await stream.send(connection.terminate())

    async def _ask(self, stream: Stream, connection: PostgresqlConnection) -> None:
        await stream.send(connection.query(self.value(self.options.request) or QUERY))
        found = self.matches is None
        while not isinstance(event := await _next(stream, connection, "query"), Ready):
            found = found or (isinstance(event, Row) and self.matches is not None and self.matches(event.text()))
        if not found:
            raise CheckFailed(f"no '{self.expect}' in the answer to the query")


def _judge_openness(event: Event) -> None:
    """Accept any reply but 'not accepting connections', like pg_isready."""
    if isinstance(event, ServerError) and event.code in _CLOSED:
        raise CheckFailed(event.text)


async def _next(stream: Stream, connection: PostgresqlConnection, what: str) -> Event:
    """Return the next event; an error of the server is a failure of `what`. Raises CheckFailed."""
    event = await stream.event(connection)
    if isinstance(event, ServerError):
        raise CheckFailed(f"{what}: {event.text}")
    return event
