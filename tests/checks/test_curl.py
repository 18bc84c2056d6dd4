"""An HTTP check is no stricter than curl: both are given imperfect answers that are common, and judge them alike.

Where they differ it is on purpose, and docs/checks.md says so.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ocfpy.checks import make_check
from ocfpy.checks.base import Result
from ocfpy.checks.settings import CheckSettings
from ocfpy.ocf.addresses import parse_address

PATIENCE_S = 20
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "checks.md"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
COMPLETE = b"Content-Length: 5\r\n\r\nhello"
LONG = b"X: " + b"x" * 8000 + b"\r\n"

ANSWERS = {
    "as it should be": OK + COMPLETE,
    "HTTP/1.0, to the end of the connection": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "no reason phrase": b"HTTP/1.1 200\r\n" + COMPLETE,
    "no reason phrase, with the blank": b"HTTP/1.1 200 \r\n" + COMPLETE,
    "a reason phrase in Latin-1": b"HTTP/1.1 200 In Ordnung, Gr\xfc\xdfe\r\n" + COMPLETE,
    "line feeds alone": b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "lines of both kinds": b"HTTP/1.1 200 OK\nContent-Length: 5\r\n\nhello",
    "a header line without a colon": OK + b"nonsense\r\n" + COMPLETE,
    "a blank before the colon": OK + b"Server : x\r\n" + COMPLETE,
    "a blank in the name of a header": OK + b"My Server: x\r\n" + COMPLETE,
    "a header that is continued": OK + b"X: a\r\n b\r\n" + COMPLETE,
    "a header without a value": OK + b"X:\r\n" + COMPLETE,
    "a header without a name": OK + b": x\r\n" + COMPLETE,
    "control characters in a header": OK + b"X: \x01\x1b[31m\x7f\r\n" + COMPLETE,
    "Latin-1 in a header": OK + b"X: \xe4\r\n" + COMPLETE,
    "letters of either case": b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 5\r\n\r\nhello",
    "no blank after the colon": OK + b"Content-Length:5\r\n\r\nhello",
    "Content-Length twice, the same": OK + b"Content-Length: 5\r\n" + COMPLETE,
    "Content-Length with zeros before": OK + b"Content-Length: 0005\r\n\r\nhello",
    "Content-Length of 30 digits": OK + b"Content-Length: " + b"9" * 30 + b"\r\n\r\nhello",
    "Content-Length that is no number": OK + b"Content-Length: five\r\n\r\nhello",
    "Content-Length below zero": OK + b"Content-Length: -5\r\n\r\nhello",
    "more than Content-Length": OK + COMPLETE + b" and more",
    "less than Content-Length": OK + b"Content-Length: 9\r\n\r\nhello",
    "chunks": CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
    "chunks in capitals with zeros": CHUNKED + b"00005\r\nhello\r\n000\r\n\r\n",
    "chunks with extensions": CHUNKED + b"5;a=b\r\nhello\r\n0;c\r\n\r\n",
    "chunks with a blank after the size": CHUNKED + b"5  \r\nhello\r\n0\r\n\r\n",
    "chunks with line feeds alone": CHUNKED + b"5\nhello\n0\n\n",
    "chunks with trailers": CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    "chunks without an end": CHUNKED + b"5\r\nhello\r\n",
    "chunks that end in the middle": CHUNKED + b"9\r\nhello",
    "chunks without the last line": CHUNKED + b"5\r\nhello\r\n0\r\n",
    "chunks whose size is no number": CHUNKED + b"five\r\nhello\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "chunks and a Content-Length": OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "Chunked with a capital": OK + b"Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "Transfer-Encoding identity": OK + b"Transfer-Encoding: identity\r\n" + COMPLETE,
    "headers of 40 KiB": OK + LONG * 5 + COMPLETE,
    "headers of 100 KiB": OK + LONG * 12 + COMPLETE,
    "a header of 60 KiB": OK + b"Set-Cookie: " + b"x" * 60_000 + b"\r\n" + COMPLETE,
    "1,000 headers": OK + b"X: y\r\n" * 1000 + COMPLETE,
    "100 Continue before": b"HTTP/1.1 100 Continue\r\n\r\n" + OK + COMPLETE,
    "103 Early Hints before": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK + COMPLETE,
    "204 with a body": b"HTTP/1.1 204 No Content\r\n" + COMPLETE,
    "204 with a body that ends too early": b"HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\nhello",
    "an unknown status": b"HTTP/1.1 299 Fine\r\n" + COMPLETE,
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n" + COMPLETE,
    "a status that is no number": b"HTTP/1.1 OK\r\n" + COMPLETE,
    "two blanks before the status": b"HTTP/1.1  200 OK\r\n" + COMPLETE,
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\n" + COMPLETE,
    "HTTP/2 as text": b"HTTP/2 200 OK\r\n" + COMPLETE,
    "HTTP/3.0 as text": b"HTTP/3.0 200 OK\r\n" + COMPLETE,
    "http in small letters": b"http/1.1 200 OK\r\n" + COMPLETE,
    "ICY": b"ICY 200 OK\r\n" + COMPLETE,
    "an empty line first": b"\r\n" + OK + COMPLETE,
    "HTTP/0.9": b"hello",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "nothing": b"",
    "headers without an end": OK + b"Content-Le",
    "headers that end with the connection": OK + b"Server: x\r\n",
    "a body of two MiB": OK + b"Content-Length: 2097152\r\n\r\n" + b"x" * 2097152,
    "Content-Length twice, not the same": OK + b"Content-Length: 6\r\n" + COMPLETE,
    "Content-Length as a list": OK + b"Content-Length: 5, 5\r\n\r\nhello",
    "Content-Length with a plus": OK + b"Content-Length: +5\r\n\r\nhello",
    "a NUL in a header": OK + b"X: a\0b\r\n" + COMPLETE,
    "headers of 200 KiB": OK + LONG * 25 + COMPLETE,
    "headers of 300 KiB": OK + LONG * 38 + COMPLETE,
    "a chunk that is longer than it says": CHUNKED + b"3\r\nhello\r\n0\r\n\r\n",
    "gzip as Transfer-Encoding": OK + b"Transfer-Encoding: gzip\r\n\r\nhello",
    "20 times 100 Continue": b"HTTP/1.1 100 Continue\r\n\r\n" * 20 + OK + COMPLETE,
}
REFUSED_HERE = {
    "headers without an end": "in the middle of the headers",
    "headers that end with the connection": "in the middle of the headers",
    "Content-Length twice, not the same": "several Content-Lengths that differ",
    "Content-Length with a plus": "a Content-Length that is not made of digits",
    "headers of 300 KiB": "256 KiB of headers",
    "20 times 100 Continue": "16 answers 1xx",
}
"""What is refused although curl takes it, each with the words for it in docs/checks.md."""
TAKEN_HERE = ("a header line without a colon", "HTTP/1.2", "a NUL in a header")
"""What curl refuses, and other clients do not."""


@contextmanager
def server(answer: bytes) -> Iterator[int]:
    """A server on the loopback that gives each request this answer and closes; yields its port."""
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(PATIENCE_S)
                try:
                    request = b""
                    while b"\r\n\r\n" not in request and (more := connection.recv(65536)):
                        request += more
                    connection.sendall(answer)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):  # or what is not read yet would be lost with a reset
                        pass
                except OSError:
                    pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        try:
            yield port
        finally:
            ended.set()
            socket.create_connection(("127.0.0.1", port)).close()
            thread.join(PATIENCE_S)


def curl(port: int) -> bool:
    """Whether curl has got an answer 2xx, all of it."""
    command = ["curl", "-q", "-s", "-f", "--noproxy", "*", "-o", "/dev/null", "-m", str(PATIENCE_S), f"http://127.0.0.1:{port}/"]
    return subprocess.run(command, timeout=2 * PATIENCE_S).returncode == 0


def check(port: int) -> Result:
    settings = CheckSettings("http", timeout=float(PATIENCE_S))
    return asyncio.run(make_check(parse_address("127.0.0.1"), port, settings).run())


@pytest.mark.parametrize("name", ANSWERS)
def test_a_check_is_no_stricter_than_curl(name: str) -> None:
    with server(ANSWERS[name]) as port:
        result = check(port)
        expected = curl(port)
    if name in REFUSED_HERE:
        assert (result.ok, expected) == (False, True)
        assert REFUSED_HERE[name] in " ".join(DOCUMENT.read_text().split())
    else:
        assert result.ok == (expected or name in TAKEN_HERE), result.reason or "curl refuses it"
