"""DNS: the server answers a question with a wanted rcode and, if that is NOERROR, a record of the type asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from ocfpy.checks.base import Check, CheckFailed

if TYPE_CHECKING:
    from ocfpy.checks.settings import CheckSettings
    from ocfpy.ocf.addresses import Address


class DnsCheck(Check):
    """Asks once per check, over UDP or TCP.

    With `expect`, one of the records must have it in its text form, such as an address.
    """

    def __init__(self, address: Address, port: int, settings: CheckSettings) -> None:
        super().__init__(address, port, settings)
        self.query = dns.message.make_query(settings["name"], settings["rdtype"])
        self.rdtype = dns.rdatatype.from_text(settings["rdtype"])
        self.wanted = tuple(map(dns.rcode.from_text, settings["rcode"].split()))

    async def attempt(self) -> None:
        self.query.id = int.from_bytes(os.urandom(2), "big")
        question = self.query.to_wire()
        if self.settings["transport"] == "tcp":
            answer = await self._ask_over_tcp(question)
        else:
            answer = await self._ask_over_udp(question)
        self._judge(answer)

    async def _ask_over_udp(self, question: bytes) -> bytes:
        with await self.open_datagrams() as server:
            self.doing = "waiting for the answer"
            server.send(question)
            answer = b""
            while answer[:2] != question[:2]:  # anything else is late or not from the server
                answer = await server.receive()
            return answer

    async def _ask_over_tcp(self, question: bytes) -> bytes:
        with await self.open() as stream:
            self.doing = "waiting for the answer"
            await stream.send(len(question).to_bytes(2, "big") + question)
            return await stream.exactly(int.from_bytes(await stream.exactly(2), "big"))

    def _judge(self, wire: bytes) -> None:
        try:
            answer = dns.message.from_wire(wire, ignore_trailing=True)
        except (dns.exception.DNSException, ValueError) as error:  # ValueError: of an opcode that nobody knows
            raise CheckFailed(f"not a DNS answer: {error or type(error).__name__}") from None
        if not self.query.is_response(answer):
            raise CheckFailed("the answer is to another question")
        if answer.rcode() not in self.wanted:
            raise CheckFailed(f"rcode {dns.rcode.to_text(answer.rcode())}")
        if answer.rcode() == dns.rcode.NOERROR:
            self._judge_records(answer)

    def _judge_records(self, answer: dns.message.Message) -> None:
        rrsets = [rrset for rrset in answer.answer if rrset.rdtype == self.rdtype]
        records = sorted(str(record) for rrset in rrsets for record in rrset)
        if not records:
            cut = " (truncated: check_transport=tcp)" if answer.flags & dns.flags.TC else ""
            asked = f"{self.settings['rdtype']} record of {self.settings['name']}"
            raise CheckFailed(f"no {asked} in the answer{cut}")
        # A name may be expected with its last dot or without.
        texts = (text for record in records for text in (record, record.rstrip(".")))
        if self.matches is not None and not any(map(self.matches, texts)):
            raise CheckFailed(f"no '{self.expect}' among the records: {', '.join(records[:4])}")
