"""DNS checks: what is asked, what is truncated and asked again over TCP, and what of an answer is read."""

from __future__ import annotations

import asyncio
import socket
from typing import Callable

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as fuzzing
from hypothesis import strategies as st
from ocfpy.checks import make_check
from ocfpy.checks.base import Result
from ocfpy.checks.dns import UDP_SIZE
from ocfpy.checks.protocols.dns import MAX_RECORDS, parse_header, records_of, same_question
from ocfpy.ocf.addresses import parse_address

from tests.unit.checks.canned import outcome
from tests.unit.checks.test_checks import answered, settings, truncated, with_rcode

Answer = Callable[[dns.message.Message], bytes]
MANY = [f"192.0.2.{number}" for number in range(1, 101)]


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, answer: Answer, asked: list[dns.message.Message]) -> None:
        self.answer = answer
        self.asked = asked

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        self.asked.append(query)
        self.transport.sendto(self.answer(query), address)  # type: ignore[attr-defined]


def ask(over_udp: Answer, over_tcp: Answer | None, **options: object) -> tuple[Result, list[dns.message.Message]]:
    """The result of a check of a server that answers over UDP and, if it can, over TCP; and what it was asked."""
    asked: list[dns.message.Message] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = dns.message.from_wire(await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big")))
        asked.append(query)
        answer = over_tcp(query) if over_tcp is not None else b""
        writer.write(len(answer).to_bytes(2, "big") + answer)
        writer.close()

    async def story() -> Result:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            while True:
                try:
                    stream.bind(("127.0.0.1", 0))
                    datagrams.bind(stream.getsockname())
                    break
                except OSError:  # the port is taken for UDP
                    stream.detach()
            port = stream.getsockname()[1]
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Datagrams(over_udp, asked), sock=datagrams
            )
            server = await asyncio.start_server(speak, sock=stream) if over_tcp is not None else None
            try:
                return await make_check(parse_address("127.0.0.1"), port, settings("dns", **options)).run()
            finally:
                transport.close()
                if server is not None:
                    server.close()

    return asyncio.run(story()), asked


def whole(query: dns.message.Message) -> bytes:
    return answered(query, *MANY).to_wire(max_size=65535)


def test_a_truncated_answer_is_asked_again_over_tcp() -> None:
    result, asked = ask(truncated, whole, expect=MANY[-1])
    assert result.ok, result.reason
    assert [query.question for query in asked] == [asked[0].question] * 2


@pytest.mark.parametrize(
    ("over_tcp", "reason"),
    [
        (None, "connection refused (asked over TCP, because the UDP answer is truncated)"),
        (lambda query: b"", "not a DNS answer: 0 bytes"),
        (lambda query: with_rcode(query, dns.rcode.SERVFAIL), "rcode SERVFAIL"),
        (whole, "no '192.0.2.200' among the records: 192.0.2.1, 192.0.2.10, 192.0.2.100, 192.0.2.11"),
    ],
)
def test_what_tcp_says_then_counts(over_tcp: Answer | None, reason: str) -> None:
    assert ask(truncated, over_tcp, expect="192.0.2.200")[0].reason == reason


def test_both_questions_have_one_timeout() -> None:
    async def silent() -> Result:
        asked: list[dns.message.Message] = []
        server = await asyncio.start_server(lambda reader, writer: asyncio.sleep(60), "127.0.0.1")
        port = server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(truncated, asked), local_addr=("127.0.0.1", port)
        )
        try:
            return await make_check(parse_address("127.0.0.1"), port, settings("dns", timeout=0.3)).run()
        finally:
            transport.close()
            server.close()

    reason = "timed out after 0.3 s, waiting for the answer over TCP, because the UDP answer is truncated"
    assert asyncio.run(silent()).reason == reason


def test_the_question_has_edns_and_the_bits_that_are_wanted() -> None:
    _, (query,) = ask(lambda query: answered(query, "192.0.2.7").to_wire(), None)
    assert (query.edns, query.payload) == (0, UDP_SIZE)
    assert query.flags & dns.flags.RD
    assert not query.flags & dns.flags.CD
    _, (query,) = ask(lambda query: answered(query, "192.0.2.7").to_wire(), None, cd="true")
    assert query.flags & dns.flags.CD


@pytest.mark.parametrize("rcode", [dns.rcode.FORMERR, dns.rcode.NOTIMP])
def test_a_server_without_edns_is_asked_without(rcode: int) -> None:
    def answer(query: dns.message.Message) -> bytes:
        if query.edns >= 0:
            return bytes(query.to_wire()[:2]) + bytes((0x80, rcode)) + bytes(8)
        return answered(query, "192.0.2.7").to_wire()

    result, asked = ask(answer, None)
    assert result.ok, result.reason
    assert [query.edns for query in asked] == [0, -1]
    assert ask(answer, None, rcode=dns.rcode.to_text(dns.rcode.Rcode(rcode)))[0].ok


def test_so_many_records_are_read() -> None:
    def answer(query: dns.message.Message) -> bytes:
        answer = dns.message.make_response(query)
        for number in range(MAX_RECORDS + 1):  # dnspython shuffles the records of one set
            answer.answer.append(dns.rrset.from_text(f"{number}.example.", 60, "IN", "A", f"10.0.0.{number}"))
        return answer.to_wire(max_size=65535)

    assert ask(truncated, answer, expect=f"10.0.0.{MAX_RECORDS - 1}")[0].ok
    assert not ask(truncated, answer, expect=f"10.0.0.{MAX_RECORDS}")[0].ok


FUZZ = fuzzing(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
QUERY = dns.message.make_query("www.example.com", "A")


@FUZZ
@given(st.lists(st.sampled_from(["A", "AAAA", "CNAME", "TXT"]), max_size=8), st.binary(max_size=8), st.integers(0, 300))
def test_any_answer_is_read_or_refused_as_dnspython_reads_it(kinds: list[str], noise: bytes, at: int) -> None:
    samples = {"A": "192.0.2.7", "AAAA": "2001:db8::7", "CNAME": "a.example.", "TXT": '"hello"'}
    answer = dns.message.make_response(QUERY)
    for number, kind in enumerate(kinds):
        answer.answer.append(dns.rrset.from_text(f"{number}.example.", 60, "IN", kind, samples[kind]))
    wire = answer.to_wire()
    for rdtype, kind in ((1, "A"), (28, "AAAA"), (5, "CNAME"), (16, "TXT")):
        assert len(records_of(wire, rdtype)) == kinds.count(kind)
    assert same_question(wire, QUERY.to_wire())
    broken = wire[:at] + noise + wire[at + len(noise) :]
    for read in (parse_header, lambda data: records_of(data, 1), lambda data: same_question(data, QUERY.to_wire())):
        assert outcome(read, broken)
