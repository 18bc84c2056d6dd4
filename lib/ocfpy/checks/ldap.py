"""LDAP: the server accepts a bind, and finds the entries of a search."""

from __future__ import annotations

import math

from ocfpy.checks.base import Check, CheckFailed, Stream
from ocfpy.checks.protocols.ldap import SIZE_LIMIT_EXCEEDED, SUCCESS, Disconnection, Entry, LdapConnection, Reference, Result
from ocfpy.checks.protocols.ldap_search import NO_ATTRIBUTES, parse_search
from ocfpy.checks.words import said

# RFC 4511, A.1: those that a check is likely to meet.
_RESULTS = {
    1: "operations error",
    2: "protocol error",
    3: "time limit exceeded",
    7: "the authentication method is not supported",
    8: "stronger authentication is required",
    10: "a referral",
    11: "an administrative limit was exceeded",
    13: "confidentiality is required (check_starttls, or ldaps)",
    32: "no such object",
    34: "not a valid DN",
    48: "inappropriate authentication",
    49: "invalid credentials",
    50: "access is denied",
    51: "the server is busy",
    52: "the server is unavailable",
    53: "the server is unwilling to perform",
    80: "an internal error of the server",
}


class LdapCheck(Check):
    """Binds as `user` or anonymously, and searches for `request`, by default the server's own entry (root DSE).

    The search has to find an entry and, with `expect`, one with it in a line `dn: ...` or `attribute: value`.
    """

    async def attempt(self) -> None:
        connection = LdapConnection()
        with await self.open() as stream:
            if self.settings.flag("starttls"):
                self.doing = "waiting for the answer to StartTLS"
                await self._succeed(stream, connection, connection.start_tls())
                connection.switch_to_tls()
                await self.start_tls(stream)
            self.doing = "waiting for the answer to the bind"
            user = self.settings["user"]
            secret = self.secret() if user else ""
            if user and not secret:
                raise CheckFailed("check_secret is empty, and a bind without a password is an anonymous one")
            await self._succeed(stream, connection, connection.bind(user, secret))
            self.doing = "waiting for the answer to the search"
            await self._search(stream, connection)
            await stream.send(connection.unbind())

    async def _succeed(self, stream: Stream, connection: LdapConnection, request: bytes) -> None:
        """Send a request that has one answer. Raises CheckFailed unless that is success."""
        await stream.send(request)
        event = await _answer(stream, connection)
        if isinstance(event, Result):
            _judge(event, connection.asked)

    async def _search(self, stream: Stream, connection: LdapConnection) -> None:
        search = self.parsed("request", parse_search)
        attributes = search.attributes or (() if self.matches else (NO_ATTRIBUTES,))
        await stream.send(connection.search(search, attributes, math.ceil(self.settings.timeout)))
        entries = 0
        found = False
        while not isinstance(event := await _answer(stream, connection), Result):
            if isinstance(event, Entry):
                entries += 1
                found = found or self.matches is None or any(map(self.matches, event.lines()))
        _judge(event, "search", SUCCESS, SIZE_LIMIT_EXCEEDED)
        if not entries:
            raise CheckFailed("the search finds no entry")
        if not found:
            raise CheckFailed(f"no '{self.expect}' in the {entries} entries found" if entries > 1 else
                              f"no '{self.expect}' in the entry found")  # fmt: skip


async def _answer(stream: Stream, connection: LdapConnection) -> Result | Entry | Reference:
    """The next answer to the last request. Raises CheckFailed, also when the server says that it ends the connection."""
    event = await stream.event(connection)
    if isinstance(event, Disconnection):
        _judge(event.result, "connection")
        raise CheckFailed("the answer is to another request")
    return event


def _judge(result: Result, what: str, *good: int) -> None:
    """Raises CheckFailed unless a result says that it went well."""
    if result.code not in (good or (SUCCESS,)):
        more = f": {said(result.text)}" if result.text else ""
        raise CheckFailed(f"{what}: {_RESULTS.get(result.code, 'result')} ({result.code}){more}")
