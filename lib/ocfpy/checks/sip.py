"""SIP: the server answers OPTIONS, over UDP, TCP or TLS."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ocfpy.checks.base import Check, CheckFailed, Stream
from ocfpy.checks.expect import parse_sip_uri, parse_status
from ocfpy.checks.words import said

if TYPE_CHECKING:
    from ocfpy.checks.settings import CheckSettings
    from ocfpy.ocf.addresses import Address

MAX_LINES = 200
"""Lines in the head of an answer."""
MAX_ANSWERS = 50
"""Late or provisional answers that are skipped."""
FINAL = 200
"""Answers below this number are provisional: the final one follows (RFC 3261, 7.2)."""
COOKIE = "z9hG4bK"
"""The prefix of every request's branch, RFC 3261, 8.1.1.7."""


class Answer:
    """The head of an answer."""

    def __init__(self, status: int, phrase: str, call: str) -> None:
        self.status = status
        self.phrase = phrase
        self.call = call


class SipCheck(Check):
    """Sends OPTIONS to the server itself or to `request`, a SIP URI."""

    def __init__(self, address: Address, port: int, settings: CheckSettings) -> None:
        super().__init__(address, port, settings)
        self._own_uri = f"{'sips' if self.kind.tls else 'sip'}:{_authority(self.host, port)}"
        self.wanted = [parse_status(word) for word in settings["status"].split()]

    async def attempt(self) -> None:
        call = os.urandom(8).hex()
        answer = await (self._over_tcp(call) if self._is_stream() else self._over_udp(call))
        if not any(answer.status in wanted for wanted in self.wanted):
            wanted = " or ".join(map(str, self.wanted))
            raise CheckFailed(f"SIP status {answer.status} {answer.phrase}, not {wanted}")

    def _is_stream(self) -> bool:
        return self.kind.tls or self.settings["transport"] == "tcp"

    async def _over_udp(self, call: str) -> Answer:
        with await self.open_datagrams() as server:
            self.doing = "waiting for the answer"
            server.send(self.request(call, *server.local()))
            for _ in range(MAX_ANSWERS):
                lines = (await server.receive()).split(b"\n")
                ends = [number for number, line in enumerate(lines) if not line.rstrip(b"\r")]
                if len(lines) == 1 or not ends or ends[0] == len(lines) - 1:
                    raise CheckFailed(f"not a SIP answer: {said(lines[0])}")
                answer = parse([line.rstrip(b"\r") for line in lines[: ends[0]]])
                if answer.call == call and answer.status >= FINAL:
                    return answer
            raise CheckFailed(f"no final answer among {MAX_ANSWERS}")

    async def _over_tcp(self, call: str) -> Answer:
        with await self.open() as stream:
            self.doing = "waiting for the answer"
            await stream.send(self.request(call, *stream.local()))
            for _ in range(MAX_ANSWERS):
                answer = parse(await _head(stream))
                if answer.call == call and answer.status >= FINAL:
                    return answer
            raise CheckFailed(f"no final answer among {MAX_ANSWERS}")

    def request(self, call: str, host: str, port: int) -> bytes:
        """Return OPTIONS, sent from that address and port; `call` is new each time."""
        ourselves = _authority(host, port)
        uri = self.parsed("request", parse_sip_uri) if self.settings["request"] else self._own_uri
        transport = "TLS" if self.kind.tls else "TCP" if self._is_stream() else "UDP"
        lines = (
            f"OPTIONS {uri} SIP/2.0",
            f"Via: SIP/2.0/{transport} {ourselves};branch={COOKIE}{call};rport",
            "Max-Forwards: 70",
            f"From: <sip:ocf-anycast@{ourselves}>;tag={call}",
            f"To: <{uri}>",
            f"Call-ID: {call}",
            "CSeq: 1 OPTIONS",
            f"Contact: <sip:ocf-anycast@{ourselves}>",
            "Accept: application/sdp",
            "User-Agent: ocf-anycast",
            "Content-Length: 0",
        )
        return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


async def _head(stream: Stream) -> list[bytes]:
    lines: list[bytes] = []
    for _ in range(MAX_LINES):
        line = await stream.line()
        if lines and not line:
            return lines
        if line:  # empty lines before an answer are skipped, RFC 3261, 7.5
            lines.append(line)
    raise CheckFailed(f"not a SIP answer: more than {MAX_LINES} lines")


def parse(lines: list[bytes]) -> Answer:
    """Parse the head of an answer; provisional answers, and the answers to OPTIONS that matter here, have no body.

    Raises CheckFailed.
    """
    version, _, rest = lines[0].partition(b" ") if lines else (b"", b"", b"")
    status, _, phrase = rest.partition(b" ")
    if version.upper() != b"SIP/2.0" or not (len(status) == 3 and status.isdigit()):
        raise CheckFailed(f"not a SIP answer: {said(lines[0] if lines else b'')}")
    fields = [line.partition(b":") for line in lines[1:]]
    calls = [value.strip() for name, _, value in fields if name.strip().lower() in (b"call-id", b"i")]
    return Answer(int(status), said(phrase), calls[0].decode(errors="replace") if calls else "")


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
