#!/usr/bin/python3
"""The real servers of ldirectord_same.py, all of them in one process: ldirectord_servers.py CERTIFICATE, a file that it makes.

They serve at all addresses; "down 12" and "up 12" on standard input take one out and bring it back.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import ssl
import subprocess
import sys
from collections.abc import Awaitable
from typing import Callable

NETS = ("10.254.1.{}", "fd00:254:1::{}")
ALIVE = (11, 12, 14, 15, 16)
"""Last parts of the addresses: 11 is right in everything, 12 does not know the password, 13 refuses everything and answers
pings, 14 says something else, 15 is there on port 8080 only, 16 sends redirects and fails in the DNS; what is sent to 18 is
never answered, and 19 cannot be reached."""
REFUSING, SILENT, UNREACHABLE = 13, 18, 19

SECRET = b"s3cret"
"""Of the RADIUS servers."""


def page(number: int, path: str, method: str) -> bytes:
    status, more = "200 OK", ""
    body = "Other Page" if "other" in path else "Wrong Page" if number == 14 else "Test Page\n"
    if number == 16 and path != "/index.html":
        status, more, body = "301 Moved Permanently", "Location: /index.html\r\n", ""
    elif "missing" in path:
        status, body = "404 Not Found", "nothing"
    head = f"HTTP/1.1 {status}\r\n{more}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return (head + ("" if method == "HEAD" else body)).encode()


async def http(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = (await reader.readuntil(b"\r\n\r\n")).decode()
    method, path, _ = request.split(None, 2)
    writer.write(page(number, path, method))


def dns_answer(number: int, query: bytes) -> bytes:
    """An address for www.example.com, a name for 192.0.2.7; another address from 14, REFUSED from 13, SERVFAIL from 16."""
    end = query.index(b"\0", 12) + 5
    question = query[12:end]
    if number in (REFUSING, 16):
        return query[:2] + bytes((0x84, 5 if number == REFUSING else 2)) + b"\0\1\0\0\0\0\0\0" + question
    if question[-4:-2] == b"\0\x0c":
        kind, data = b"\0\x0c", b"\3www\7example\3com\0"
    else:
        kind, data = b"\0\1", bytes((192, 0, 2, 9 if number == 14 else 7))
    record = b"\xc0\x0c" + kind + b"\0\1\0\0\0\x3c" + len(data).to_bytes(2, "big") + data
    return query[:2] + b"\x84\0\0\1\0\1\0\0\0\0" + question + record


async def dns_tcp(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    size = int.from_bytes(await reader.readexactly(2), "big")
    answer = dns_answer(number, await reader.readexactly(size))
    writer.write(len(answer).to_bytes(2, "big") + answer)


def radius_answer(number: int, query: bytes) -> bytes:
    """Access-Accept, from 14 Access-Reject (RFC 2865), with a Message-Authenticator (RFC 3579)."""
    head = bytes((3 if number == 14 else 2, query[1], 0, 38))
    attribute = bytes((80, 18))
    code = hmac.new(SECRET, head + query[4:20] + attribute + bytes(16), "md5").digest()
    return head + hashlib.md5(head + query[4:20] + attribute + code + SECRET).digest() + attribute + code


def sip_answer(number: int, query: bytes) -> bytes:
    status = b"404 Not Found" if number == 14 else b"200 OK"
    kept = [line for line in query.split(b"\r\n") if line.split(b":")[0] in (b"Via", b"From", b"To", b"Call-ID", b"CSeq")]
    return b"\r\n".join([b"SIP/2.0 " + status, *kept, b"Content-Length: 0", b"", b""])


ANSWERS = {53: dns_answer, 1812: radius_answer, 5060: sip_answer}


class Udp(asyncio.DatagramProtocol):
    def __init__(self, number: int, port: int) -> None:
        self.number = number
        self.port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport)
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(ANSWERS[self.port](self.number, data), addr)


async def udp(number: int, host: str, port: int) -> asyncio.BaseTransport:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: Udp(number, port), (host, port))
    return transport


async def smtp(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"554 go away\r\n" if number == 14 else b"220 here\r\n")
    while not (line := await reader.readline()).upper().startswith(b"QUIT") and line:
        writer.write(b"250 here\r\n")
    writer.write(b"221 bye\r\n")


async def pop(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"+OK here\r\n")
    while not (line := await reader.readline()).upper().startswith(b"QUIT") and line:
        refused = line.upper().startswith(b"PASS") and number == 12
        answer = b"+OK\r\nUSER\r\n.\r\n" if line.upper().startswith(b"CAPA") else b"+OK 0 0\r\n"
        writer.write(b"-ERR no\r\n" if refused else answer)
    writer.write(b"+OK bye\r\n")


async def imap(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"* OK [CAPABILITY IMAP4rev1] here\r\n")
    while line := await reader.readline():
        tag, verb, *_ = line.decode().split()
        refused = verb.upper() == "LOGIN" and number == 12
        if verb.upper() == "CAPABILITY":
            writer.write(b"* CAPABILITY IMAP4rev1\r\n")
        writer.write(f"{tag} {'NO' if refused else 'OK'} done\r\n".encode())
        if verb.upper() == "LOGOUT":
            break


async def nntp(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"502 no\r\n" if number == 14 else b"200 here\r\n")
    await reader.read()


async def echo(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    line = await reader.readline()
    writer.write(b"welcome\nyou said " + line)


async def ftp(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A file holds what a page does, but 12 accepts no login. ldirectord asks for PASV, and then sends PORT."""
    host = writer.get_extra_info("sockname")[0]
    client = writer.get_extra_info("peername")[0]
    transfers: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
    passive: asyncio.Server | None = None
    active = 0
    writer.write(b"220 here\r\n")
    while line := (await reader.readline()).decode():
        verb, _, rest = line.strip().upper().partition(" ")
        if verb == "PASV":
            passive = await asyncio.start_server(lambda _, transfer: transfers.put_nowait(transfer), host, 0)
            port = passive.sockets[0].getsockname()[1]
            writer.write(f"227 ({host.replace('.', ',')},{port // 256},{port % 256})\r\n".encode())
        elif verb == "RETR" and number != 12:
            writer.write(b"150 coming\r\n")
            transfer = (await asyncio.open_connection(client, active))[1] if active else await transfers.get()
            transfer.write(b"Wrong Page" if number == 14 else b"Test Page")
            transfer.close()
            writer.write(b"226 done\r\n")
        else:
            if verb == "PORT":
                *_, high, low = map(int, rest.split(","))
                active = high * 256 + low
            code = {"USER": 331, "PASS": 530 if number == 12 else 230, "RETR": 530, "CWD": 250, "QUIT": 221}.get(verb, 200)
            writer.write(f"{code} there\r\n".encode())
        if verb == "QUIT":
            break
    if passive is not None:
        passive.close()


def pieces(data: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of the BER elements that follow each other."""
    found = []
    while data:
        tag, size, start = data[0], data[1], 2
        if size & 0x80:
            start += size & 0x7F
            size = int.from_bytes(data[2:start], "big")
        found.append((tag, data[start : start + size]))
        data = data[start + size :]
    return found


def element(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return bytes((tag, len(content))) + content


async def ldap(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """RFC 4511: 12 takes anonymous binds only; what is searched for is there, but 14 has something else."""
    while True:
        head = await reader.readexactly(2)
        size = head[1]
        if size & 0x80:
            size = int.from_bytes(await reader.readexactly(size & 0x7F), "big")
        (_, message), (operation, content), *_ = pieces(await reader.readexactly(size))
        if operation == 0x42:  # unbind
            break
        parts = pieces(content)

        def answer(tag: int, *contents: bytes, message: bytes = message) -> None:
            writer.write(element(0x30, element(2, message), element(tag, *contents)))

        def result(tag: int, code: int = 0, answer: Callable[..., None] = answer) -> None:
            answer(tag, element(10, bytes([code])), element(4), element(4))

        if operation == 0x60:  # bind
            result(0x61, 49 if number == 12 and parts[2][1] else 0)
        else:
            answer(0x64, element(4, b"cn=other" if number == 14 else parts[0][1]), element(0x30))
            result(0x65)


SPEAKERS = {
    21: ftp, 25: smtp, 53: dns_tcp, 80: http, 110: pop, 119: nntp, 143: imap, 389: ldap, 443: http, 636: ldap, 993: imap,
    995: pop, 3128: http, 7000: echo, 8080: http,
}  # fmt: skip
SECURE = (443, 636, 993, 995)


async def serve(certificate: str) -> None:
    listening: dict[int, list[asyncio.AbstractServer | asyncio.BaseTransport]] = {}
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)

    async def start(number: int) -> None:
        found = listening.setdefault(number, [])
        for net in NETS:
            host = net.format(number)
            for port, speak in SPEAKERS.items():
                if number != 15 or port == 8080:
                    secure = tls if port in SECURE else None
                    found.append(await asyncio.start_server(speaker(number, speak), host, port, ssl=secure))
            for port in ANSWERS:
                found.append(await udp(number, host, port))

    for number in ALIVE:
        await start(number)
    for net in NETS:
        await udp(REFUSING, net.format(REFUSING), 53)
    print("ready", flush=True)
    while command := await asyncio.to_thread(sys.stdin.readline):
        word, address = command.split()
        if word == "up":
            await start(int(address))
        else:
            for one in listening.pop(int(address)):
                one.close()
        print("done", flush=True)


def self_signed(path: str) -> None:
    """Make a key and a certificate without a trusted signature."""
    command = "openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -subj /CN=here -days 9"
    subprocess.run([*command.split(), "-keyout", path, "-out", f"{path}.pem"], check=True, stderr=subprocess.DEVNULL)
    with open(path, "a") as file, open(f"{path}.pem") as more:
        file.write(more.read())


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Speak = Callable[[int, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def speaker(number: int, speak: Speak) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
            await speak(number, reader, writer)
            await writer.drain()
        writer.close()

    return talk


if __name__ == "__main__":
    self_signed(sys.argv[1])
    asyncio.run(serve(sys.argv[1]))
