"""A peer that is neither up nor down: passes on what a real server says late, or only the first bytes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

CHUNK = 65536


@dataclass
class Fault:
    """What a proxy does to the server's answers: no more than `cut` bytes of them (None: all), each `delay` seconds late.

    `passed` counts what went through.
    """

    cut: int | None = None
    delay: float = 0.0
    passed: int = 0

    def allowed(self, data: bytes) -> bytes:
        """What may pass of `data`."""
        room = len(data) if self.cut is None else max(0, self.cut - self.passed)
        self.passed += len(data[:room])
        return data[:room]

    @property
    def spent(self) -> bool:
        """Whether nothing more will pass."""
        return self.cut is not None and self.passed >= self.cut


@asynccontextmanager
async def tcp_proxy(host: str, server: str, port: int, fault: Fault) -> AsyncIterator[None]:
    """Listens at `host` on the port of `server`; a connection is closed once its bytes are spent."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await _serve(reader, writer, server, port, fault)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            tasks.discard(task)
            writer.close()

    listener = await asyncio.start_server(serve, host, port)
    try:
        yield
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: str, port: int, fault: Fault
) -> None:
    if fault.spent:
        return
    back_reader, back_writer = await asyncio.open_connection(server, port)
    forth = asyncio.ensure_future(_pass_on(reader, back_writer))
    try:
        while not fault.spent:
            data = await back_reader.read(CHUNK)
            if not data:
                return
            await asyncio.sleep(fault.delay)
            writer.write(fault.allowed(data))
            await writer.drain()
    finally:
        forth.cancel()
        await asyncio.gather(forth, return_exceptions=True)
        back_writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


class _Back(asyncio.DatagramProtocol):
    """Towards the server, for one client."""

    def __init__(self, front: asyncio.DatagramTransport, client: tuple[str, int], fault: Fault) -> None:
        self.front, self.client, self.fault = front, client, fault

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        answer = self.fault.allowed(data)
        asyncio.get_running_loop().call_later(self.fault.delay, self._answer, answer)

    def _answer(self, data: bytes) -> None:
        if not self.front.is_closing():
            self.front.sendto(data, self.client)


class _Front(asyncio.DatagramProtocol):
    """Towards the clients; the datagram of each opens a way to the server."""

    def __init__(self, server: str, port: int, fault: Fault) -> None:
        self.remote, self.fault = (server, port), fault
        self.backs: set[asyncio.DatagramTransport] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.front = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.tasks.add(asyncio.ensure_future(self._pass_on(data, address)))

    async def _pass_on(self, data: bytes, client: tuple[str, int]) -> None:
        back, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Back(self.front, client, self.fault), remote_addr=self.remote
        )
        self.backs.add(back)
        back.sendto(data)


@asynccontextmanager
async def udp_proxy(host: str, server: str, port: int, fault: Fault) -> AsyncIterator[None]:
    """The same for datagrams: they arrive shortened to what is left of `cut`."""
    transport, front = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Front(server, port, fault), local_addr=(host, port)
    )
    try:
        yield
    finally:
        await asyncio.gather(*front.tasks)
        for each in (transport, *front.backs):
            each.close()
