"""Memory of dead backends across actions; the gate itself is tested where it is used, in test_anycast_vip."""

from __future__ import annotations

from pathlib import Path

import pytest
from ocfpy.ipvs.gate import NEVER, DeadTimes
from ocfpy.ocf.state import StateFile


class Clock:
    """A clock that is set by hand, in seconds."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_seconds_dead_and_alive(tmp_path: Path) -> None:
    clock = Clock()
    path = str(tmp_path / "run/vip.gate")

    def times() -> DeadTimes:
        return DeadTimes(path, pytest.fail, clock)  # every action is a process of its own

    assert times().note_alive() == NEVER
    assert not (tmp_path / "run").exists()
    assert times().note_dead() == 0
    clock.now += 7
    assert times().note_dead() == 7
    clock.now += 2
    assert times().note_alive() == 2
    clock.now += 1
    assert times().note_alive() == 3
    assert times().note_dead() == 0


def test_dead_time_is_counted_anew_after_a_reset(tmp_path: Path) -> None:
    clock = Clock()
    times = DeadTimes(str(tmp_path / "vip.gate"), pytest.fail, clock)
    times.note_dead()
    clock.now += 100
    assert times.reset() == 1000
    assert times.note_dead() == 0


def test_a_full_disk_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    said: list[str] = []
    (tmp_path / "directory").mkdir()
    assert DeadTimes(str(tmp_path / "directory"), said.append, clock).note_alive() == NEVER
    assert said.pop().startswith("cannot read when the backends were dead")
    times = DeadTimes(str(tmp_path / "vip.gate"), said.append, clock)
    times.note_dead()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(StateFile, "write", full)
    clock.now += 5
    assert times.note_dead() == 5
    assert times.note_alive() == 5
    assert len(said) == 2
    assert all("vip.gate: No space left on device" in line for line in said)
