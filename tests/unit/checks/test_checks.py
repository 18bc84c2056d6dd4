"""The checks, against servers on the loopback that behave in every way a server can."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import Callable

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from ocfpy.checks import make_check
from ocfpy.checks.base import Result
from ocfpy.checks.settings import CheckSettings
from ocfpy.ocf.addresses import parse_address

TIMEOUT_S = 0.3
"""Where it is what ends the check."""
PATIENCE_S = 20.0
"""Where an answer comes, however busy the machine is."""
Speaker = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def settings(type: str, **more: object) -> CheckSettings:
    return CheckSettings(type, **{"timeout": PATIENCE_S, "name": "www.example.com", **more})  # type: ignore[arg-type]


def try_tcp(speak: Speaker, wanted: CheckSettings, host: str = "127.0.0.1") -> Result:
    """The result of a check against a server that treats each connection with `speak`."""

    async def story() -> Result:
        server = await asyncio.start_server(speak, host)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await make_check(parse_address(host), port, wanted).run()

    return asyncio.run(story())


def says(data: bytes, after_request: bool = True, close: bool = True) -> Speaker:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if after_request:
            await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        if close:
            writer.close()
        else:
            await asyncio.sleep(TIMEOUT_S * 3)

    return speak


def http(status: str = "200 OK", body: bytes = b"hello") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@contextmanager
def bound(kind: int, listen: bool = False) -> Iterator[int]:
    """A port in use that never answers."""
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        if listen:
            sock.listen(5)
        yield sock.getsockname()[1]


def check_port(port: int, wanted: CheckSettings) -> Result:
    return asyncio.run(make_check(parse_address("127.0.0.1"), port, wanted).run())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_tcp_is_content_with_a_connection(host: str) -> None:
    result = try_tcp(says(b"", after_request=False), settings("tcp"), host)
    assert result.ok, result.reason
    assert 0 <= result.seconds < PATIENCE_S


@pytest.mark.parametrize(
    ("greeting", "close", "reason"),
    [
        (b"220 mail ESMTP\r\n", False, ""),
        (b"554 no\r\n", True, "connection closed without '220'"),
        (b"554 no\r\n", False, "timed out after 0.3 s, waiting for '220'"),
        (b"x" * 70000, False, "no '220' in the first 65536 bytes"),
    ],
)
def test_tcp_with_an_expected_greeting(greeting: bytes, close: bool, reason: str) -> None:
    timeout = TIMEOUT_S if reason.startswith("timed out") else PATIENCE_S
    result = try_tcp(says(greeting, after_request=False, close=close), settings("tcp", expect="220", timeout=timeout))
    assert result.reason == reason


@pytest.mark.parametrize(
    ("request_", "expect", "reason"),
    [("PING\\r\\n", "+PONG", ""), ("PING\\r\\n", "re:^.PONG", ""), ("QUIT\\r\\n", "+PONG", "no"), ("\\x01\\n", "+PONG", "no")],
)
def test_tcp_with_a_request(request_: str, expect: str, reason: str) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"+PONG\r\n" if await reader.readline() == b"PING\r\n" else b"-ERR\r\n")
        writer.close()

    result = try_tcp(speak, settings("tcp", request=request_, expect=expect))
    assert result.reason == (f"connection closed without {expect!r}" if reason else "")


@pytest.mark.parametrize("type", ["tcp", "http", "dns"])
def test_refused(type: str) -> None:
    with bound(socket.SOCK_DGRAM if type == "dns" else socket.SOCK_STREAM) as port:
        pass
    assert check_port(port, settings(type)).reason == "connection refused"


@pytest.mark.parametrize("type", ["http", "dns"])
def test_silence_ends_at_the_timeout(type: str) -> None:
    with bound(socket.SOCK_DGRAM if type == "dns" else socket.SOCK_STREAM, listen=type == "http") as port:
        result = check_port(port, settings(type, timeout=TIMEOUT_S))
    assert result.reason == "timed out after 0.3 s, waiting for the answer"
    assert TIMEOUT_S * 0.9 < result.seconds < PATIENCE_S


def test_a_network_that_is_not_there_is_a_reason() -> None:
    result = asyncio.run(make_check(parse_address("255.255.255.255"), 80, settings("tcp")).run())
    assert not result.ok
    assert result.reason


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (http(), ""),
        (http("204 No Content", b""), ""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + http(), ""),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", ""),
        (http("503 Service Unavailable"), "HTTP status 503, not 200-299"),
        (http("302 Found"), "HTTP status 302, not 200-299"),
        (b"", "connection closed before an answer"),
        (b"SSH-2.0-OpenSSH\r\n", "not an HTTP answer: "),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "connection closed in the middle of the answer"),
    ],
)
def test_http_status(answer: bytes, reason: str) -> None:
    result = try_tcp(says(answer), settings("http"))
    assert result.reason.startswith(reason)
    assert result.ok == (not reason)


@pytest.mark.parametrize(
    ("answer", "expect", "reason"),
    [
        (http(), "hello", ""),
        (http(), "re:^hel+o$", ""),
        (http(), "bye", "HTTP status 200, but no 'bye' in the body"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "hello", ""),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
            "hello",
            "",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "hello", "connection closed in the middle of the answer"),
    ],
)
def test_http_body(answer: bytes, expect: str, reason: str) -> None:
    result = try_tcp(says(answer), settings("http", expect=expect))
    assert result.reason.startswith(reason)
    assert result.ok == (not reason)


def test_http_that_stops_in_the_middle_says_where() -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel"
    result = try_tcp(says(answer, close=False), settings("http", expect="hello", timeout=TIMEOUT_S))
    assert result.reason == "timed out after 0.3 s, reading the body"


def test_the_http_request() -> None:
    seen: list[bytes] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(http())
        writer.close()

    wanted = settings("http", host="www.example.com", path="/health?x=1", method="HEAD")
    assert try_tcp(speak, wanted).ok
    assert try_tcp(speak, settings("http"), "::1").ok
    assert seen[0].startswith(b"HEAD /health?x=1 HTTP/1.1\r\nHost: www.example.com\r\n")
    assert b"Connection: close\r\n" in seen[0]
    assert seen[1].startswith(b"GET / HTTP/1.1\r\nHost: [::1]:")


Answerer = Callable[[dns.message.Message], list[bytes]]


class _DnsServer(asyncio.DatagramProtocol):
    def __init__(self, answer: Answerer) -> None:
        self.answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        for reply in self.answer(dns.message.from_wire(data)):
            self.transport.sendto(reply, address)  # type: ignore[attr-defined]


def try_dns(answer: Answerer, host: str = "127.0.0.1", **more: object) -> Result:
    async def story() -> Result:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _DnsServer(answer), local_addr=(host, 0))
        try:
            port = transport.get_extra_info("sockname")[1]
            return await make_check(parse_address(host), port, settings("dns", **more)).run()
        finally:
            transport.close()

    return asyncio.run(story())


def answered(query: dns.message.Message, *records: str, rdtype: str = "A") -> dns.message.Message:
    answer = dns.message.make_response(query)
    if records:
        answer.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", rdtype, *records))
    return answer


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_dns_that_answers(host: str) -> None:
    result = try_dns(lambda query: [answered(query, "192.0.2.7").to_wire()], host)
    assert result.ok, result.reason


@pytest.mark.parametrize(
    ("rdtype", "record"),
    [("AAAA", "2001:db8::7"), ("TXT", '"hello"'), ("MX", "10 mail.example.com."), ("NS", "ns.")],
)
def test_dns_other_types(rdtype: str, record: str) -> None:
    assert try_dns(lambda query: [answered(query, record, rdtype=rdtype).to_wire()], rdtype=rdtype).ok


def test_dns_rcodes_that_are_wanted() -> None:
    def answer(query: dns.message.Message) -> list[bytes]:
        return [with_rcode(query, dns.rcode.NXDOMAIN)]

    assert try_dns(answer, rcode="NXDOMAIN").ok
    assert try_dns(answer, rcode="NOERROR NXDOMAIN").ok
    assert try_dns(answer, rcode="REFUSED").reason == "rcode NXDOMAIN"


@pytest.mark.parametrize(
    ("prefix", "body", "reason"),
    [
        (None, None, ""),
        (b"", b"", "connection closed"),
        (b"\0", b"", "connection closed in the middle of the answer"),
        (b"\0\xff", b"half", "connection closed in the middle of the answer"),
        (b"\0\4", b"junk", "not a DNS answer: "),
    ],
)
def test_dns_over_tcp(prefix: bytes | None, body: bytes | None, reason: str) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        size = int.from_bytes(await reader.readexactly(2), "big")
        answer = answered(dns.message.from_wire(await reader.readexactly(size)), "192.0.2.7").to_wire()
        writer.write(prefix if prefix is not None else len(answer).to_bytes(2, "big"))
        writer.write(body if body is not None else answer)
        writer.close()

    assert try_tcp(speak, settings("dns", transport="tcp")).reason.startswith(reason)


def with_rcode(query: dns.message.Message, rcode: int) -> bytes:
    answer = answered(query)
    answer.set_rcode(dns.rcode.Rcode(rcode))
    return answer.to_wire()


def truncated(query: dns.message.Message) -> bytes:
    answer = answered(query)
    answer.flags |= dns.flags.TC
    return answer.to_wire()


def other_question(query: dns.message.Message) -> bytes:
    other = dns.message.make_query("other.example.com", "A")
    other.id = query.id
    return answered(other, "192.0.2.7").to_wire()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda query: with_rcode(query, dns.rcode.SERVFAIL), "rcode SERVFAIL"),
        (lambda query: with_rcode(query, dns.rcode.REFUSED), "rcode REFUSED"),
        (lambda query: with_rcode(query, dns.rcode.NXDOMAIN), "rcode NXDOMAIN"),
        (lambda query: answered(query).to_wire(), "no A record of www.example.com in the answer"),
        (
            lambda query: answered(query, "other.example.", rdtype="CNAME").to_wire(),
            "no A record of www.example.com in the answer",
        ),
        (other_question, "the answer belongs to another question"),
        (lambda query: query.to_wire(), "the answer belongs to another question"),
        (lambda query: query.to_wire()[:2] + b"\x80", "not a DNS answer: "),
        (lambda query: query.to_wire()[:2] + b"\xd0" + query.to_wire()[3:], "the answer belongs to another question"),
        (
            lambda query: struct.pack("!H", query.id ^ 1) + answered(query, "192.0.2.7").to_wire()[2:],
            "timed out",
        ),
    ],
)
def test_dns_that_answers_wrongly(answer: Callable[[dns.message.Message], bytes], reason: str) -> None:
    timeout = TIMEOUT_S if reason == "timed out" else PATIENCE_S
    result = try_dns(lambda query: [answer(query)], timeout=timeout)
    assert not result.ok
    assert result.reason.startswith(reason)


def test_dns_a_late_answer_to_another_query_is_passed_over() -> None:
    assert try_dns(lambda query: [b"\0\0late", b"", answered(query, "192.0.2.7").to_wire()]).ok


def test_dns_expected_records() -> None:
    def answer(query: dns.message.Message) -> list[bytes]:
        return [answered(query, "192.0.2.7", "192.0.2.8").to_wire()]

    assert try_dns(answer, expect="192.0.2.8").ok
    assert (
        try_dns(answer, expect="192.0.2.9").reason == "no '192.0.2.9' among the records: 192.0.2.7, 192.0.2.8"
    )


def test_a_fault_in_a_check_is_a_failed_check(monkeypatch: pytest.MonkeyPatch) -> None:
    check = make_check(parse_address("127.0.0.1"), 80, settings("tcp"))

    async def stumble() -> None:
        raise IndexError("an unexpected error")

    monkeypatch.setattr(check, "attempt", stumble)
    assert asyncio.run(check.run()).reason == "IndexError: an unexpected error"
