"""What may be expected of an answer."""

from __future__ import annotations

import pytest
from ocfpy.health.expect import matcher, parse_status


def test_status() -> None:
    assert 204 in parse_status("200-299")
    assert 300 not in parse_status("200-299")
    assert 301 in parse_status("301")
    assert [str(parse_status(text)) for text in ("200-299", "301")] == ["200-299", "301"]


@pytest.mark.parametrize(
    "text", ["", "2xx", "20", "299-200", "200-", "-200", "600", "099", "200-2999", "\u0662\u0660\u0660"]
)
def test_what_is_no_status(text: str) -> None:
    with pytest.raises(ValueError, match=text or "status"):
        parse_status(text)


@pytest.mark.parametrize(
    ("expect", "text", "found"),
    [
        ("hello", "say hello", True),
        ("hello", "say Hello", False),
        ("h.llo", "hello", False),
        ("re:h.llo", "hello", True),
        ("re:^ok$", "no\nok\n", True),
        ("re:^ok$", "not ok", False),
    ],
)
def test_matcher(expect: str, text: str, found: bool) -> None:
    assert matcher(expect)(text) is found


@pytest.mark.parametrize("expression", ["(", "(?<=a+)b", "a{4294967295}", "(" * 1500 + ")" * 1500])
def test_a_bad_expression_is_explained(expression: str) -> None:
    with pytest.raises(ValueError, match="not a regular expression"):
        matcher(f"re:{expression}")
