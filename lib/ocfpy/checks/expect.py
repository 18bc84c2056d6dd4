"""Parses the requests and expected answers of checks, as users write them: names, URIs, status codes, text or a pattern.

Parsed by the agent, used by the checks.
"""

from __future__ import annotations

from ocfpy.ocf.addresses import shown
from ocfpy.ocf.values import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

REGEX_PREFIX = "re:"
LOWEST_STATUS = 100
HIGHEST_STATUS = 599
RCODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "NOTAUTH")
MAX_LABEL, MAX_NAME = 63, 253
"""Longest label, and longest name without the final dot, of the DNS (RFC 1035, 2.3.4)."""


class StatusRange(Record):
    """HTTP status codes from `low` to `high`, both included."""

    __slots__ = ("low", "high")  # noqa: RUF023 the order of the arguments

    def __init__(self, low: int, high: int) -> None:
        self.low = low
        self.high = high

    def __contains__(self, status: int) -> bool:
        return self.low <= status <= self.high

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}-{self.high}"


def parse_status(text: str) -> StatusRange:
    """Parse `200` or `200-299`. Raises ValueError with the fault."""
    low, dash, high = text.partition("-")
    if not dash:
        high = low
    if not all(part.isascii() and part.isdigit() and len(part) == 3 for part in (low, high)):
        raise ValueError(f"{text!r} is not an HTTP status: write 200 or 200-299")
    found = StatusRange(int(low), int(high))
    if not LOWEST_STATUS <= found.low <= found.high <= HIGHEST_STATUS:
        raise ValueError(
            f"{text!r} is not a range of HTTP statuses between {LOWEST_STATUS} and {HIGHEST_STATUS}"
        )
    return found


def parse_rcode(text: str) -> str:
    """Parse one of RCODES. Raises ValueError with all of them."""
    if text not in RCODES:
        raise ValueError(f"{shown(text)} is not one of {', '.join(RCODES)}")
    return text


def parse_name(text: str) -> str:
    """Parse a DNS name. Raises ValueError with the fault."""
    name = text[:-1] if text.endswith(".") else text
    labels = name.split(".") if text != "." else []
    if "" in labels:
        raise ValueError(f"{shown(text)} has an empty label: a dot at its beginning, or two in a row")
    longest = max(map(len, labels), default=0)
    if longest > MAX_LABEL:
        raise ValueError(f"{shown(text)} has a label of {longest} characters, the maximum is {MAX_LABEL}")
    if len(name) > MAX_NAME:
        raise ValueError(f"{shown(text)} has {len(name)} characters, the maximum is {MAX_NAME}")
    return text


def parse_proxy_request(text: str) -> str:
    """Parse the request for a proxy: a URL, or host and port of a tunnel. Raises ValueError."""
    scheme, separator, rest = text.partition("://")
    host, _, port = text.rpartition(":")
    is_url = bool(separator and scheme and rest and not rest.startswith("/"))
    is_endpoint = bool(not separator and host and port.isascii() and port.isdigit())
    if not (is_url or is_endpoint) or not text.isascii() or " " in text:
        raise ValueError("it is neither a URL, such as http://www.example.com/, nor like www.example.com:443")
    return text


def parse_sip_uri(text: str) -> str:
    """Parse the URI of a SIP request. Raises ValueError."""
    if not text.startswith(("sip:", "sips:", "tel:")) or not text.isascii() or " " in text:
        raise ValueError("it is not a URI such as sip:ping@example.com")
    return text


def matcher(expect: str) -> Callable[[str], bool]:
    """Return a function that tells whether a text contains `expect` or, after `re:`, matches the regular expression.

    Raises ValueError for an invalid expression; the function raises CheckFailed when a search takes too long.
    """
    if not expect.startswith(REGEX_PREFIX):
        return lambda text: expect in text
    import re  # only where it is needed: this module is part of every monitor

    from ocfpy.checks.pattern import Pattern

    try:
        return Pattern(expect[len(REGEX_PREFIX) :]).found_in
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"{expect!r} is not a regular expression: {error}") from None


def parse_headers(text: str) -> list[tuple[str, str]]:
    r"""Parse header lines, with an escaped line break (`\\n`) between two. Raises ValueError without the values."""
    headers = []
    for number, line in enumerate(filter(None, unescape(text).decode(errors="replace").splitlines()), 1):
        name, colon, value = line.partition(":")
        if not colon or not name or not set(name) <= _TOKEN or not value.isprintable():
            raise ValueError(f"line {number} is not a header line: write Name: value")
        headers.append((name, value.strip()))
    return headers


_TOKEN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~")
"""Characters of a header name (RFC 9110, 5.6.2)."""
_ESCAPES = {"r": "\r", "n": "\n", "t": "\t", "\\": "\\"}


def unescape(text: str) -> bytes:
    r"""Return the bytes of a text in which \r, \n, \t, \\ and \xHH are escapes as in C; the rest is UTF-8.

    Raises ValueError without the text, which may be secret.
    """
    first, *parts = text.replace("\\\\", "\\\0").split("\\")
    data = first.encode()
    for part in parts:
        kind, rest = part[:1].replace("\0", "\\"), part[1:]
        if kind == "x":
            try:
                data += bytes.fromhex(rest[:2] if len(rest) > 1 and " " not in rest[:2] else "?")
            except ValueError:
                raise ValueError("\\x is followed by two hexadecimal digits") from None
            rest = rest[2:]
        elif kind in _ESCAPES:
            data += _ESCAPES[kind].encode()
        else:
            raise ValueError(f"\\{kind} is not one of \\r, \\n, \\t, \\\\ and \\xHH")
        data += rest.encode()
    return data
