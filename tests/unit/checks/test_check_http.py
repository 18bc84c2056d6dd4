"""HTTP checks against servers that mean ill, and what they ask."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as settings_of_hypothesis
from hypothesis import strategies as st
from ocfpy.checks.protocols.http1 import MAX_BODY, MAX_HEAD, Response

from tests.unit.checks.test_checks import http, says, settings, try_tcp

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (OK + b"Content-Length: 9\r\n\r\nhello", "connection closed in the middle of the answer"),
        (CHUNKED + b"5\r\nhello\r\n", "connection closed in the middle of the answer"),
        (CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n", "not an HTTP answer: "),
        (CHUNKED + b"ffffffffffffffffffffffff\r\n", "not an HTTP answer: "),
        (OK + b"Content-Length: -1\r\n\r\n", "not an HTTP answer: "),
        (OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "not an HTTP answer: "),
        (OK + b"X: " + b"x" * 1_000_000, "the headers have more than 256 KiB"),
        (OK + b"X: y\r\n" * 100_000, "the headers have more than 256 KiB"),
        (CHUNKED + b"5" + b" " * 5000 + b"\r\nhello\r\n0\r\n\r\n", "not an HTTP answer: a line of the chunked body has more"),
        (CHUNKED + b"5\r\nhello world\r\n0\r\n\r\n", "not an HTTP answer: a chunk is longer than it says, by world"),
        (CHUNKED + b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 100_000, "the trailers have more than 256 KiB"),
        (OK + b"Content-Length: " + b"9" * 10_000 + b"\r\n\r\nhello", ""),
        (OK + b"Transfer-Encoding: gzip\r\n\r\nhello", "Transfer-Encoding: gzip was not asked for"),
        (b"\0\xff\x1b[31m" * 1000 + b"\r\n\r\n", "not an HTTP answer: "),
        (b"HTTP/1.1 999 What\r\n\r\n", "HTTP status 999, not 200-299"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, "more than 16 responses 1xx without a final one"),
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
    assert try_tcp(says(OK + b"Content-Length: 9\r\n\r\nhello"), settings("http")).reason.startswith("connection closed in")
    assert try_tcp(says(OK + b"Content-Length: 9\r\n\r\nhello"), settings("http", method="HEAD")).ok


def test_endless_tiny_chunks_delay_no_other_check() -> None:
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
    assert result.reason in (
        "timed out after 1.5 s, reading the body",
        "the answer takes more than 500 ms of processor time to parse",
    )
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


LONG_LINE = "not an HTTP answer: a line of the chunked body has more than 4096 bytes"
LONG = b"X: " + b"x" * 997 + b"\r\n"


def verdict(answer: bytes, size: int) -> str:
    """What an answer that comes in pieces of that size, and then ends, is taken for: its status and body, or its fault."""
    response = Response("GET")
    try:
        for at in range(0, len(answer), size):
            response.feed(answer[at : at + size])
            if response.done:
                break
        else:
            response.end()
    except ValueError as refusal:
        return str(refusal)
    return f"{response.status} {len(response.body)} {bytes(response.body[:10])!r}"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (OK + LONG * 40 + b"Content-Length: 5\r\n\r\nhello", "200 5 b'hello'"),
        (OK + LONG * 255 + b"Content-Length: 5\r\n\r\nhello", "200 5 b'hello'"),
        ((OK + LONG * 300)[: MAX_HEAD - 4] + b"\r\n\r\n", "200 0 b''"),
        ((OK + LONG * 300)[: MAX_HEAD - 3] + b"\r\n\r\n", "the headers have more than 256 KiB"),
        (OK + LONG * 300 + b"Content-Length: 5\r\n\r\nhello", "the headers have more than 256 KiB"),
        (OK + b"Content-Length: 2000000\r\n\r\n" + b"x" * 2_000_000, f"200 {MAX_BODY} b'xxxxxxxxxx'"),
        (CHUNKED + b"1000\r\n" + b"x" * 4096 + b"\r\n0\r\n\r\n", "200 4096 b'xxxxxxxxxx'"),
        (CHUNKED + b"5" + b" " * 4095 + b"\nhello\n0\n\n", LONG_LINE),
        (CHUNKED + b"5" + b" " * 4094 + b"\nhello\n0\n\n", "200 5 b'hello'"),
        (CHUNKED + b"5\r\nhello\r\nx\r\n", "not an HTTP answer: the size of a chunk is x"),
        (OK + b"Content-Length: 9\r\n\r\nhello", "connection closed in the middle of the answer"),
    ],
    ids=range(11),
)
@pytest.mark.parametrize("size", [1, 7, 1448, 65536, 4_000_000])
def test_how_tcp_cuts_an_answer_makes_no_difference(answer: bytes, expected: str, size: int) -> None:
    if size > 10 or len(answer) < 10_000:
        assert verdict(answer, size) == expected


@settings_of_hypothesis(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.sampled_from(
            [OK, CHUNKED, b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.0 204 No\n\n", b"\r\n", b"\n", b"5\r\n", b"hello",
             b"0\r\n\r\n", b"Content-Length: 5\r\n", b"Content-Length: 6, 7\r\n", b"Transfer-Encoding: chunked\r\n",
             b"X: y\r\n", b"ffff\r\n"]
        )
        | st.binary(min_size=1, max_size=20),
        max_size=12,
    ).map(b"".join),
    st.integers(1, 20),
)  # fmt: skip
def test_anything_is_read_or_refused_however_it_is_cut(answer: bytes, size: int) -> None:
    words = verdict(answer, max(1, len(answer)))
    assert words.isprintable()
    if not words.startswith("not an HTTP answer"):  # its words are what has arrived of it
        assert verdict(answer, size) == words


def test_headers_and_body_in_files(tmp_path: Path) -> None:
    headers, body = tmp_path / "headers", tmp_path / "body"
    headers.write_text("Authorization: Bearer t0ken\\nX-Site: here\nanother line\n")
    body.write_text("a=1\\x26b=2\n")
    options = {"method": "POST", "headers": f"@{headers}", "request": f"@{body}"}
    sent = asked(**options)
    assert b"\r\nAuthorization: Bearer t0ken\r\nX-Site: here\r\n\r\na=1&b=2" in sent
    assert b"Content-Length: 7\r\n" in sent
    url = _file(tmp_path, "http://www.example.com/")
    assert asked("http_proxy", request=f"@{url}").startswith(b"GET http://www.example.com/ ")


def _file(directory: Path, text: str) -> Path:
    path = directory / "file"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no colon t0ken", "check_headers, in {path}: line 1 is not a header line: write Name: value"),
        (
            "X: t0k\u00e9n",
            "the request cannot be sent: host, path and headers must be ASCII, and Content-Length that of the body",
        ),
        (None, "the secret in {path} cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_sent_is_named_and_not_shown(text: str | None, reason: str, tmp_path: Path) -> None:
    path = _file(tmp_path, text) if text is not None else tmp_path / "file"
    result = try_tcp(says(http()), settings("http", headers=f"@{path}"))
    assert result.reason == reason.format(path=path)


def test_what_may_be_secret_is_not_in_what_settings_look_like() -> None:
    shown = repr(settings("http", headers="X: t0ken", request="t0ken", user="u", secret="t0ken", path="/health"))
    assert "/health" in shown
    assert "t0ken" not in shown
