"""What may be expected of an answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from ocfpy.checks.errors import CheckFailed
from ocfpy.checks.expect import matcher, parse_status


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
        ("re:(?i)OK$", "x" * 30 + "ok", True),
        ("re:(?#what)(?x) o k  # ever", "x" * 31 + "ok", True),
        ("re:(?<=x)ok", "x" * 32 + "ok", True),
        ("re:\\Aok", "x" * 32 + "ok", False),
        ("re:need|ok", "x" * 700 + "ok", True),
        ("re:^$", "x" * 32 + "\n", True),
        ("re:(a|b)(?(1)c|d)", "x" * 32 + "bc", True),
    ],
)
def test_matcher(expect: str, text: str, found: bool) -> None:
    assert matcher(expect)(text) is found


@pytest.mark.parametrize("expression", ["(", "(?<=a+)b", "a{4294967295}", "(" * 1500 + ")" * 1500])
def test_a_bad_expression_is_explained(expression: str) -> None:
    with pytest.raises(ValueError, match="not a regular expression"):
        matcher(f"re:{expression}")


@pytest.mark.parametrize(
    ("expect", "text"),
    [
        ("re:^(a+)+$", "a" * 50 + "b"),
        ("re:(x+x+)+y", "x" * 60),
        ("re:(.*a){20}b", "a" * 60),
        (r"re:^(\w+\s?)*$", "one word after the other and never an end!"),
        ("re:.*ok", "x" * 2**17 + "b"),
        ("re:x[a-z]*=", "x" * 2**17 + "b"),
    ],
    ids=range(6),
)
def test_a_search_without_end_is_a_failed_check(expect: str, text: str) -> None:
    found = matcher(expect)
    for _ in range(2):
        with pytest.raises(CheckFailed, match="takes more than 100 ms for the answer"):
            found(text)
    assert matcher("re:b$")(text) is text.endswith("b"), "and the next one is as if nothing had happened"


def test_a_long_answer_is_searched_to_its_end() -> None:
    text = "nothing here\n" * 20000
    assert not matcher(r"re:^status=\d+$")(text)
    assert matcher(r"re:^status=\d+$")(f"{text}status=7\n")


def test_a_search_in_another_thread_is_let_go_on() -> None:
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(matcher("re:o+k"), "ook").result()
