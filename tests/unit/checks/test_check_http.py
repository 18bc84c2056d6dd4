"""HTTP checks against servers that mean ill, and what they ask."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest
from ocfpy.checks.http import MAX_BODY

from tests.unit.checks.test_checks import http, says, settings, try_tcp

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (OK + b"Content-Length: 9\r\n\r\nhello", "not an HTTP answer: "),
        (CHUNKED + b"5\r\nhello\r\n", "not an HTTP answer: "),
        (CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n", "not an HTTP answer: "),
        (CHUNKED + b"ffffffffffffffffffffffff\r\n", "not an HTTP answer: "),
        (OK + b"Content-Length: -1\r\n\r\n", "not an HTTP answer: "),
        (OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "not an HTTP answer: "),
        (OK + b"X: " + b"x" * 1_000_000, "not an HTTP answer: "),
        (OK + b"X: y\r\n" * 100_000, "not an HTTP answer: "),
        (b"\0\xff\x1b[31m" * 1000 + b"\r\n\r\n", "not an HTTP answer: "),
        (b"HTTP/1.1 999 What\r\n\r\n", "HTTP status 999, not 200-299"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, "more than 16 responses 1xx and no answer"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + http(), ""),
        (OK + b"Content-Length: 100000000\r\n\r\n" + b"hello" * MAX_BODY, ""),
        (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", ""),
    ],
)
def test_answers_that_mean_ill(answer: bytes, reason: str) -> None:
    result = try_tcp(says(answer), settings("http", expect="hello"))
    assert result.reason.startswith(reason)
    assert result.ok == (not reason)
    assert result.reason.isprintable()
    assert len(result.reason) < 400


def test_a_body_is_read_to_its_end_even_if_nothing_is_expected_of_it() -> None:
    assert try_tcp(says(OK + b"Content-Length: 9\r\n\r\nhello"), settings("http")).reason.startswith("not an HTTP answer")
    assert try_tcp(says(OK + b"Content-Length: 9\r\n\r\nhello"), settings("http", method="HEAD")).ok


def test_tiny_chunks_without_end_keep_nobody_waiting() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED)
        while True:
            writer.write(b"1\r\nx\r\n" * 10_000)
            await writer.drain()

    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def speak_and_watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        watching = asyncio.ensure_future(count())
        try:
            await speak(reader, writer)
        finally:
            watching.cancel()

    result = try_tcp(speak_and_watch, settings("http", timeout=1.5))
    assert result.reason == "timed out after 1.5 s, reading the body"
    assert turns > 5, "others have had their turn meanwhile"


def asked(type: str = "http", **options: str) -> bytes:
    """What a check sends, all of it."""
    seen: list[bytes] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        if b"Content-Length: 7" in seen[0]:
            seen.append(await reader.readexactly(7))
        writer.write(http())
        writer.close()

    result = try_tcp(speak, settings(type, **options))
    assert result.ok, result.reason
    return b"".join(seen)


def test_methods_headers_and_bodies() -> None:
    assert asked(method="OPTIONS").startswith(b"OPTIONS / HTTP/1.1\r\n")
    post = asked(method="POST", request=r"a=1\x26b=2", headers=r"content-type: text/plain\nX-Site: here")
    assert post.startswith(b"POST / HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"content-type: text/plain\r\nX-Site: here\r\n\r\na=1&b=2" in post
    assert b"urlencoded" not in post
    assert b"Content-Length: 0\r\n" in asked(method="POST")
    assert asked(host="[::1]:8080").count(b"Host: [::1]:8080\r\n") == 1


def test_credentials(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("open sesame\nof no account\n")
    basic = base64.b64encode(b"watch:open sesame")
    assert b"Authorization: Basic " + basic in asked(user="watch", secret=str(secret))
    assert b"Authorization: Basic " + basic in asked(user="watch", secret="open sesame")
    proxy = asked("http_proxy", request="http://www.example.com/a?b", user="watch", secret="open sesame")
    assert b"\r\nProxy-Authorization: Basic " + basic in proxy
    secret.unlink()
    gone = try_tcp(says(http()), settings("http", user="watch", secret=str(secret)))
    assert gone.reason == f"the secret in {secret} cannot be read: No such file or directory"


def test_a_proxy_is_asked_for_a_url_or_a_tunnel() -> None:
    fetch = asked("http_proxy", request="http://www.example.com:8080/a?b")
    assert fetch.startswith(b"GET http://www.example.com:8080/a?b HTTP/1.1\r\nHost: www.example.com:8080\r\n")
    tunnel = asked("http_proxy", request="www.example.com:443")
    assert tunnel.startswith(b"CONNECT www.example.com:443 HTTP/1.1\r\nHost: www.example.com:443\r\n")
    result = try_tcp(says(http("503 Service Unavailable")), settings("http_proxy", request="www.example.com:443"))
    assert result.reason == "HTTP status 503, not 200-299"
