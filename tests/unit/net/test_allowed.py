"""The anycast subnets: parameter, file, both, neither."""

from __future__ import annotations

from pathlib import Path

import pytest
from ocfpy.net.prefixes import check_allowed, read_prefixes
from ocfpy.ocf.addresses import parse_address, parse_prefix
from ocfpy.ocf.errors import ConfigError, HostError

V4 = parse_address("192.0.2.53")
ANYCAST = (parse_prefix("192.0.2.0/24"), parse_prefix("2001:db8::/64"))
ELSEWHERE = (parse_prefix("198.51.100.0/24"),)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "allowed-prefixes"


def test_file(file: Path) -> None:
    assert read_prefixes(str(file)) == ()
    file.write_text("# anycast\n\n192.0.2.0/24   # v4\n  2001:db8::/64\n")
    assert read_prefixes(str(file)) == ANYCAST


@pytest.mark.parametrize("line", ["192.0.2.1/24", "anything", "192.0.2.0/24 198.51.100.0/24"])
def test_bad_line_is_named(file: Path, line: str) -> None:
    file.write_text(f"192.0.2.0/24\n{line}\n")
    with pytest.raises(HostError, match="line 2"):
        read_prefixes(str(file))


def test_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot be read"):
        read_prefixes(str(tmp_path))


def test_either_place_is_enough(file: Path) -> None:
    check_allowed(V4, ANYCAST, str(file))
    file.write_text("192.0.2.0/24\n")
    check_allowed(V4, (), str(file))
    check_allowed(V4, ANYCAST, str(file))


def test_neither_is_an_error(file: Path) -> None:
    file.write_text("# only comments, as installed\n")
    with pytest.raises(HostError, match="allowed_prefixes"):
        check_allowed(V4, (), str(file))


def test_both_must_agree(file: Path) -> None:
    file.write_text("198.51.100.0/24\n")
    with pytest.raises(HostError, match="outside"):
        check_allowed(V4, ANYCAST, str(file))
    with pytest.raises(ConfigError, match="outside"):
        check_allowed(V4, ELSEWHERE, str(file))


def test_a_family_that_is_not_listed(file: Path) -> None:
    with pytest.raises(ConfigError):
        check_allowed(parse_address("2001:db8::53"), ELSEWHERE, str(file))
