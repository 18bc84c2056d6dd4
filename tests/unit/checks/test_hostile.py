"""Servers that mean ill, or speak something else: every check says why it failed, and soon, and keeps little of it."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import threading
import tracemalloc
from collections.abc import Iterator, Mapping

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ocfpy.checks import make_check
from ocfpy.checks.base import Check, Result
from ocfpy.checks.registry import TYPES
from ocfpy.checks.settings import CheckSettings
from ocfpy.ocf.addresses import parse_address

from tests.unit.checks.canned import tell

LOGIN = {"user": "probe", "secret": "secret"}
OPTIONS: dict[str, dict[str, str]] = {
    "ldap": {**LOGIN, "expect": "x", "request": "dc=example??sub?(a=b)"},
    "smtp": LOGIN,
    "imap": LOGIN,
    "pop3": LOGIN,
    "mysql": {**LOGIN, "expect": "x"},
    "postgresql": {**LOGIN, "expect": "x"},
    "sip": {"transport": "tcp"},
    "radius": {"secret": "shared", "user": "probe", "password": "secret"},
    "ntp": {},
    "ftp": {**LOGIN, "path": "/welcome.msg", "expect": "x"},
    "http": {"expect": "x"},
    "http_proxy": {"request": "http://www.example.com/", "expect": "x"},
    "dns": {"name": "www.example.com", "expect": "x", "transport": "tcp"},
}
EMPTY: dict[str, str] = {}
STREAMS = sorted(set(OPTIONS) - {"radius", "ntp"})
DATAGRAMS = ("radius", "ntp", "sip", "dns")
NOT_A_REASON = re.compile(r"\w*(Error|Exception)\b")
MAX_KEPT = 4 << 20
"""Bytes; the longest that any check keeps is one LDAP message."""

DNS_HEAD = b"\0\0\x81\x80\0\1\0\1\0\0\0\0"
DNS_QUESTION = b"\3www\7example\3com\0\0\1\0\1"
DNS_RECORD = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\7"
DNS_POINTER = b"\xc0\x0c\0\5\0\1\0\0\0\x3c\0\2\xc0\x0c"
# Pieces of answers that are right, so that chance gets beyond the greeting.
PIECES = (
    b"\r\n", b"\n", b" ", b"0", b"-", b"220 ", b"250-AUTH PLAIN\r\n250 STARTTLS\r\n", b"235 \r\n", b"221 \r\n", b"334 \r\n",
    b"+OK\r\n", b"-ERR no\r\n", b".\r\n", b"* OK \r\n", b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n", b"a1 OK\r\n", b"a3 OK\r\n",
    b"a3 NO\r\n", b"* BYE\r\n", b"+ \r\n", b"0\x0c\x02\x01\x02a\x07\n\x01\0\x04\0\x04\0",
    b"0\x0c\x02\x01\x03e\x07\n\x01\0\x04\0\x04\0", b"0\x09\x02\x01\x03d\x04\x04\0000\0", b"0\x84\xff\xff\xff\xff", b"0\x80",
    b"0\x85", b"0\0", b"R\0\0\0\x08\0\0\0\0", b"R\0\0\0\x08\0\0\0\x03", b"R\0\0\0\x0c\0\0\0\x05salt",
    b"R\0\0\0\x17\0\0\0\nSCRAM-SHA-256\0\0", b"R\0\0\0\x10\0\0\0\x0br=,s=,i=1", b"Z\0\0\0\x05I",
    b"D\0\0\0\x0b\0\x01\0\0\0\x01x", b"D\0\0\0\x06\xff\xff", b"E\0\0\0\x0aMoops\0", b"E\xff\xff\xff\xff",
    b"J\0\0\0\n5\0\x01\0\0\0saltsalt\0\0\0" + bytes(56), b"\x07\0\0\x02\0\0\0\x02\0\0\0", b"\x01\0\0\x01\x01",
    b"\x02\0\0\x01\x01x", b"\x05\0\0\x02\xfe\0\0\x02\0", b"\x02\0\0\x02\x01\x04", b"\x17\0\0\x02\xfecaching_sha2_password\0",
    b"\xff\xff\xff\0", b"SIP/2.0 200 OK\r\n", b"SIP/2.0 100 Trying\r\n\r\n", b"Call-ID: 0000000000000000\r\n\r\n",
    b"SIP/2.0 999\r\n", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n",
    b"Content-Length: 5\r\n", b"1\r\nx\r\n", b"0\r\n\r\n",
    DNS_HEAD, DNS_QUESTION, DNS_RECORD, DNS_POINTER, b"\0\x2d" + DNS_HEAD + DNS_QUESTION + b"\xc0\x0c",
    b"\0\x31" + DNS_HEAD + DNS_QUESTION + DNS_RECORD,
)  # fmt: skip


def check_of(kind: str, port: int = 9, timeout: float = 1.0, options: Mapping[str, str] = EMPTY) -> Check:
    said = {**OPTIONS[kind], **options}
    return make_check(parse_address("127.0.0.1"), port, CheckSettings(kind, timeout=timeout, options=said.items()))


def told(kind: str, chunks: list[bytes], **more: str) -> Result:
    return tell(check_of(kind, options=more), chunks)[0]


@pytest.fixture(autouse=True)
def no_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a check invents to recognise its answers by is known to the pieces above."""
    monkeypatch.setattr(os, "urandom", bytes)


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
ANYTHING = st.lists(st.sampled_from(PIECES) | st.binary(min_size=1, max_size=60), max_size=12)


@pytest.mark.parametrize("kind", STREAMS)
@FUZZ
@given(chunks=ANYTHING)
def test_any_answer_is_a_verdict(kind: str, chunks: list[bytes]) -> None:
    result = told(kind, chunks)
    assert result.ok == (not result.reason)
    assert not NOT_A_REASON.search(result.reason)
    assert result.reason.isprintable()


@pytest.mark.parametrize("kind", DATAGRAMS)
@FUZZ
@given(chunks=ANYTHING)
def test_any_datagrams_are_a_verdict(kind: str, chunks: list[bytes]) -> None:
    result = told(kind, chunks, **({"transport": "udp"} if kind in ("sip", "dns") else {}))
    assert result.ok == (not result.reason)
    assert not NOT_A_REASON.search(result.reason)
    assert result.reason.isprintable()


class Flood:
    """A server on the loopback that says the beginning, and then the same without end."""

    def __init__(self, beginning: bytes, forever: bytes) -> None:
        self.beginning = beginning
        self.forever = forever * (65536 // len(forever))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        connection, _ = self.listener.accept()
        with connection:
            try:
                connection.sendall(self.beginning)
                while True:
                    connection.sendall(self.forever)
            except OSError:
                pass

    def __enter__(self) -> Flood:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.thread.join(20)
        self.listener.close()


@pytest.fixture
def memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


FLOODS = {
    "one line without end": (b"", b"a"),
    "lines without end": (b"", b"220-more\r\n"),
    "greetings": (b"+OK\r\n", b"* OK\r\n"),
    "capabilities": (b"+OK\r\n+OK\r\n", b"X\r\n"),
    "zeros": (b"", b"\0"),
    "ones": (b"", b"\xff"),
    "a long LDAP message": (b"0\x84\x7f\xff\xff\xff", b"\0"),
    "LDAP entries": (b"0\x0c\x02\x01\x02a\x07\n\x01\0\x04\0\x04\0", b"0\x09\x02\x01\x03d\x04\x04\0000\0"),
    "a long PostgreSQL message": (b"R\x7f\xff\xff\xff", b"\0"),
    "PostgreSQL rows": (b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I", b"D\0\0\0\x0b\0\x01\0\0\0\x01y"),
    "a long MySQL packet": (b"\xff\xff\xff\0", b"\x0a"),
    "SIP headers": (b"SIP/2.0 200 OK\r\n", b"a: b\r\n"),
    "SIP, never final": (b"", b"SIP/2.0 100 Trying\r\n\r\n"),
    "HTTP, never final": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "HTTP headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "HTTP chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\ny\r\n"),
    "a long HTTP body": (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n", b"y"),
}


@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("kind", STREAMS)
def test_endless_answers_are_cut_short(kind: str, flood: str, memory: None) -> None:
    with Flood(*FLOODS[flood]) as server:
        result = asyncio.run(check_of(kind, server.port, timeout=5.0).run())
    assert not result.ok
    assert not NOT_A_REASON.search(result.reason)
    assert tracemalloc.get_traced_memory()[1] < MAX_KEPT


def test_every_check_that_speaks_a_protocol_is_here() -> None:
    elsewhere = {"off", "on", "tcp", "udp", "ping", "external"}
    assert {kind.name for kind in TYPES.values() if not kind.tls} - elsewhere <= set(OPTIONS)
