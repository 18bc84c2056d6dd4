"""Servers that are taken out by files."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from ocfpy.healthd.drained import Drained, canonical
from ocfpy.ipvs.model import parse_real_server


def test_files_by_address_and_port_for_all_pools_or_one(tmp_path: Path) -> None:
    drained = Drained(str(tmp_path / "drained"), "dns")
    assert not drained.read()
    for name in ("10.0.0.11", "10.0.0.12:53", "2001:db8::1", "[2001:db8::2]:53", "README", "web/10.0.0.13", "dns/10.0.0.14"):
        path = tmp_path / "drained" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert drained.read()
    assert not drained.read()
    out = [
        "10.0.0.11:53", "10.0.0.11:80", "10.0.0.12:53", "[2001:db8::1]:53", "[2001:db8::2]:53", "10.0.0.14:53",
    ]  # fmt: skip
    for text in (*out, "10.0.0.12:80", "[2001:db8::2]:80", "10.0.0.13:53", "10.0.0.1:53"):
        assert (parse_real_server(text) in drained) == (text in out), text
    (tmp_path / "drained/10.0.0.11").unlink()
    assert drained.read()
    assert parse_real_server("10.0.0.11:53") not in drained


def test_a_directory_that_cannot_be_read_once_undrains_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drained = Drained(str(tmp_path), "dns")
    (tmp_path / "10.0.0.11").touch()
    assert drained.read()

    def listdir(path: str) -> list[str]:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(os, "listdir", listdir)
        assert not drained.read()
        assert parse_real_server("10.0.0.11:53") in drained
    (tmp_path / "10.0.0.11").unlink()
    assert drained.read()


def test_a_pool_without_a_directory_has_no_drained_server() -> None:
    drained = Drained("", "dns")
    assert not drained.read()
    assert parse_real_server("10.0.0.11:53") not in drained


def test_names_have_one_spelling() -> None:
    assert [canonical(text) for text in ("10.0.0.11", "10.0.0.11:53", "2001:DB8::1", "[2001:db8:0::1]:53")] == [
        "10.0.0.11", "10.0.0.11:53", "[2001:db8::1]", "[2001:db8::1]:53",
    ]  # fmt: skip
    for text in ("", "web1", "10.0.0", "../x", "10.0.0.11:x"):
        with pytest.raises(ValueError, match=r".+"):
            canonical(text)


def test_files_may_be_called_by_the_names_of_hosts(tmp_path: Path) -> None:
    hosts = [("web1", "10.0.0.11"), ("web1", "[fd00::11]"), ("web2", "10.0.0.12")]
    drained = Drained(str(tmp_path), "dns", hosts)
    for name in ("web1", "web2:53", "web3"):
        (tmp_path / name).touch()
    assert drained.read()
    assert drained.names == {"10.0.0.11", "[fd00::11]", "10.0.0.12:53"}
