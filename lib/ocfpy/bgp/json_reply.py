"""Reads bgpd's JSON with the parser behind the json package: the package itself imports re, which costs every monitor
6 ms.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class _Settings:
    """The parser's settings, those of json.JSONDecoder (Lib/json/decoder.py) except for strict."""

    strict = False  # accept a control character in a text, such as a peer's description
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def parse(text: str) -> Any:
    """Return the value of a JSON text. Raises ValueError."""
    stripped = text.strip()
    try:
        value, end = _scanner()(stripped, 0)
    except StopIteration:
        raise ValueError(f"not JSON: {stripped[:64]!r}") from None
    if end != len(stripped):
        raise ValueError(f"more than one JSON value: {stripped[end : end + 64]!r}")
    return value


def _scanner() -> Callable[[str, int], tuple[Any, int]]:
    """The C parser; where Python was built without it, the json package."""
    try:
        from _json import make_scanner
    except ImportError:
        from json import JSONDecoder

        decoder: Any = JSONDecoder(strict=False)
        scanner: Callable[[str, int], tuple[Any, int]] = decoder.scan_once
    else:
        scanner = make_scanner(_Settings)  # type: ignore[arg-type]
    return scanner
