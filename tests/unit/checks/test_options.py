"""The typed options of the checks: those of the registry and no others, each read by its check, and parsed once."""

from __future__ import annotations

import ast
import dataclasses
import re
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from ocfpy.checks import options
from ocfpy.checks.base import Check
from ocfpy.checks.expect import StatusRange
from ocfpy.checks.options import Options, Source, StartTlsOptions, TlsOptions, option
from ocfpy.checks.registry import TYPES, CheckType
from ocfpy.checks.settings import CheckSettings
from ocfpy.ocf.addresses import parse_address

from tests.unit.checks.canned import check_of, tell

LIB = Path(__file__).resolve().parents[3] / "lib/ocfpy"
KEEPERS = {"via": "pool/placement.py", "command_user": "healthd/checkers.py"}
"""Options that decide where a check is made; no check has them. The files read them as `...["NAME"]`."""
USED_BY_WAY_OF = {
    "bind": {"open", "open_datagrams", "connect", "connecting"},
    "expect": {"matches"},
    "starttls": {"starttls"},
}
"""Options that Check reads for all of its subclasses, and the attributes of it of which a subclass needs one to heed them."""
MADE = [kind for kind in TYPES.values() if kind.module]
CLASSES = sorted({f"{kind.module}.{kind.class_name}" for kind in MADE})


def class_of(name: str) -> type[Check]:
    module, _, class_name = name.partition(".")
    found: type[Check] = getattr(import_module(f"ocfpy.checks.{module}"), class_name)
    return found


def names(options_type: type[Options]) -> set[str]:
    return {one.name for one in dataclasses.fields(options_type)}


@cache
def attributes(source: str, of: str) -> set[str]:
    """The NAMEs in all of `....of.NAME` and `of.NAME`."""
    tree = ast.parse(source)
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return {node.attr for node in found if getattr(node.value, "attr", getattr(node.value, "id", "")) == of}


def source_of(module: str) -> str:
    return Path(str(sys.modules[module].__file__)).read_text()


def read_by(check: type[Check]) -> set[str]:
    """The options that the code of a check reads, apart from what every check does."""
    modules = {one.__module__ for one in check.__mro__ if one not in (object, Check)}
    sources = [source_of(module) for module in modules]
    found = {name for source in sources for name in attributes(source, "options")}
    own = {name for source in sources for of in ("self", "check") for name in attributes(source, of)}
    found |= {name for name, ways in USED_BY_WAY_OF.items() if own & ways}
    if issubclass(check.options_type, TlsOptions):
        found |= attributes((LIB / "checks/tls.py").read_text(), "options") & {"tls_verify"}
        found |= attributes(source_of(options.__name__), "self") & {"ca", "cert", "key", "tls_name"}
    return found


def unread(check: type[Check]) -> set[str]:
    """The options of a check that it never reads."""
    return names(check.options_type) - read_by(check)


@pytest.mark.parametrize("name", CLASSES)
def test_a_check_has_the_options_of_its_types(name: str) -> None:
    check = class_of(name)
    types = [kind for kind in MADE if f"{kind.module}.{kind.class_name}" == name]
    assert names(check.options_type) == {one for kind in types for one in kind.options} - set(KEEPERS)
    annotations = [vars(one).get("__annotations__", {}).get("options") for one in check.__mro__]
    assert next(filter(None, annotations)) == check.options_type.__name__


@pytest.mark.parametrize("name", CLASSES)
def test_a_check_reads_all_of_its_options(name: str) -> None:
    assert unread(class_of(name)) == set()


@pytest.mark.parametrize("kind", MADE, ids=lambda kind: kind.name)
def test_a_type_that_has_options_of_tls_speaks_it(kind: CheckType) -> None:
    assert bool({"tls_name", "ca"} & set(kind.options)) == (kind.tls or "starttls" in kind.options)


@pytest.mark.parametrize("name", KEEPERS)
def test_the_keeper_reads_the_others(name: str) -> None:
    assert f'["{name}"]' in (LIB / KEEPERS[name]).read_text()


@dataclasses.dataclass(frozen=True)
class _ForgetfulOptions(StartTlsOptions):
    expect: str = option()
    database: str = option()


class _Forgetful(Check):
    """Reads one of its options only."""

    options_type = _ForgetfulOptions
    options: _ForgetfulOptions


def test_an_option_that_is_never_read_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    source = "class _Forgetful(Check):\n    async def attempt(self):\n        self.doing = self.options.database\n"
    monkeypatch.setattr(sys.modules[__name__], "source_of", lambda module: source if module == __name__ else "")
    assert {"starttls", "expect"} <= unread(_Forgetful)
    assert "database" not in unread(_Forgetful)


def test_options_are_typed_values() -> None:
    http = check_of("https", status="200-299 301", bind="192.0.2.9 2001:db8::9", tls_verify="false", host="[::1]:80").options
    assert isinstance(http, TlsOptions)
    assert http.bind == (parse_address("192.0.2.9"), parse_address("2001:db8::9"))
    assert (http.tls_verify, http.server_name, http.files) == (False, "::1", ("", "", ""))
    assert getattr(http, "status") == (StatusRange(200, 299), StatusRange(301, 301))  # noqa: B009 of a subclass
    assert dataclasses.asdict(check_of("ntp").options) == {"bind": (), "max_stratum": 15, "max_distance": 3.0}
    with pytest.raises(dataclasses.FrozenInstanceError):
        http.ca = "/elsewhere"  # type: ignore[misc]


def test_texts_of_options_are_read_where_options_are_made_and_nowhere_else() -> None:
    readers = {path.name for path in (LIB / "checks").glob("*.py") if re.search(r"settings(\[|\.flag)", path.read_text())}
    assert readers == {"options.py", "secretfile.py", "settings.py"}


def test_nothing_is_parsed_in_an_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def parse(text: str) -> bytes:
        parsed.append(text)
        return text.encode()

    check = check_of("mysql", user="probe", request="SELECT 2")
    changed: dict[str, Any] = {"request": Source("request", "SELECT 2", parse)}
    monkeypatch.setattr(check, "options", dataclasses.replace(check.options, **changed))
    monkeypatch.setattr(CheckSettings, "__getitem__", None)
    greeting = b"J\0\0\0\n5\0\x01\0\0\0saltsalt\0\0\0" + bytes(56)
    answers = [greeting, b"\x07\0\0\x02\0\0\0\x02\0\0\0", b"\x03\0\0\x01\0\0\0"]
    for _ in range(3):
        result, sent = tell(check, list(answers))
        assert result.reason == ""
        assert sent[1] == b"\x09\0\0\0\3SELECT 2"
    assert parsed == ["SELECT 2"]


def test_a_file_is_parsed_again_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "request"
    check = check_of("udp", request=f"@{path}", expect="x")
    for text, sent in (("a\\n", b"a\n"), ("b\\n", b"b\n"), ("\\q", None), ("c", b"c")):
        path.write_text(text)
        result, told = tell(check, [b"x"])
        assert told == ([] if sent is None else [sent])
        assert sent is not None or result.reason == f"check_request, in {path}: \\q is not one of \\r, \\n, \\t, \\\\ and \\xHH"
