"""The client's process: asks the VIPs at a steady rate and writes down every request's fate, one JSON line each.

Run as a program inside the client's namespace: LOG INTERVAL TIMEOUT KIND... . Every request has a socket, and so a source
port, of its own, as a resolver's and a new browser's has: nothing in between can know it from before. No request is repeated.
SIGTERM: no new requests, the last answers are waited for.
"""
from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
import sys
import time
from typing import TextIO

VIP = {"4": "192.0.2.53", "6": "2001:db8:53::53"}
QUESTION = b"\x06whoami\x07anycast\x04test\x00\x00\x10\x00\x01"
HTTP_REQUEST = b"GET / HTTP/1.1\r\nHost: www.anycast.test\r\nConnection: close\r\n\r\n"


class Wrong(Exception):
    """An answer came, and it is not one to be happy with."""


class Waiter(asyncio.DatagramProtocol):
    """One datagram sent, the first answer or error kept."""

    def __init__(self, question: bytes, answer: asyncio.Future[bytes]) -> None:
        self._question, self._answer = question, answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.sendto(self._question)  # type: ignore[attr-defined]

    def datagram_received(self, data: bytes, _address: object) -> None:
        if not self._answer.done():
            self._answer.set_result(data)

    def error_received(self, error: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(error)


async def ask_dns(address: str) -> str:
    """Name in the TXT record that the server answers with."""
    loop = asyncio.get_running_loop()
    number = os.urandom(2)
    answer: asyncio.Future[bytes] = loop.create_future()
    question = number + struct.pack("!5H", 0, 1, 0, 0, 0) + QUESTION
    transport, _ = await loop.create_datagram_endpoint(lambda: Waiter(question, answer), remote_addr=(address, 53))
    try:
        data = await answer
    finally:
        transport.close()
    flags, _questions, answers = struct.unpack("!3H", data[2:8])
    if data[:2] != number or flags & 0xF or answers != 1:
        raise Wrong(f"DNS answer with flags {flags:#06x} and {answers} records")
    # Header, question, then a record of a 2-byte name pointer, type, class, TTL, length, and the length of the one string.
    text = data[12 + len(QUESTION) + 12 :]
    return text[1 : 1 + text[0]].decode()


async def ask_http(address: str) -> str:
    """Name in the body that the server answers with."""
    reader, writer = await asyncio.open_connection(address, 80)
    try:
        writer.write(HTTP_REQUEST)
        reply = await reader.read()
    finally:
        writer.transport.abort()
    head, _, body = reply.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise Wrong(f"HTTP answer {head[:40]!r}")
    return body.decode().strip()


async def request(kind: str, timeout: float, log: TextIO) -> None:
    """One request and its line in the log."""
    ask = ask_dns if kind.startswith("dns") else ask_http
    sent = time.time()
    server: str | None = None
    error: str | None = None
    try:
        server = await asyncio.wait_for(ask(VIP[kind[-1]]), timeout)
    except asyncio.TimeoutError:
        error = "no answer"
    except (OSError, Wrong) as failure:
        error = f"{type(failure).__name__}: {failure}"
    answered = time.time() if server else None
    line = {"kind": kind, "sent": sent, "answered": answered, "server": server, "error": error}
    log.write(json.dumps(line) + "\n")


async def stream(kind: str, offset: float, interval: float, timeout: float, log: TextIO, stop: asyncio.Event) -> None:
    """One kind of request every `interval` seconds, even if earlier ones are unanswered."""
    pending: set[asyncio.Task[None]] = set()
    due = time.monotonic() + offset
    while not stop.is_set():
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        task = asyncio.create_task(request(kind, timeout, log))
        pending.add(task)
        task.add_done_callback(pending.discard)
        due += interval
    if pending:
        await asyncio.wait(pending)


async def main(path: str, interval: float, timeout: float, kinds: list[str]) -> None:
    """Every kind at its rate, evenly shifted, until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    with open(path, "a", buffering=1) as log:
        await asyncio.gather(
            *(stream(kind, index * interval / len(kinds), interval, timeout, log, stop) for index, kind in enumerate(kinds))
        )


if __name__ == "__main__":
    socket.setdefaulttimeout(None)
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]))
