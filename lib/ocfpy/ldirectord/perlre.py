"""Translates Perl's regular expressions to Python's, as far as both have the same features; refuses the rest."""

from __future__ import annotations

import re
import warnings

_CLASSES = {
    "alnum": "a-zA-Z0-9", "alpha": "a-zA-Z", "ascii": r"\x00-\x7f", "blank": r" \t", "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9", "graph": r"\x21-\x7e", "lower": "a-z", "print": r"\x20-\x7e", "space": r"\s", "upper": "A-Z",
    "word": r"\w", "xdigit": "0-9a-fA-F",
}  # fmt: skip
_VERTICAL = r"\n\x0b\f\r"
_ESCAPES = {
    "z": r"\Z", "Z": r"(?=\n?\Z)", "h": r"[ \t]", "H": r"[^ \t]", "v": f"[{_VERTICAL}]", "V": f"[^{_VERTICAL}]", "e": r"\x1b",
    "N": r"[^\n]",
}  # fmt: skip
_IN_CLASS = {"h": r" \t", "v": _VERTICAL, "e": r"\x1b"}
_POSIX = re.compile(r"\[:([a-z]+):\]")
_FLAGS = re.compile(r"\(\?([imsx]+)\)")
_NAMED = re.compile(r"\(\?<(?=[A-Za-z_])")


def to_python(pattern: str, by_line: bool = False) -> str:
    """Return the same expression for Python's re, also with MULTILINE; `by_line`: it is searched in one line of many.

    Raises ValueError for one that is wrong, or uses what Python does not have.
    """
    flags = _FLAGS.match(pattern)
    on = flags.group(1) if flags else ""
    body = pattern[flags.end() :] if flags else pattern
    if by_line and "m" not in on:
        on += "m"
    off = "" if "m" in on else "-m"
    translated = f"(?a{on}{off}:{_translate(body)})"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(translated)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(
            f"the regular expression is wrong, or uses what only Perl has: {error}"
        ) from None
    return translated


def _translate(body: str) -> str:
    out = []
    at = 0
    in_class = False
    while at < len(body):
        char = body[at]
        posix = _POSIX.match(body, at) if in_class else None
        if posix is not None and posix.group(1) in _CLASSES:
            out.append(_CLASSES[posix.group(1)])
            at = posix.end()
        elif char == "\\":
            following = body[at + 1 : at + 2]
            out.append((_IN_CLASS if in_class else _ESCAPES).get(following, char + following))
            at += 2
        elif not in_class and _NAMED.match(body, at):
            out.append("(?P<")
            at += 3
        else:
            if char == "[" and not in_class:
                in_class = True
                # A ] that comes first, also after ^, is a member of the class.
                head = re.match(r"\[\^?\]?", body[at:])
                assert head is not None
                out.append(head.group())
                at += head.end()
                continue
            in_class = in_class and char != "]"
            out.append(char)
            at += 1
    return "".join(out)
