"""DNS over UDP: the server answers a question with NOERROR and a record of the type asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from ocfpy.health.checks.base import Check, CheckFailed
from ocfpy.health.expect import matcher

if TYPE_CHECKING:
    from ocfpy.health.spec import CheckSettings
    from ocfpy.ocf.addresses import Address


class DnsCheck(Check):
    """Asks once per check.

    With `expect`, one of the records must have it in its text form, such as an address.
    """

    def __init__(self, address: Address, port: int, settings: CheckSettings) -> None:
        super().__init__(address, port, settings)
        self.expect = settings["expect"]
        self.matches = matcher(self.expect) if self.expect else None
        self.query = dns.message.make_query(settings["name"], settings["rdtype"])
        self.rdtype = dns.rdatatype.from_text(settings["rdtype"])

    async def attempt(self) -> None:
        with await self.open_datagrams() as server:
            self.query.id = int.from_bytes(os.urandom(2), "big")
            self.doing = "waiting for the answer"
            server.send(self.query.to_wire())
            ours = self.query.id.to_bytes(2, "big")
            answer = b""
            while answer[:2] != ours:  # anything else is late or not from the server
                answer = await server.receive()
        self._judge(answer)

    def _judge(self, wire: bytes) -> None:
        try:
            answer = dns.message.from_wire(wire, ignore_trailing=True)
        except dns.exception.DNSException as error:
            raise CheckFailed(f"not a DNS answer: {error or type(error).__name__}") from None
        if not self.query.is_response(answer):
            raise CheckFailed("the answer is to another question")
        if answer.rcode() != dns.rcode.NOERROR:
            raise CheckFailed(f"rcode {dns.rcode.to_text(answer.rcode())}")
        rrsets = [rrset for rrset in answer.answer if rrset.rdtype == self.rdtype]
        records = sorted(str(record) for rrset in rrsets for record in rrset)
        if not records:
            cut = " (truncated)" if answer.flags & dns.flags.TC else ""
            raise CheckFailed(f"no {self.settings['rdtype']} record of {self.settings['name']} in the answer{cut}")
        if self.matches is not None and not any(map(self.matches, records)):
            raise CheckFailed(f"no {self.expect!r} among the records: {', '.join(records[:4])}")
