"""Perl's regular expressions in Python's words; perl itself, where it is installed, is the oracle."""

from __future__ import annotations

import re
import subprocess
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocfpy.ldirectord.perlre import to_python

SAME = [
    ("ok", "all ok", True),
    ("^ok", "not\nok", False),  # without /m, ^ is the beginning of everything
    ("(?m)^ok", "not\nok", True),
    ("ok$", "ok\n", True),
    ("(?i)OK", "ok", True),
    ("(?is)a.b", "A\nB", True),
    ("a.b", "a\nb", False),
    (r"ok\z", "ok\n", False),
    (r"ok\Z", "ok\n", True),
    ("[[:alpha:]]+[[:digit:]]", "abc1", True),
    ("[^[:space:]]", " ", False),
    ("[]a]", "]", True),
    (r"[\]a]x", "]x", True),
    (r"\[:alpha:\]", "[:alpha:]", True),
    (r"a\h+b", "a \tb", True),
    (r"a\vb", "a\nb", True),
    (r"a\vb", "a\rb", True),
    (r"a\vb", "a\x0bb", True),
    (r"a\vb", "a b", False),
    (r"a\Vb", "a\nb", False),
    (r"a\Vb", "a b", True),
    (r"a[\v]b", "a\fb", True),
    (r"a[^\v]b", "a\fb", False),
    (r"a[\hx]b", "a\tb", True),
    (r"[\e]", "\x1b", True),
    ("(?<x>a)(?P=x)", "aa", True),
    (r"10\.0\.0\.[0-9]{1,3}", "10.0.0.17", True),
    (r"\w", "é", False),  # bytes, in ldirectord
]


@pytest.mark.parametrize(("pattern", "text", "found"), SAME)
def test_the_same_is_found(pattern: str, text: str, found: bool) -> None:
    assert bool(re.compile(to_python(pattern), re.MULTILINE).search(text)) is found


def test_perl_agrees() -> None:
    program = 'my ($pattern, $text) = @ARGV; print(($text =~ /$pattern/) ? "1" : "0")'
    for pattern, text, found in SAME:
        done = subprocess.run(["perl", "-e", program, pattern, text], capture_output=True, text=True, check=True)
        assert done.stdout == str(int(found)), (pattern, text)


@pytest.mark.parametrize("pattern", ["(", "a**", r"\p{L}", "(?{1})", "[z-a]", "(?&x)", r"\K", "*", r"\x{263a}"])
def test_what_only_perl_has_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="regular expression is wrong"):
        to_python(pattern)


@given(st.text())
def test_nothing_makes_it_stumble(pattern: str) -> None:
    with suppress(ValueError):
        re.compile(to_python(pattern), re.MULTILINE)
