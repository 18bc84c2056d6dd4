"""SIP: the server answers OPTIONS, over UDP, TCP or TLS."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocfpy.checks.base import Check, CheckFailed
from ocfpy.checks.expect import StatusRange, parse_sip_uri, parse_status
from ocfpy.checks.options import Source, TlsOptions, option, source, words
from ocfpy.checks.protocols.sip import Answer, SipConnection, authority, options_request

if TYPE_CHECKING:
    from ocfpy.checks.settings import CheckSettings
    from ocfpy.ocf.addresses import Address


@dataclass(frozen=True)
class SipOptions(TlsOptions):
    """How and for what the server is asked, and the statuses that are fine."""

    transport: str = option()
    request: Source[str] = source(parse_sip_uri)
    status: tuple[StatusRange, ...] = option(words(parse_status))


class SipCheck(Check):
    """Sends OPTIONS to the server itself or to `request`, a SIP URI."""

    options_type = SipOptions
    options: SipOptions

    def __init__(self, address: Address, port: int, settings: CheckSettings) -> None:
        super().__init__(address, port, settings)
        self._own_uri = f"{'sips' if self.kind.tls else 'sip'}:{authority(self.host, port)}"

    async def attempt(self) -> None:
        call = os.urandom(8).hex()
        answer = await (self._over_tcp(call) if self._is_stream() else self._over_udp(call))
        if not any(answer.status in wanted for wanted in self.options.status):
            wanted = " or ".join(map(str, self.options.status))
            raise CheckFailed(f"SIP status {answer.status} {answer.phrase}, not {wanted}")

    def _is_stream(self) -> bool:
        return self.kind.tls or self.options.transport == "tcp"

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
        uri = self.value(self.options.request) if self.options.request.text else self._own_uri
        transport = "TLS" if self.kind.tls else "TCP" if self._is_stream() else "UDP"
        return options_request(uri, transport, authority(host, port), call)
