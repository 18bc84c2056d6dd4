"""SIP: the server answers OPTIONS, over UDP, TCP or TLS."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ocfpy.checks.base import Check, CheckFailed
from ocfpy.checks.expect import parse_sip_uri, parse_status
from ocfpy.checks.protocols.sip import Answer, SipConnection, authority, options_request

if TYPE_CHECKING:
    from ocfpy.checks.settings import CheckSettings
    from ocfpy.ocf.addresses import Address


class SipCheck(Check):
    """Sends OPTIONS to the server itself or to `request`, a SIP URI."""

    def __init__(self, address: Address, port: int, settings: CheckSettings) -> None:
        super().__init__(address, port, settings)
        self._own_uri = f"{'sips' if self.kind.tls else 'sip'}:{authority(self.host, port)}"
        self.wanted = [parse_status(word) for word in settings["status"].split()]

    async def attempt(self) -> None:
        call = os.urandom(8).hex()
        answer = await (self._over_tcp(call) if self._is_stream() else self._over_udp(call))
        if not any(answer.status in wanted for wanted in self.wanted):
            wanted = " or ".join(map(str, self.wanted))
            raise CheckFailed(f"SIP status {answer.status} {answer.phrase}, not {wanted}")

    def _is_stream(self) -> bool:
        return self.kind.tls or self.settings["transport"] == "tcp"

    async def _over_udp(self, call: str) -> Answer:
        connection = SipConnection(call)
        with await self.open_datagrams() as server:
            self.doing = "waiting for the answer"
            server.send(self._request(call, *server.local()))
            while (answer := connection.receive_datagram(await server.receive())) is None:
                pass
            return answer

    async def _over_tcp(self, call: str) -> Answer:
        with await self.open() as stream:
            self.doing = "waiting for the answer"
            await stream.send(self._request(call, *stream.local()))
            return await stream.event(SipConnection(call))

    def _request(self, call: str, host: str, port: int) -> bytes:
        uri = self.parsed("request", parse_sip_uri) if self.settings["request"] else self._own_uri
        transport = "TLS" if self.kind.tls else "TCP" if self._is_stream() else "UDP"
        return options_request(uri, transport, authority(host, port), call)
