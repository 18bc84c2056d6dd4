"""What status and metrics say of addresses and announcements is looked up, not remembered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ocfpy.bgp.errors import BgpdHung
from ocfpy.bgp.vty import Vty
from ocfpy.cli.facts import look_at_addresses, look_at_announcements

HERE = {"resource": "here", "ip": "127.0.0.1/8", "nic": "lo"}
GONE = {"resource": "gone", "ip": "192.0.2.53/32", "nic": "lo"}
PATH = {"local": True, "sourced": True, "valid": True, "bestpath": {"overall": True}}


def test_an_address_is_where_the_kernel_has_it() -> None:
    seen = look_at_addresses([HERE, GONE, {"resource": "odd", "ip": "nonsense", "nic": "lo"}, {"resource": "empty"}])
    assert [one["present"] for one in seen] == [True, False, None, None]
    assert seen[0] == {**HERE, "present": True}


def record(directory: Path, prefix: str) -> dict[str, str]:
    return {"prefix": prefix, "vrf": "", "backend": "socket", "vty_dir": str(directory)}


def test_a_route_is_where_bgpd_advertises_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def show(self: Vty, command: str) -> str:
        if "192.0.2.53/32" in command:
            return json.dumps({"prefix": "192.0.2.53/32", "paths": [PATH], "advertisedTo": {"10.1.0.1": {}}})
        return "{}"

    monkeypatch.setattr(Vty, "show", show)
    seen = look_at_announcements([record(tmp_path, "192.0.2.53/32"), record(tmp_path, "192.0.2.54/32"), {"resource": "empty"}])
    assert [one["neighbors"] for one in seen] == [["10.1.0.1"], [], None]
    assert [bool(one["trouble"]) for one in seen] == [False, False, True]


def test_a_bgpd_that_hangs_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def show(self: Vty, command: str) -> str:
        asked.append(command)
        raise BgpdHung("bgpd hangs")

    monkeypatch.setattr(Vty, "show", show)
    records = [record(tmp_path, f"192.0.2.{number}/32") for number in range(1, 201)]
    seen = look_at_announcements([*records, record(tmp_path / "other", "192.0.2.53/32")])
    assert {(one["neighbors"], one["trouble"]) for one in seen} == {(None, "bgpd hangs")}
    assert len(asked) == 2, "one question for each bgpd"
