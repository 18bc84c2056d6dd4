"""The registry of checks: everything in it exists, and everything that it asks for."""

from __future__ import annotations

import pytest
from ocfpy.agents.ipvs_pool import IpvsPool
from ocfpy.checks import make_check
from ocfpy.checks.base import Check
from ocfpy.checks.expect import parse_headers, unescape
from ocfpy.checks.registry import OPTIONS, TLS, TYPES, problems
from ocfpy.checks.settings import CheckSettings
from ocfpy.ocf.addresses import parse_address

SAMPLES = {"name": "www.example.com", "request": "http://www.example.com/", "command": "/bin/true", "secret": "s"}


@pytest.mark.parametrize("name", [kind.name for kind in TYPES.values() if kind.module])
def test_every_type_can_be_made(name: str) -> None:
    kind = TYPES[name]
    check = make_check(parse_address("::1"), 1, CheckSettings(name, options={n: SAMPLES[n] for n in kind.required}.items()))
    assert isinstance(check, Check)
    assert set(kind.required) <= set(kind.options) <= set(OPTIONS)
    if kind.tls:
        assert set(TLS) <= set(kind.options)


def test_every_option_is_a_parameter() -> None:
    defaults = {p.name: p.default_text or "" for p in IpvsPool.parameters()}
    assert {name: defaults[f"check_{name}"] for name in OPTIONS} == OPTIONS


def test_what_is_only_good_together() -> None:
    assert problems("ldap", ["user"]) == ["check_user needs check_secret, in check=ldap"]
    assert problems("mysql", ["user"]) == []
    assert problems("mysql", ["request"]) == ["check_request needs check_user, in check=mysql"]
    assert problems("radius", ["secret", "user"]) == ["check_user needs check_password, in check=radius"]


def test_problems() -> None:
    assert problems("dns", []) == ["check=dns needs check_name"]
    assert problems("tcp", ["path"]) == ["check_path does not apply to check=tcp, only to http, https, ftp"]
    assert problems("off", ["path", "nonsense"]) == []


@pytest.mark.parametrize(
    ("text", "data"),
    [("", b""), (r"a\r\n", b"a\r\n"), (r"\x00\xff\t\\n", b"\0\xff\t\\n"), ("\u00fc", b"\xc3\xbc"), (r"\\\\x41\x41", rb"\\x41A")],
)
def test_unescape(text: str, data: bytes) -> None:
    assert unescape(text) == data


@pytest.mark.parametrize("text", ["\\", r"\q", r"\x", r"\x1", r"\xg0", r"\x 1", r"\x+1"])
def test_escapes_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not one of|hexadecimal"):
        unescape(text)


def test_headers() -> None:
    assert parse_headers(r"A: b\nC-d:e: f") == [("A", "b"), ("C-d", "e: f")]
    for text in ("A", ": b", "A b: c", r"A: b\x00", r"A: b\rC"):
        with pytest.raises(ValueError, match="is not a header line"):
            parse_headers(text)
