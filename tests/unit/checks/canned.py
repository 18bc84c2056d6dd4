"""A check without a server: its answers are a list, and what it was sent is another."""

from __future__ import annotations

import asyncio
from typing import Any, Callable, cast

from ocfpy.checks import make_check
from ocfpy.checks.base import Check, CheckFailed, Result, TimedOut
from ocfpy.checks.settings import CheckSettings
from ocfpy.checks.stream import Stream
from ocfpy.ocf.addresses import parse_address

FINE = "fine"


def outcome(parse: Callable[..., object], *arguments: object) -> str:
    """FINE, or why a pure function refuses what it is given."""
    try:
        parse(*arguments)
    except (ValueError, CheckFailed) as refusal:
        return str(refusal)
    return FINE


def check_of(kind: str, **options: str) -> Check:
    """A check of a type that has these options."""
    return make_check(parse_address("192.0.2.1"), 9, CheckSettings(kind, options=options.items()))


class Canned(Stream):
    """A connection on which those bytes arrive, and then its end."""

    def __init__(self, chunks: list[bytes], sent: list[bytes]) -> None:
        super().__init__(cast(Any, None), cast(Any, None))
        self.chunks = chunks
        self.sent = sent

    async def _receive(self) -> bytes:
        return self.chunks.pop(0) if self.chunks else b""

    async def _send(self, data: bytes) -> None:
        self.sent.append(data)

    def local(self) -> tuple[str, int]:
        return "192.0.2.1", 1

    def close(self) -> None:
        pass


class CannedDatagrams:
    """The same for datagrams; in the end nothing comes any more."""

    def __init__(self, chunks: list[bytes], sent: list[bytes]) -> None:
        self.chunks = chunks
        self.sent = sent

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    async def receive(self) -> bytes:
        if not self.chunks:
            raise TimedOut
        return self.chunks.pop(0)

    def local(self) -> tuple[str, int]:
        return "192.0.2.1", 1

    def __enter__(self) -> CannedDatagrams:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def tell(check: Check, chunks: list[bytes]) -> tuple[Result, list[bytes]]:
    """What a check makes of those answers, all of them there from the beginning, and what it has said."""
    sent: list[bytes] = []

    async def stream() -> Any:
        return Canned(chunks, sent)

    async def datagrams() -> Any:
        return CannedDatagrams(chunks, sent)

    check.open, check.open_datagrams = stream, datagrams  # type: ignore[method-assign]
    return asyncio.run(check.run()), sent
