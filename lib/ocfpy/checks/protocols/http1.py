"""Parses an HTTP/1.x response: its status, and the beginning of its body.

Our own, because a check must not be stricter than the clients are: h11 refuses header lines that every browser and curl skip,
and its limit for the headers depends on how TCP splits the response. tests/checks/test_curl.py compares this module with curl;
docs/checks.md lists what is refused here although curl accepts it.
"""

from __future__ import annotations

import re

from ocfpy.checks.words import said

MAX_HEAD = 256 << 10
"""Bytes of status line and headers, and of the trailers of a chunked body. As in Chromium; curl 8 has 300 KiB."""
MAX_BODY = 1 << 20
"""Most bytes of a body that are read."""
MAX_INFORMATIONAL = 16
"""Most responses 1xx before the final one."""
MAX_CHUNK_LINE = 4096
"""Bytes of the line before a chunk: its size in hexadecimal digits, and extensions, which are ignored."""
MAX_DIGITS = 16
"""Hexadecimal digits of a chunk's size."""
ENDLESS = 1 << 62
"""The length of a body that ends with the connection, or whose length is too large a number to matter."""
SWITCHING_PROTOCOLS, NO_CONTENT, NOT_MODIFIED = 101, 204, 304

_BLANK_LINE = re.compile(rb"\n\r?\n")
_STATUS_LINE = re.compile(rb"HTTP/(?:1\.[0-9]|2) +([1-9][0-9][0-9])(?: .*)?", re.IGNORECASE)
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]+)[ \t]*(?:;.*)?")
_BEGINS = b"HTTP/"
_LONGEST_DECIMAL = 18


class Response:
    """A response while it arrives. `status` is 0 until its headers are complete; `body` is what has arrived, `done` at its end.

    `method` is that of the request. `feed` raises ValueError with a sentence for anything but HTTP, or too much of it; the
    result does not depend on how the bytes are split.
    """

    def __init__(self, method: str) -> None:
        self.status = 0
        self.body = bytearray()
        self.done = False
        self.begun = False
        self._method = method
        self._kept = bytearray()
        self._looked_at = 0
        self._informational = 0
        self._chunks: _ChunkedBody | None = None
        self._left = 0

    def feed(self, data: bytes) -> None:
        """Parse the next bytes of the connection."""
        self.begun = True
        self._kept += data
        while not self.status:
            if not self._read_head():
                return
        if not self.done and self._chunks is not None:
            del self._kept[: self._chunks.read(bytes(self._kept), self.body)]
            self.done = self._chunks.done
        elif not self.done:
            self._read_plain()
        if len(self.body) >= MAX_BODY:
            del self.body[MAX_BODY:]
            self.done = True

    def end(self) -> None:
        """Note the end of the connection. Raises ValueError when it comes too early."""
        if self.status and self._chunks is None and self._left > ENDLESS // 2:
            self.done = True
        if not self.done:
            where = "in the middle of the answer" if self.begun else "before an answer"
            raise ValueError(f"connection closed {where}")

    def _read_head(self) -> bool:
        """Parse the headers, of a response 1xx or of the final one; return whether they are complete."""
        kept = self._kept
        if kept[: len(_BEGINS)].upper() != _BEGINS[: len(kept)]:
            line, _, _ = bytes(kept[:MAX_CHUNK_LINE]).partition(b"\n")
            raise ValueError(f"not an HTTP answer: {said(line) or 'an empty line'}")
        blank = _BLANK_LINE.search(kept, self._looked_at, MAX_HEAD)
        if blank is None:
            self._looked_at = max(0, len(kept) - 2)
            if len(kept) >= MAX_HEAD:
                raise ValueError(f"the headers have more than {MAX_HEAD >> 10} KiB")
            return False
        lines = [line.rstrip(b"\r") for line in bytes(kept[: blank.start()]).split(b"\n")]
        del kept[: blank.end()]
        self._looked_at = 0
        match = _STATUS_LINE.fullmatch(lines[0])
        if match is None:
            raise ValueError(f"not an HTTP answer: {said(lines[0])}")
        status = int(match.group(1))
        if status < 200 and status != SWITCHING_PROTOCOLS:
            self._informational += 1
            if self._informational > MAX_INFORMATIONAL:
                raise ValueError(f"more than {MAX_INFORMATIONAL} responses 1xx without a final one")
            return True
        self._frame(status, lines[1:])
        self.status = status
        return True

    def _frame(self, status: int, lines: list[bytes]) -> None:
        """Find out where the body ends (RFC 9112, 6.3)."""
        lengths, codings = set(), []
        for line in lines:
            name, colon, value = line.partition(b":")
            name = name.rstrip(b" \t").lower()
            if not colon:
                continue  # like curl
            if name == b"content-length":
                lengths |= {part.strip() for part in value.split(b",")}
            elif name == b"transfer-encoding":
                codings += [part.strip().lower() for part in value.split(b",") if part.strip()]
        codings = [coding for coding in codings if coding != b"identity"]
        if status in (SWITCHING_PROTOCOLS, NO_CONTENT, NOT_MODIFIED) or self._method == "HEAD" or self._is_tunnel(status):
            self.done = True
        elif codings:
            if codings != [b"chunked"]:
                raise ValueError(f"Transfer-Encoding: {said(b', '.join(codings))} was not asked for")
            self._chunks = _ChunkedBody()
        elif lengths:
            self._left = _length(lengths)
            self.done = not self._left
        else:
            self._left = ENDLESS

    def _is_tunnel(self, status: int) -> bool:
        return self._method == "CONNECT" and 200 <= status < 300

    def _read_plain(self) -> None:
        part = self._kept[: self._left]
        self._kept = bytearray()
        self.body += part
        self._left -= len(part)
        self.done = not self._left


class _ChunkedBody:
    """Decode a chunked body (RFC 9112, 7.1)."""

    def __init__(self) -> None:
        self.done = False
        self._next = self._size
        self._left = 0
        self._trailers = 0

    def read(self, data: bytes, body: bytearray) -> int:
        """Append to the body, up to MAX_BODY; return how many bytes of `data` were used. Raises ValueError."""
        at = 0
        while len(body) < MAX_BODY and not self.done:
            if self._left:
                part = data[at : at + self._left]
                body += part
                at += len(part)
                self._left -= len(part)
                if self._left:
                    break
            end = data.find(b"\n", at, at + MAX_CHUNK_LINE)
            if end < 0:
                if len(data) - at >= MAX_CHUNK_LINE:
                    raise ValueError(f"not an HTTP answer: a line of the chunked body has more than {MAX_CHUNK_LINE} bytes")
                break
            self._next(data[at:end].rstrip(b"\r"))
            at = end + 1
        return at

    def _size(self, line: bytes) -> None:
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None or len(match.group(1)) > MAX_DIGITS:
            raise ValueError(f"not an HTTP answer: the size of a chunk is {said(line) or 'missing'}")
        self._left = int(match.group(1), 16)
        self._next = self._end_of_data if self._left else self._trailer

    def _end_of_data(self, line: bytes) -> None:
        if line:
            raise ValueError(f"not an HTTP answer: a chunk is longer than it says, by {said(line)}")
        self._next = self._size

    def _trailer(self, line: bytes) -> None:
        self._trailers += len(line)
        if self._trailers > MAX_HEAD:
            raise ValueError(f"the trailers have more than {MAX_HEAD >> 10} KiB")
        self.done = not line


def _length(texts: set[bytes]) -> int:
    """Return the value of Content-Length, which may occur several times. Raises ValueError."""
    if len(texts) > 1:
        raise ValueError(f"not an HTTP answer: several Content-Lengths: {said(b', '.join(sorted(texts)))}")
    (text,) = texts
    if not text.isdigit():
        raise ValueError(f"not an HTTP answer: Content-Length: {said(text)}")
    digits = text.lstrip(b"0")
    return int(digits or b"0") if len(digits) <= _LONGEST_DECIMAL else ENDLESS
