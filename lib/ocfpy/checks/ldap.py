"""LDAP: the server accepts a bind, and finds the entries of a search."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ocfpy.checks.base import Check, CheckFailed, Stream
from ocfpy.checks.options import LoginOptions, Source, option, source
from ocfpy.checks.protocols.ldap import SIZE_LIMIT_EXCEEDED, SUCCESS, Disconnection, Entry, LdapConnection, Reference, Result
from ocfpy.checks.protocols.ldap_search import NO_ATTRIBUTES, Search, parse_search
from ocfpy.checks.words import said

# RFC 4511, A.1: the result codes that a check is likely to meet.
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


@dataclass(frozen=True)
class LdapOptions(LoginOptions):
    """What is searched for, and the text that an entry has to have."""

    request: Source[Search] = source(parse_search)
    expect: str = option()


class LdapCheck(Check):
    """Binds as `user` or anonymously, and searches for `request`, by default the server's own entry (root DSE).

    The search has to find an entry and, with `expect`, one with it in a line `dn: ...` or `attribute: value`.
    """

    options_type = LdapOptions
    options: LdapOptions

    async def attempt(self) -> None:
        connection = LdapConnection()
        with await self.open() as stream:
            if self.starttls:
                self.doing = "waiting for the answer to StartTLS"
                await self._succeed(stream, connection, connection.start_tls())
                connection.switch_to_tls()
                await self.start_tls(stream)
            self.doing = "waiting for the answer to the bind"
            user = self.options.user
            secret = self.value(self.options.secret) if user else ""
            if user and not secret:
                raise CheckFailed("check_secret is empty: a bind without a password would be anonymous")
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
        search = self.value(self.options.request)
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
    """Return the next answer to the last request. Raises CheckFailed, also for a notice of disconnection."""
    event = await stream.event(connection)
    if isinstance(event, Disconnection):
        _judge(event.result, "connection")
        raise CheckFailed("the answer belongs to another request")
    return event


def _judge(result: Result, what: str, *good: int) -> None:
    """Raise CheckFailed unless a result reports success."""
    if result.code not in (good or (SUCCESS,)):
        more = f": {said(result.text)}" if result.text else ""
        raise CheckFailed(f"{what}: {_RESULTS.get(result.code, 'result')} ({result.code}){more}")
