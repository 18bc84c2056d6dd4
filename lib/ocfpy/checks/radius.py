"""RADIUS: the server accepts a user or, without one, answers Status-Server; every answer proves the shared secret."""

from __future__ import annotations

from dataclasses import dataclass

from ocfpy.checks.base import Check, CheckFailed
from ocfpy.checks.options import NetworkOptions, Source, option, source
from ocfpy.checks.protocols.radius import ACCEPT, ACCOUNTING_RESPONSE, CHALLENGE, REJECT, Answer, RadiusExchange
from ocfpy.checks.words import said
from ocfpy.ocf.errors import HostError


@dataclass(frozen=True)
class RadiusOptions(NetworkOptions):
    """The secret that is shared with the server, and who logs in with which password."""

    secret: Source[str] = source()
    user: str = option()
    password: Source[str] = source()


class RadiusCheck(Check):
    """Sends Access-Request for `user` with its `password`, or Status-Server without a user; `secret` is the shared secret."""

    options_type = RadiusOptions
    options: RadiusOptions

    async def attempt(self) -> None:
        user = self.options.user
        shared = self.value(self.options.secret).encode()
        if not shared:
            raise HostError("check_secret is empty: set the secret that this node shares with the RADIUS servers")
        exchange = RadiusExchange(shared)
        request = exchange.request(user, self.value(self.options.password) if user else "")
        with await self.open_datagrams() as server:
            self.doing = "waiting for the answer"
            server.send(request)
            while not isinstance(event := exchange.receive_datagram(await server.receive()), Answer):
                if event is not None:
                    self.doing = "waiting for an answer that proves the shared secret (check_secret)"
        judge(event, user)


def judge(answer: Answer, user: str) -> None:
    """Raise CheckFailed unless a genuine answer reports success."""
    code = answer.code
    if code == ACCEPT or (code == ACCOUNTING_RESPONSE and not user):
        return
    more = f": {said(answer.text)}" if answer.text else ""
    words = {REJECT: "is rejected", CHALLENGE: "is challenged for more than a password"}
    raise CheckFailed(f"user {user} {words.get(code, f'is answered with code {code}')}{more}" if user else
                      f"Status-Server is answered with code {code}{more}")  # fmt: skip
