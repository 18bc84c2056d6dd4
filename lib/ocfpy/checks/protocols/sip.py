"""SIP (RFC 3261), the client's side: OPTIONS, and the final answer to it."""

from __future__ import annotations

from typing import NamedTuple

from ocfpy.checks.errors import ProtocolError
from ocfpy.checks.protocols.connection import Connection
from ocfpy.checks.words import said

MAX_LINE = 65536
"""Longest line in bytes; a server that sends more speaks another protocol."""
MAX_LINES = 200
"""Most lines in the head of an answer, including empty ones before it."""
MAX_ANSWERS = 50
"""Most late or provisional answers that are skipped."""
FINAL = 200
"""Answers below this number are provisional: the final one follows (RFC 3261, 7.2)."""
COOKIE = "z9hG4bK"
"""The prefix of every request's branch, RFC 3261, 8.1.1.7."""


class Answer(NamedTuple):
    """The head of an answer; `call` identifies the request."""

    status: int
    phrase: str
    call: str


class SipConnection(Connection[Answer]):
    """The answers to the request `call`; the only event is the final one. Over UDP, each datagram is a whole answer."""

    def __init__(self, call: str) -> None:
        super().__init__()
        self._call = call
        self._passed_over = 0
        self._head: list[bytes] = []
        self._lines = 0

    def next_event(self) -> Answer | None:
        """Return the final answer, when its head is complete. Raises ProtocolError."""
        while (line := self._next_line()) is not None:
            self._lines += 1
            if line:
                self._head.append(line)
            elif self._head:  # empty lines before an answer are skipped, RFC 3261, 7.5
                answer = self._judge(parse(self._head))
                self._head, self._lines = [], 0
                if answer is not None:
                    return answer
        return None

    def receive_datagram(self, data: bytes) -> Answer | None:
        """Return the final answer, None for one that is late or provisional. Raises ProtocolError."""
        lines = data.split(b"\n")
        end = next((number for number, line in enumerate(lines) if not line.rstrip(b"\r")), len(lines) - 1)
        if end == len(lines) - 1:
            raise ProtocolError(f"not a SIP answer: {said(lines[0])}")
        return self._judge(parse([line.rstrip(b"\r") for line in lines[:end]]))

    def _next_line(self) -> bytes | None:
        if self._lines == MAX_LINES:
            raise ProtocolError(f"not a SIP answer: more than {MAX_LINES} lines")
        return self._incoming.line(MAX_LINE)

    def _judge(self, answer: Answer) -> Answer | None:
        if answer.call == self._call and answer.status >= FINAL:
            return answer
        self._passed_over += 1
        if self._passed_over == MAX_ANSWERS:
            raise ProtocolError(f"no final answer among {MAX_ANSWERS}")
        return None


def options_request(uri: str, transport: str, ourselves: str, call: str) -> bytes:
    """Return OPTIONS over UDP, TCP or TLS, sent from the address and port `ourselves`; `call` is new each time."""
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


def authority(host: str, port: int) -> str:
    """Return address and port as a URI has them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse(lines: list[bytes]) -> Answer:
    """Parse the head of an answer; provisional answers, and the answers to OPTIONS that matter here, have no body.

    Raises ProtocolError.
    """
    version, _, rest = lines[0].partition(b" ") if lines else (b"", b"", b"")
    status, _, phrase = rest.partition(b" ")
    if version.upper() != b"SIP/2.0" or not (len(status) == 3 and status.isdigit()):
        raise ProtocolError(f"not a SIP answer: {said(lines[0] if lines else b'')}")
    fields = [line.partition(b":") for line in lines[1:]]
    calls = [value.strip() for name, _, value in fields if name.strip().lower() in (b"call-id", b"i")]
    return Answer(int(status), said(phrase), calls[0].decode(errors="replace") if calls else "")
