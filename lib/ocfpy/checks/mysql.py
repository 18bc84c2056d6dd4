"""MySQL and MariaDB: the server sends its greeting or, if there is a user, accepts a login and answers a query.

The protocol is in protocols/mysql.py: the packaged libraries block, continue in the clear when a server does not offer the
required TLS, and send the password to any server that asks for it in the clear.
"""

from __future__ import annotations

from ocfpy.checks.base import Check, CheckFailed, Stream
from ocfpy.checks.protocols.mysql import Done, Event, Greeting, MysqlConnection, Row, ServerError
from ocfpy.checks.sql import QUERY, SqlOptions


class MysqlCheck(Check):
    """Logs in as `user` and sends the query `request`; with `expect` one of the rows has to contain it."""

    options_type = SqlOptions
    options: SqlOptions

    async def attempt(self) -> None:
        user = self.options.user
        connection = MysqlConnection(user, self.value(self.options.secret), self.options.database, self.speaks_tls)
        with await self.open() as stream:
            self.doing = "waiting for the greeting"
            greeting = await _next(stream, connection, "greeting")
            if self.starttls:
                if not (isinstance(greeting, Greeting) and greeting.offers_tls):
                    raise CheckFailed("the server does not offer TLS")
                await stream.send(connection.request_tls())
                connection.switch_to_tls()
                await self.start_tls(stream)
            if not user:
                return
            self.doing = f"logging in as {user}"
            await stream.send(connection.log_in())
            await _next(stream, connection, f"login as {user}")
            self.doing = "waiting for the answer to the query"
            await self._ask(stream, connection)
            await stream.send(connection.quit())

    async def _ask(self, stream: Stream, connection: MysqlConnection) -> None:
        await stream.send(connection.query(self.value(self.options.request) or QUERY))
        found = self.matches is None
        while not isinstance(event := await _next(stream, connection, "query"), Done):
            found = found or (isinstance(event, Row) and self.matches is not None and self.matches(event.text()))
        if not found:
            raise CheckFailed(f"no '{self.expect}' in the answer to the query")


async def _next(stream: Stream, connection: MysqlConnection, what: str) -> Event:
    """Return the next event; an error of the server is a failure of `what`. Raises CheckFailed."""
    event = await stream.event(connection)
    if isinstance(event, ServerError):
        raise CheckFailed(f"{what}: {event.text}")
    return event
