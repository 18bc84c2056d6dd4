"""TCP: the server accepts a connection and, if requested, answers as expected."""

from __future__ import annotations

import errno
import os
import select
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Callable

from ocfpy.checks.base import Check, CheckFailed, Result, Shortcut, readable
from ocfpy.checks.expect import unescape
from ocfpy.checks.options import NetworkOptions, Source, option, source
from ocfpy.checks.result import not_made
from ocfpy.checks.timer import Poller

if TYPE_CHECKING:
    import asyncio

MAX_ANSWER = 65536
"""Bytes of an answer that are searched for the expected text."""

FAILED = select.EPOLLERR | select.EPOLLHUP


@dataclass(frozen=True)
class ExchangeOptions(NetworkOptions):
    """What is sent, and the text that is to come back."""

    request: Source[bytes] = source(unescape)
    expect: str = option()


class TcpCheck(Check):
    """Connects and sends `request`, if there is one; with `expect` it reads until that text arrives."""

    options_type = ExchangeOptions
    options: ExchangeOptions

    def shortcut(self) -> Shortcut | None:
        """There is one where there is nothing to do but to connect."""
        return None if self.options.request.text or self.matches is not None or self.way is not None else self._connect

    def _connect(self, loop: asyncio.AbstractEventLoop, tell: Callable[[Result], None]) -> None:
        begun = loop.time()

        def end(error: OSError | None, reason: str = "") -> None:
            if error is not None:
                lack, reason = self.lack(error), self.in_words(error)
                if lack:
                    tell(not_made(lack, loop.time() - begun))
                    return
            tell(Result(not reason, reason and readable(reason), loop.time() - begun))

        def connected(events: int) -> None:
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if events & FAILED else 0
            sock.close()
            end(_os_error(error), "" if events else self.timed_out())

        try:
            sock, error = self.connecting(socket.SOCK_STREAM)
        except OSError as failed:
            end(failed)
            return
        if error == errno.EINPROGRESS:
            Poller.of(loop).wait_for(sock.fileno(), select.EPOLLOUT, self.settings.timeout, connected)
        else:
            sock.close()
            end(_os_error(error))

    async def attempt(self) -> None:
        with await self.open() as stream:
            if self.options.request.text:
                self.doing = "sending the request"
                await stream.send(self.value(self.options.request))
            if self.matches is None:
                return
            self.doing = f"waiting for '{self.expect}'"
            answer = b""
            while len(answer) < MAX_ANSWER:
                more = await stream.receive()
                if not more:
                    raise CheckFailed(f"connection closed without '{self.expect}'")
                answer += more
                if self.matches(answer.decode(errors="replace")):
                    return
            raise CheckFailed(f"no '{self.expect}' in the first {MAX_ANSWER} bytes")


def _os_error(number: int) -> OSError | None:
    return OSError(number, os.strerror(number)) if number else None
