"""Parses the search of an LDAP check: the search part of an LDAP URL, with its filter encoded for the wire."""

from __future__ import annotations

from ocfpy.checks.protocols.ber import boolean, encode
from ocfpy.ocf.values import Record

SCOPES = {"base": 0, "one": 1, "sub": 2}
ANYTHING = "(objectClass=*)"
NO_ATTRIBUTES = "1.1"
MAX_DEPTH = 32
"""Nested parentheses: more than any filter needs, less than the stack allows."""

_HEX = "0123456789abcdefABCDEF"
_TYPE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.;_"


class Search(Record):
    """A search; `filter` is encoded, `attributes` are those requested, empty for all."""

    __slots__ = ("base", "attributes", "scope", "filter")  # noqa: RUF023 the order of the arguments

    def __init__(self, base: str, attributes: tuple[str, ...], scope: int, filter: bytes) -> None:
        self.base = base
        self.attributes = attributes
        self.scope = scope
        self.filter = filter


def parse_search(text: str) -> Search:
    """Parse `dn?attributes?scope?filter` as in an LDAP URL (RFC 4516); only dn is required.

    Raises ValueError with the fault.
    """
    parts = text.split("?")
    if len(parts) > 4:
        raise ValueError("a search has four parts at most: dn?attributes?scope?filter")
    dn, attributes, scope, condition = [_unquote(part) for part in [*parts, "", "", ""][:4]]
    if (scope or "base") not in SCOPES:
        raise ValueError(f"the third part is the scope, one of {', '.join(SCOPES)}")
    names = tuple(name for name in attributes.split(",") if name)
    return Search(dn, names, SCOPES[scope or "base"], parse_filter(condition or ANYTHING))


def _unquote(text: str) -> str:
    """Replace each %HH by its byte; the bytes are UTF-8."""
    return _in_bytes(text, "%", "% is followed by two hexadecimal digits").decode()  # a ValueError, too


def parse_filter(text: str) -> bytes:
    """Encode a filter such as (&(uid=probe)(!(locked=*))), RFC 4515. Raises ValueError with the fault."""
    encoded, rest = _filter(text if text.startswith("(") else f"({text})", MAX_DEPTH)
    if rest:
        raise ValueError(f"filter: remove the last {len(rest)} characters, after its end")
    return encoded


def _filter(text: str, depth: int) -> tuple[bytes, str]:
    """Encode the filter at the beginning of `text`; return the rest as well."""
    if not text.startswith("("):
        raise ValueError(f"filter: a ( is missing {_before_end(text)}")
    if not depth:
        raise ValueError(f"filter: more than {MAX_DEPTH} nested parentheses")
    kind, rest = text[1:2], text[2:]
    if kind in ("&", "|", "!"):
        parts = []
        while rest.startswith("("):
            part, rest = _filter(rest, depth - 1)
            parts.append(part)
        if kind == "!" and len(parts) != 1:
            raise ValueError("filter: ! takes exactly one condition")
        encoded = encode({"&": 0xA0, "|": 0xA1, "!": 0xA2}[kind], *parts)
    else:
        condition, closing, _ = text[1:].partition(")")
        if not closing:
            raise ValueError(f"filter: a ) is missing {_before_end(text)}")
        encoded, rest = _condition(condition), text[1 + len(condition) :]
    if not rest.startswith(")"):
        raise ValueError(f"filter: a ) is missing {_before_end(rest)}")
    return encoded, rest[1:]


def _before_end(rest: str) -> str:
    """Describe a place in a filter without its text, which may be secret."""
    return f"{len(rest)} characters before the end" if rest else "at the end"


def _condition(text: str) -> bytes:
    """Encode attribute=value and its variants, without parentheses."""
    left, equals, value = text.partition("=")
    if not equals or "(" in text:
        raise ValueError("filter: a condition is not attribute=value")
    if left.endswith(":"):
        return _extensible(left[:-1], value)
    ordering = {">": 0xA5, "<": 0xA6, "~": 0xA8}.get(left[-1:])
    if ordering:
        return encode(ordering, _attribute(left[:-1]), encode(0x04, _value(value)))
    if value == "*":
        return encode(0x87, _name(left))
    if "*" in value:
        first, *middle, last = value.split("*")
        pieces = [(0x80, first), *((0x81, piece) for piece in middle), (0x82, last)]
        encoded = [encode(tag, _value(piece)) for tag, piece in pieces if piece]
        return encode(0xA4, _attribute(left), encode(0x30, *encoded))
    return encode(0xA3, _attribute(left), encode(0x04, _value(value)))


def _extensible(left: str, value: str) -> bytes:
    """Encode attribute:dn:rule:=value."""
    name, *more = left.split(":")
    dn = bool(more) and more[0].lower() == "dn"
    rules = more[dn:]
    if len(rules) > 1 or not (name or rules):
        raise ValueError("filter: what comes before := is not attribute:dn:rule")
    return encode(
        0xA9,
        encode(0x81, _name(rules[0])) if rules else b"",
        encode(0x82, _name(name)) if name else b"",
        encode(0x83, _value(value)),
        boolean(True, 0x84) if dn else b"",
    )


def _attribute(name: str) -> bytes:
    return encode(0x04, _name(name))


def _name(text: str) -> bytes:
    if not text or text.strip(_TYPE):
        raise ValueError("filter: what comes before = is not the name of an attribute")
    return text.encode()


def _value(text: str) -> bytes:
    r"""Replace each \HH by its byte."""
    return _in_bytes(text, "\\", "filter: a \\ is not followed by two hexadecimal digits")


def _in_bytes(text: str, mark: str, complaint: str) -> bytes:
    """Replace each mark and the two hexadecimal digits after it by their byte. Raises ValueError with the complaint."""
    first, *parts = text.split(mark)
    data = first.encode()
    for part in parts:
        if len(part) < 2 or part[0] not in _HEX or part[1] not in _HEX:
            raise ValueError(complaint)
        data += bytes.fromhex(part[:2]) + part[2:].encode()
    return data
