"""What a checker gets from the keeper: contents of files that only root reads, and sockets that need privilege."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
from collections import deque
from typing import TYPE_CHECKING

from ocfpy.checks.errors import NotMade
from ocfpy.checks.provider import Provider, connecting
from ocfpy.checks.timer import TimedOut
from ocfpy.ocf.errors import HostError

if TYPE_CHECKING:
    import ssl

    from ocfpy.checks.options import TlsOptions
    from ocfpy.checks.provider import Target
    from ocfpy.checks.timer import Timer

    FileKey = tuple[str, ...]

MAX_GRANT = 4096
"""Bytes of a request for a socket, or its answer."""


class FileStore:
    """The files that the keeper has sent. TLS files are kept in memory files, because OpenSSL takes only paths."""

    def __init__(self) -> None:
        self._texts: dict[FileKey, str] = {}
        self._errors: dict[FileKey, str] = {}
        self._copies: dict[FileKey, dict[str, int]] = {}
        self._waiting: dict[FileKey, set[asyncio.Future[None]]] = {}

    def put(self, key: FileKey, contents: dict[str, str], error: str) -> None:
        """Store what the keeper read. Raises OSError."""
        old = self._copies.pop(key, {})
        self._texts.pop(key, None)
        self._errors.pop(key, None)
        if error:
            self._errors[key] = error
        elif key[0] == "secret":
            self._texts[key] = contents[key[1]]
        else:
            self._copies[key] = {path: _memory_file(base64.b64decode(data)) for path, data in contents.items()}
        for fd in old.values():
            os.close(fd)
        for waiter in self._waiting.pop(key, set()):
            if not waiter.done():
                waiter.set_result(None)

    async def secret(self, path: str, timer: Timer) -> str:
        """Return the secret in a file. Raises HostError, TimedOut while the keeper has not answered."""
        key = ("secret", path)
        await self._known(key, timer)
        return self._texts[key]

    async def tls(self, options: TlsOptions, timer: Timer) -> ssl.SSLContext:
        """Return the TLS context of files. Raises HostError, TimedOut while the keeper has not answered."""
        from ocfpy.checks.tls import context_for

        key = tls_key(options)
        await self._known(key, timer)
        copies = self._copies[key]
        return context_for(options, lambda path: f"/proc/self/fd/{copies[path]}")

    async def _known(self, key: FileKey, timer: Timer) -> None:
        while key not in self._texts and key not in self._copies and key not in self._errors:
            waiter = asyncio.get_running_loop().create_future()
            waiters = self._waiting.setdefault(key, set())
            waiters.add(waiter)
            try:
                await timer.result(waiter)
            finally:
                waiters.discard(waiter)
        if key in self._errors:
            raise HostError(self._errors[key])


def tls_key(options: TlsOptions) -> FileKey:
    """The key of a check's TLS files."""
    return ("tls", *options.files)


def _memory_file(data: bytes) -> int:
    fd = os.memfd_create("tls", os.MFD_CLOEXEC)
    with open(fd, "wb", closefd=False) as file:
        file.write(data)
    return fd


class SocketBroker:
    """Asks the keeper for sockets, over a socket of packets."""

    def __init__(self, channel: socket.socket) -> None:
        channel.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._channel = channel
        self._questions: deque[bytes] = deque()
        self._waiting: dict[int, asyncio.Future[socket.socket]] = {}
        self._last = 0
        self._loop.add_reader(channel.fileno(), self._read)

    async def socket(self, number: int, kind: int, timer: Timer) -> socket.socket:
        """Return a socket for the check with that number. Raises OSError, HostError, NotMade."""
        self._last += 1
        token, future = self._last, self._loop.create_future()
        self._waiting[token] = future
        self._questions.append(json.dumps([token, number, kind]).encode())
        self._send()
        try:
            sock: socket.socket = await timer.result(future)
            return sock
        except TimedOut:
            raise NotMade("the health daemon did not hand over a socket in time") from None
        finally:
            del self._waiting[token]

    def _send(self) -> None:
        try:
            while self._questions:
                self._channel.send(self._questions[0])
                self._questions.popleft()
        except BlockingIOError:
            self._loop.add_writer(self._channel.fileno(), self._send)
            return
        self._loop.remove_writer(self._channel.fileno())

    def _read(self) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self._channel, MAX_GRANT, 1, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        if not data:
            os._exit(0)  # the keeper is gone
        sock = socket.socket(fileno=fds[0]) if fds else None
        token, error, reason = json.loads(data)
        future = self._waiting.get(token)
        if future is None or future.done():
            if sock is not None:
                sock.close()
        elif sock is not None:
            future.set_result(sock)
        else:
            future.set_exception(HostError(reason) if reason else OSError(error, os.strerror(error)))


class KeeperProvider(Provider):
    """What one check gets from the keeper."""

    def __init__(self, number: int, files: FileStore, broker: SocketBroker) -> None:
        self._number = number
        self._files = files
        self._broker = broker

    async def secret(self, path: str, timer: Timer) -> str:
        """Return the secret that the keeper read last. Raises HostError, TimedOut."""
        return await self._files.secret(path, timer)

    async def tls(self, options: TlsOptions, timer: Timer) -> ssl.SSLContext:
        """Return the TLS context of the files that the keeper read last. Raises HostError, TimedOut."""
        return await self._files.tls(options, timer)

    async def connected(self, check: Target, kind: int, proto: int, port: int) -> tuple[socket.socket, int]:
        """Return a socket: from the keeper where it needs privilege, else one of this process."""
        if check.way is None and kind != socket.SOCK_RAW:
            return connecting(check, kind, proto, port)
        sock = await self._broker.socket(self._number, kind, check.timer)
        try:
            return sock, sock.connect_ex((check.host, port))
        except BaseException:
            sock.close()
            raise


class Via:
    """A path through the virtual service, as far as a checker knows it."""

    def __init__(self, hint: str) -> None:
        self._hint = hint

    def hint(self) -> str:
        """What to look at when no answer comes."""
        return self._hint


