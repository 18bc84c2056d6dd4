"""State files: what is written is read, and a kill at any moment leaves the old record or the new one."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocfpy.ocf.state import StateFile, remove_file, replace_file

if TYPE_CHECKING:
    from pathlib import Path

line = st.text(st.characters(blacklist_characters="\n", blacklist_categories=("Cs",)))
keys = line.filter(lambda key: bool(key) and "=" not in key)


@given(record=st.dictionaries(keys, line))
def test_round_trip(tmp_path_factory: pytest.TempPathFactory, record: dict[str, str]) -> None:
    state = StateFile(str(tmp_path_factory.mktemp("state") / "x.state"))
    state.write(record)
    assert state.read() == record


def test_absent(tmp_path: Path) -> None:
    state = StateFile(str(tmp_path / "x.state"))
    assert state.read() is None
    state.delete()


def test_private_and_nothing_left_beside_it(tmp_path: Path) -> None:
    state = StateFile(str(tmp_path / "new" / "x.state"))
    state.write({"a": "1"})
    state.write({"a": "2"})
    assert os.listdir(tmp_path / "new") == ["x.state"]
    assert stat.S_IMODE(os.stat(tmp_path / "new").st_mode) == 0o700
    assert stat.S_IMODE(os.stat(state.path).st_mode) == 0o600
    state.delete()
    assert state.read() is None


@pytest.mark.parametrize("record", [{"a\nb": "1"}, {"a": "1\n2"}, {"a=b": "1"}, {"": "1"}])
def test_what_no_line_can_hold(tmp_path: Path, record: dict[str, str]) -> None:
    state = StateFile(str(tmp_path / "x.state"))
    with pytest.raises(ValueError, match="does not fit a line"):
        state.write(record)
    assert os.listdir(tmp_path) == []


def test_a_failed_write_keeps_the_old_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = StateFile(str(tmp_path / "x.state"))
    state.write({"a": "1"})

    def no_space(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space"):
        state.write({"a": "2"})
    assert state.read() == {"a": "1"}
    assert os.listdir(tmp_path) == ["x.state"]


def test_bytes_that_are_no_text_survive(tmp_path: Path) -> None:
    state = StateFile(str(tmp_path / "x.state"))
    state.write({"a": "\udcff"})
    assert state.read() == {"a": "\udcff"}


def test_an_update_replaces_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    state = StateFile(str(tmp_path / "x.state"))
    state.update({"a": "1", "b": "2"})
    state.update({"b": "3"})
    assert state.read() == {"a": "1", "b": "3"}


def test_an_error_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "x")

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space") as caught:
        replace_file(path, b"1")
    assert (caught.value.filename, os.listdir(tmp_path)) == (path, [])
    with pytest.raises(FileNotFoundError) as missing:
        replace_file(f"{tmp_path}/none/x", b"1")
    assert missing.value.filename == f"{tmp_path}/none/x"


def test_a_file_is_written_in_as_many_pieces_as_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    replace_file(str(tmp_path / "x"), b"0123456789")
    assert (tmp_path / "x").read_bytes() == b"0123456789"


def test_a_link_in_the_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("as it was")
    (tmp_path / f"x.{os.getpid()}.tmp").symlink_to(victim)
    replace_file(str(tmp_path / "x"), b"new")
    assert (victim.read_text(), (tmp_path / "x").read_bytes()) == ("as it was", b"new")
    assert sorted(os.listdir(tmp_path)) == ["victim", "x"]
    assert stat.S_IMODE(os.stat(tmp_path / "x").st_mode) == 0o600


def test_what_a_killed_write_left_goes_with_the_file(tmp_path: Path) -> None:
    for name in ("x", "x.17.tmp", "xy", "xy.17.tmp"):
        (tmp_path / name).touch()
    remove_file(str(tmp_path / "x"))
    assert sorted(os.listdir(tmp_path)) == ["xy", "xy.17.tmp"]
    remove_file(str(tmp_path / "none/x"))
