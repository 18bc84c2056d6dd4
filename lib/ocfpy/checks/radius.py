"""RADIUS: the server accepts a user or, without one, answers Status-Server; every answer proves the shared secret."""

from __future__ import annotations

from ocfpy.checks.base import Check, CheckFailed
from ocfpy.checks.protocols.radius import ACCEPT, ACCOUNTING_RESPONSE, CHALLENGE, REJECT, Answer, RadiusExchange
from ocfpy.checks.words import said
from ocfpy.ocf.errors import HostError


class RadiusCheck(Check):
    """Sends Access-Request for `user` with its `password`, or Status-Server without a user; `secret` is the shared secret."""

    async def attempt(self) -> None:
        user = self.settings["user"]
        shared = self.secret().encode()
        if not shared:
            raise HostError("check_secret is empty: it is the secret that this node shares with the RADIUS servers")
        exchange = RadiusExchange(shared)
        request = exchange.request(user, self.secret("password") if user else "")
        with await self.open_datagrams() as server:
            self.doing = "waiting for the answer"
            server.send(request)
            while not isinstance(event := exchange.receive_datagram(await server.receive()), Answer):
                if event is not None:
                    self.doing = "waiting for an answer that proves the shared secret (check_secret)"
        judge(event, user)


def judge(answer: Answer, user: str) -> None:
    """Raises CheckFailed unless a genuine answer says that all is well."""
    code = answer.code
    if code == ACCEPT or (code == ACCOUNTING_RESPONSE and not user):
        return
    more = f": {said(answer.text)}" if answer.text else ""
    words = {REJECT: "is rejected", CHALLENGE: "is challenged for more than a password"}
    raise CheckFailed(f"user {user} {words.get(code, f'is answered with code {code}')}{more}" if user else
                      f"Status-Server is answered with code {code}{more}")  # fmt: skip
