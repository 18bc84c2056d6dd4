"""The protocol between the keeper and a checker: one JSON array a line; the keeper validates every value.

The keeper sends:

    ["files", KEY, CONTENTS, ERROR]         what a check's files hold, or why they cannot be read
    ["test", ID, REQUEST]                   can this check be made? answered by "made" or "refused"
    ["begin", ID, REQUEST, UP, AGAINST, TRUSTED]
    ["trust", ID]                           the server has traffic: one failure does not decide
    ["end", ID]
    ["details", TOKEN]                      answered by "details", the last one with true

The checker is silent while nothing changes, except for an empty line every HEARTBEAT_S:

    ["made", ID]    ["refused", ID, CODE, REASON]
    ["result", ID, UP, AGAINST, TRUSTED, OK, REASON, WEIGHT, SECONDS, NEXT]
    ["details", TOKEN, [[ID, SECONDS, NEXT], ...], LAST]
    ["fault", TEXT]                         an unexpected exception

The checker has read what servers sent: the keeper validates each value of its messages, and replaces a checker that sends
anything else. Pickle is not used.
"""

from __future__ import annotations

import json
from math import isfinite
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from ocfpy.checks.result import MAX_REASON, Result
from ocfpy.checks.settings import CheckSettings
from ocfpy.ipvs.model import parse_virtual
from ocfpy.ocf.addresses import parse_address
from ocfpy.pool.hysteresis import Verdict

if TYPE_CHECKING:
    from ocfpy.healthd.check_request import CheckRequest
    from ocfpy.ipvs.model import VirtualService
    from ocfpy.ocf.addresses import Address

HEARTBEAT_S = 0.5
"""Interval of the empty lines that a checker sends when it has nothing else to send."""
MAX_LINE = 16384
"""Longest line that a checker may send, in bytes."""
DETAILS_IN_A_LINE = 100
MAX_TEXT = MAX_REASON + 100
"""Longest reason or fault, in characters, including the words around it."""
MAX_AGAINST = 1000
MAX_WEIGHT = 1000
"""Percent: check=external can ask for 253 at most."""
MAX_SECONDS = 1e6
MAX_TIME = 1e12


class Malformed(Exception):
    """A checker sent a message that no checker sends."""


def encode(*message: object) -> bytes:
    """Encode one line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def request_document(request: CheckRequest) -> dict[str, Any]:
    """Return a request as the checker gets it. `hint` is set when the check goes through the virtual service."""
    settings = request.settings
    return {
        "name": request.name,
        "address": str(request.address),
        "port": request.port,
        "settings": {name: getattr(settings, name) for name in settings.__slots__},
        "virtual": str(request.virtual),
        "hint": request.path.hint() if request.path is not None else None,
    }


class Asked(NamedTuple):
    """A request as a checker reads it."""

    name: str
    address: Address
    port: int
    settings: CheckSettings
    virtual: VirtualService
    hint: str | None


def read_request(document: dict[str, Any]) -> Asked:
    """Decode the result of `request_document`."""
    return Asked(
        document["name"],
        parse_address(document["address"]),
        document["port"],
        CheckSettings(**document["settings"]),
        parse_virtual(document["virtual"]),
        document["hint"],
    )


class Update(NamedTuple):
    """The result of a check, and its next instant. `next_at` is in seconds since the epoch."""

    verdict: Verdict
    result: Result
    next_at: float


class Refused(NamedTuple):
    """A check that cannot be made; `code` is an OCF exit code."""

    code: int
    reason: str


def decode(line: bytes) -> tuple[str, list[Any]]:
    """Return the word and the rest of a line of a checker. Raises Malformed."""
    try:
        message = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Malformed("a line that is not JSON") from None
    if type(message) is not list or not message or type(message[0]) is not str:
        raise Malformed("a line that is not a message")
    return message[0], message[1:]


def result_fields(verdict: Verdict, result: Result, next_at: float) -> list[Any]:
    """Return the values of "result" after the ID."""
    return [
        verdict.up,
        verdict.against,
        verdict.trusted,
        result.ok,
        result.reason,
        result.weight,
        round(result.seconds, 6),
        round(next_at, 3),
    ]


def read_result(fields: list[Any]) -> Update:
    """Decode a result. Raises Malformed."""
    up, against, trusted, ok, reason, weight, seconds, next_at = _exactly(fields, 8)
    if weight is not None:
        _integer(weight, MAX_WEIGHT)
    verdict = Verdict(_truth(up), _integer(against, MAX_AGAINST), _flag(trusted))
    result = Result(_truth(ok), text(reason), _number(seconds, MAX_SECONDS), weight)
    return Update(verdict, result, _number(next_at, MAX_TIME))


def read_refused(fields: list[Any]) -> Refused:
    """Decode why a check cannot be made. Raises Malformed."""
    code, reason = _exactly(fields, 2)
    return Refused(_integer(code, 6), text(reason))


def read_details(fields: list[Any]) -> tuple[int, list[tuple[int, float, float]], bool]:
    """Return the token, (ID, seconds, next) of some checks, and whether these were the last. Raises Malformed."""
    token, rows, last = _exactly(fields, 3)
    if type(rows) is not list or len(rows) > DETAILS_IN_A_LINE:
        raise Malformed("details that are not a list")
    found = []
    for row in rows:
        number, seconds, next_at = _exactly(row, 3)
        found.append((identifier(number), _number(seconds, MAX_SECONDS), _number(next_at, MAX_TIME)))
    return identifier(token), found, _flag(last)


def identifier(value: object) -> int:
    """Return the number of a check or a test. Raises Malformed."""
    return _integer(value, 2**53)


def text(value: object) -> str:
    """Return a text of one printable line. Raises Malformed."""
    if type(value) is not str or len(value) > MAX_TEXT or not value.isprintable():
        raise Malformed("a text that is too long or not printable")
    return value


def _exactly(fields: object, number: int) -> list[Any]:
    if type(fields) is not list or len(fields) != number:
        raise Malformed("a message with too many or too few values")
    return fields


def _integer(value: object, greatest: int) -> int:
    if type(value) is not int or not 0 <= value <= greatest:
        raise Malformed("a number outside its limits")
    return value


def _number(value: object, greatest: float) -> float:
    # Compared before the conversion: an integer may be too large for a float.
    if type(value) not in (int, float) or not 0 <= value <= greatest or not isfinite(value):  # type: ignore[arg-type, operator]
        raise Malformed("a number outside its limits")
    return float(value)  # type: ignore[arg-type]


def _flag(value: object) -> bool:
    if type(value) is not bool:
        raise Malformed("a value that is neither true nor false")
    return value


def _truth(value: object) -> bool | None:
    return None if value is None else _flag(value)


def _no_constant(name: str) -> float:
    raise ValueError(name)


class LineReader:
    """Splits received bytes into lines of a limited length. Raises Malformed."""

    def __init__(self, each: Callable[[bytes], None], longest: int) -> None:
        self._each = each
        self._longest = longest
        self._kept = b""

    def feed(self, data: bytes) -> None:
        """Add received bytes; return the complete lines."""
        *lines, self._kept = (self._kept + data).split(b"\n")
        for line in lines:
            if len(line) > self._longest:
                raise Malformed("a line that is too long")
            self._each(line)
        if len(self._kept) > self._longest:
            raise Malformed("a line that does not end")
