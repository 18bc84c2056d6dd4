"""Parameters: what each type takes, what it says when it does not, and that nothing else gets through."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocfpy.ocf.declaration import MAX_LENGTH
from ocfpy.ocf.parameters import (
    MAX_LIST_LENGTH,
    AddressParam,
    BoolParam,
    DurationParam,
    InterfaceParam,
    IntParam,
    ListParam,
    NumberOrPercentParam,
    Parameter,
    PathParam,
    PrefixListParam,
    SecretParam,
    StringParam,
)

EVERY_TYPE: list[Parameter[Any]] = [
    StringParam("", ""),
    StringParam("", "", choices=("a", "b")),
    StringParam("", "", charset="abc"),
    InterfaceParam("", ""),
    IntParam("", "", minimum=1, maximum=9),
    BoolParam("", ""),
    DurationParam("", "", minimum="10ms", maximum="1h"),
    AddressParam("", ""),
    AddressParam("", "", prefix="any"),
    PrefixListParam("", ""),
    ListParam("", "", parse=int),
    NumberOrPercentParam("", ""),
    PathParam("", ""),
]


@given(st.sampled_from(EVERY_TYPE), st.text(min_size=1))
def test_any_text_is_a_value_or_a_printable_complaint(parameter: Parameter[Any], text: str) -> None:
    complaint = "none"
    try:
        parameter.read(text)
    except ValueError as error:
        complaint = str(error)
    assert complaint
    assert complaint.isprintable()


@given(
    st.sampled_from(EVERY_TYPE),
    st.text(),
    st.characters(whitelist_categories=("Cc", "Cs", "Zl", "Zp")),
    st.text(),
)
def test_no_control_character_gets_through(parameter: Parameter[Any], head: str, bad: str, tail: str) -> None:
    with pytest.raises(ValueError, match=r"unprintable|longer"):
        parameter.read(head + bad + tail)


@pytest.mark.parametrize("parameter", EVERY_TYPE, ids=lambda p: type(p).__name__)
def test_no_endless_value_gets_through(parameter: Parameter[Any]) -> None:
    limit = MAX_LIST_LENGTH if isinstance(parameter, ListParam) else MAX_LENGTH
    with pytest.raises(ValueError, match=f"longer than {limit}"):
        parameter.read("1" * (limit + 1))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("2s", 2),
        ("2", 2),
        ("1min", 60),
        ("1m", 60),
        ("0.25s", 0.25),
        ("1h", 3600),
        ("20 s", 20),
        ("0", 0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert DurationParam("", "").read(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["-1s", "s", "1 fortnight", "1.s", ".5s", "1e3", "nan", "inf", "1,5s", "2S", "1s2"]
)
def test_what_is_not_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        DurationParam("", "").read(text)


def test_duration_bounds() -> None:
    parameter = DurationParam("", "", minimum="100ms", maximum="1min")
    with pytest.raises(ValueError, match="shorter than 100ms"):
        parameter.read("99ms")
    with pytest.raises(ValueError, match="longer than 1min"):
        parameter.read("61s")


@given(st.integers())
def test_integers(number: int) -> None:
    if -(10**18) < number < 10**18:
        assert IntParam("", "").read(str(number)) == number


@pytest.mark.parametrize("text", ["1_0", " 1", "+1", "0x1", "1.0", "٣", "--1", "-", "9" * 19])
def test_what_is_not_an_integer(text: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number"):
        IntParam("", "").read(text)


def test_integer_bounds() -> None:
    parameter = IntParam("", "", minimum=1, maximum=9)
    with pytest.raises(ValueError, match="'0' is less than 1"):
        parameter.read("0")
    with pytest.raises(ValueError, match="'10' is more than 9"):
        parameter.read("10")


def test_booleans_are_spelled_as_in_shell_agents() -> None:
    parameter = BoolParam("", "")
    assert all(parameter.read(word) is True for word in ("yes", "TRUE", "1", "Y", "on", "True"))
    assert all(parameter.read(word) is False for word in ("no", "False", "0", "n", "OFF"))
    with pytest.raises(ValueError, match="neither true nor false"):
        parameter.read("maybe")


def test_choices_are_named() -> None:
    with pytest.raises(ValueError, match="'c' is not one of a, b"):
        StringParam("", "", choices=("a", "b")).read("c")


def test_charset_names_the_stranger() -> None:
    with pytest.raises(ValueError, match="';' in it"):
        StringParam("", "", charset="abc").read("ab;c")


def test_an_interface_has_a_name_that_the_kernel_takes() -> None:
    assert InterfaceParam("", "").read("bond0_1234-vlan") == "bond0_1234-vlan"
    with pytest.raises(ValueError, match="'bond0_1234-vlans' has more than 15 characters"):
        InterfaceParam("", "").read("bond0_1234-vlans")
    with pytest.raises(ValueError, match="'/' in it"):
        InterfaceParam("", "").read("eth/0")


def test_host_addresses_only() -> None:
    assert AddressParam("", "").read("192.0.2.1/32").prefixlen == 32
    assert AddressParam("", "", prefix="any").read("192.0.2.1/24").prefixlen == 24
    with pytest.raises(ValueError, match="only a /32 or /128"):
        AddressParam("", "").read("2001:db8::1/64")


def test_a_list_tells_all_its_faults_up_to_a_point() -> None:
    def parse(word: str) -> int:
        if not word.isdigit():
            raise ValueError(f"{word} is bad")
        return int(word)

    parameter = ListParam("", "", parse=parse)
    assert parameter.read(" 1  2 ") == (1, 2)
    with pytest.raises(ValueError, match=r"^x is bad, y is bad$"):
        parameter.read("x 1 y")
    with pytest.raises(ValueError, match=r"and 92 more$"):
        parameter.read("x " * 100)


@pytest.mark.parametrize(
    ("text", "of_3", "of_10"), [("2", 2, 2), ("50%", 2, 5), ("100%", 3, 10), ("1%", 1, 1), ("0%", 0, 0)]
)
def test_numbers_and_percentages(text: str, of_3: int, of_10: int) -> None:
    value = NumberOrPercentParam("", "").read(text)
    assert (value.of(3), value.of(10), str(value)) == (of_3, of_10, text)


@pytest.mark.parametrize("text", ["101%", "%", "-1", "1.5", "5 %", "1%%"])
def test_what_is_neither_number_nor_percentage(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither a whole number nor|more than 100"):
        NumberOrPercentParam("", "").read(text)


def test_paths_are_absolute() -> None:
    assert PathParam("", "").read("/etc/x") == "/etc/x"
    with pytest.raises(ValueError, match="not an absolute path"):
        PathParam("", "").read("etc/x")


@pytest.mark.parametrize(
    ("parameter", "value", "text"),
    [
        (DurationParam("", "", default="2s"), 2.0, "2s"),
        (DurationParam("", "", default=0.5), 0.5, "0.5s"),
        (BoolParam("", "", default=True), True, "true"),
        (IntParam("", "", default=0), 0, "0"),
        (ListParam("", "", parse=int, default="1 2"), (1, 2), "1 2"),
        (ListParam("", "", parse=int, default=(1, 2)), (1, 2), "1 2"),
        (ListParam("", "", parse=int), (), None),
        (StringParam("", ""), None, None),
    ],
)
def test_defaults_are_written_as_text_or_value(
    parameter: Parameter[Any], value: object, text: str | None
) -> None:
    assert parameter.default == value
    assert parameter.default_text == text


@pytest.mark.parametrize(
    "text",
    [
        *("0.0.0.0", "127.0.0.5", "169.254.1.1", "224.0.0.1", "255.255.255.255"),
        *("::", "::1", "fe80::1", "ff02::1", "::ffff:192.0.2.1"),
    ],
)
def test_an_address_that_cannot_be_routed_is_no_service(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be the address of a service"):
        AddressParam("", "").read(text)
    assert str(AddressParam("", "", prefix="any").read(text)) == text


@pytest.mark.parametrize(
    ("text", "doubt"),
    [
        ("1000", "1000 is 1000 s; write 1000ms for milliseconds, or 1000s"),
        ("61", "61 is 61 s; write 61ms for milliseconds, or 61s"),
        ("60", ""), ("1000s", ""), ("1000ms", ""), ("30min", ""), ("0.5", ""),
    ],
)  # fmt: skip
def test_seconds_that_were_probably_meant_as_milliseconds(text: str, doubt: str) -> None:
    parameter = DurationParam("", "", maximum="1h", usual="1min")
    assert parameter.read(text) >= 0
    assert parameter.doubt(text) == doubt
    assert DurationParam("", "", maximum="1h").doubt(text) == ""


def test_a_number_without_unit_that_is_too_long() -> None:
    parameter = DurationParam("", "", maximum="1h")
    with pytest.raises(ValueError, match=r"^'5000' is longer than 1h; write 5000ms for milliseconds$"):
        parameter.read("5000")
    with pytest.raises(ValueError, match=r"^'5000s' is longer than 1h$"):
        parameter.read("5000s")


@pytest.mark.parametrize("text", ["a,b", "192.0.2.0/24,2001:db8::/32", "192.0.2.0/24, 2001:db8::/32"])
def test_prefixes_with_commas(text: str) -> None:
    with pytest.raises(ValueError, match="separate them by spaces, not by commas"):
        PrefixListParam("", "").read(text)


def test_lists_with_commas() -> None:
    numbers = ListParam("", "", parse=int)
    with pytest.raises(ValueError, match=r"^'1,2': separate them by spaces, not by commas$"):
        numbers.read("1,2 3")
    with pytest.raises(ValueError, match="invalid literal"):
        numbers.read("1,x")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2", 2.0), ("2s", 2.0), ("2sec", 2.0), ("2ms", 0.002), ("2msec", 0.002), ("2us", 2e-6), ("2usec", 2e-6),
        ("2m", 120.0), ("2min", 120.0), ("2h", 7200.0), ("2hr", 7200.0),
    ],
)  # fmt: skip
def test_a_time_has_the_units_of_pacemaker(text: str, seconds: float) -> None:
    assert DurationParam("", "").read(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["hush\nhush", "hush\0", "h" * (MAX_LENGTH + 1)], ids=["line break", "NUL", "too long"])
def test_a_secret_that_cannot_be_one_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="it has a line break, an unprintable character or more than") as refusal:
        SecretParam("", "").read(text)
    assert "hush" not in str(refusal.value)


def test_a_secret_is_taken_as_it_is() -> None:
    for secret in ("correct horse; `battery`", "h" * MAX_LENGTH):
        assert SecretParam("", "").read(secret) == secret
