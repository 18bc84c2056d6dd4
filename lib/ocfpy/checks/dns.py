"""DNS: the server answers a query with a wanted rcode and, if that is NOERROR, a record of the queried type."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from ocfpy.checks.base import Check, CheckFailed
from ocfpy.checks.options import NetworkOptions, flag, option, words
from ocfpy.checks.protocols.dns import Header, parse_header, records_of, same_question

if TYPE_CHECKING:
    from ocfpy.checks.settings import CheckSettings
    from ocfpy.ocf.addresses import Address

UDP_SIZE = 1232
"""EDNS size of a UDP answer in bytes, as the DNS flag day of 2020 recommends."""
SHOWN = 4
"""Most records that a reason repeats."""
_NO_EDNS = (dns.rcode.FORMERR, dns.rcode.NOTIMP)
"""How a server answers when it does not know EDNS (RFC 6891, 7)."""


@dataclass(frozen=True)
class DnsOptions(NetworkOptions):
    """What is asked and how, the rcodes that are fine, and the text that a record has to have."""

    name: str = option()
    rdtype: str = option()
    rcode: tuple[dns.rcode.Rcode, ...] = option(words(dns.rcode.from_text))
    transport: str = option()
    cd: bool = option(flag)
    expect: str = option()


class DnsCheck(Check):
    """Queries over UDP or TCP; an answer that is truncated over UDP is queried again over TCP, as resolvers do.

    With `expect`, one of the records must contain it in its text form, such as an address. `cd` sets the bit Checking
    Disabled.
    """

    options_type = DnsOptions
    options: DnsOptions

    def __init__(self, address: Address, port: int, settings: CheckSettings) -> None:
        super().__init__(address, port, settings)
        self.rdtype = dns.rdatatype.from_text(self.options.rdtype)
        query = dns.message.make_query(self.options.name, self.options.rdtype)
        if self.options.cd:
            query.flags |= dns.flags.CD
        self._plain = query.to_wire()[2:]
        query.use_edns(0, payload=UDP_SIZE)
        self._with_edns = query.to_wire()[2:]

    async def attempt(self) -> None:
        answer, header = await self._ask(self._with_edns)
        if header.rcode in _NO_EDNS and header.rcode not in self.options.rcode:
            answer, header = await self._ask(self._plain)
        if header.rcode not in self.options.rcode:
            raise CheckFailed(f"rcode {dns.rcode.to_text(dns.rcode.Rcode(header.rcode))}")
        try:
            texts = self._texts(answer)
        except (dns.exception.DNSException, ValueError) as error:
            raise CheckFailed(f"not a DNS answer: {error or type(error).__name__}") from None
        if header.rcode == dns.rcode.NOERROR:
            self._judge(texts)

    async def _ask(self, question: bytes) -> tuple[bytes, Header]:
        query = os.urandom(2) + question
        if self.options.transport == "tcp":
            return await self._ask_over_tcp(query)
        with await self.open_datagrams() as server:
            self.doing = "waiting for the answer"
            server.send(query)
            answer = b""
            while answer[:2] != query[:2]:  # another answer is late or not from the server
                answer = await server.receive()
        header = _header(answer, query)
        if header.truncated:
            return await self._ask_over_tcp(query, "over TCP, because the UDP answer is truncated")
        return answer, header

    async def _ask_over_tcp(self, query: bytes, why: str = "") -> tuple[bytes, Header]:
        try:
            with await self.open() as stream:
                self.doing = f"waiting for the answer {why}".rstrip()
                await stream.send(len(query).to_bytes(2, "big") + query)
                answer = await stream.exactly(int.from_bytes(await stream.exactly(2), "big"))
        except (CheckFailed, ConnectionError) as error:
            if not why:
                raise
            reason = self.in_words(error) if isinstance(error, OSError) else str(error)
            raise CheckFailed(f"{reason} (asked {why})") from None
        return answer, _header(answer, query)

    def _texts(self, answer: bytes) -> list[str]:
        """Require records of the wanted type; without an expected text any record is enough."""
        records = records_of(answer, self.rdtype)
        if self.matches is None:
            records = records[:1]
        return [
            str(dns.rdata.from_wire(dns.rdataclass.IN, self.rdtype, answer, record.start, record.size)) for record in records
        ]

    def _judge(self, texts: list[str]) -> None:
        if not texts:
            raise CheckFailed(f"no {self.options.rdtype} record of {self.options.name} in the answer")
        # A name may be expected with its last dot or without.
        if self.matches is not None and not any(self.matches(text) or self.matches(text.rstrip(".")) for text in texts):
            shown = ", ".join(sorted(texts)[:SHOWN])
            raise CheckFailed(f"no '{self.expect}' among the records: {shown}")


def _header(answer: bytes, query: bytes) -> Header:
    """Return the header of an answer to `query`. Raises CheckFailed."""
    try:
        header = parse_header(answer)
        # An error may come without the question (RFC 1035, 4.1.1, does not require it, and some servers leave it out).
        asked = same_question(answer, query) if header.questions or not header.rcode else True
    except ValueError as error:
        raise CheckFailed(f"not a DNS answer: {error}") from None
    if header.number != parse_header(query).number or not header.is_response or not asked:
        raise CheckFailed("the answer belongs to another question")
    return header
