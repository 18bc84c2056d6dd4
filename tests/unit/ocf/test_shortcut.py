"""The note that spares the next monitor its interpreter: who writes it, who removes it, and what never gets into it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ocfpy.ocf import shortcut
from ocfpy.ocf.agent import Status
from ocfpy.ocf.parameters import StringParam

from tests.unit.ocf.conftest import Runner, Toy

if TYPE_CHECKING:
    from collections.abc import Sequence

RECURRING = {"meta_interval": "2000"}


class Seen(Toy):
    """A toy that a shell can look at."""

    facts: Sequence[str] = ("there",)

    def shortcut_facts(self) -> Sequence[str]:
        return self.facts


@pytest.fixture
def seen(toy: type[Toy], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Runner:
    """A toy that runs, with the note of a monitor."""
    runner = Runner(Seen, str(tmp_path), capsys)
    assert runner("start") == 0
    assert not noted(runner)
    assert runner("monitor", **RECURRING) == 0
    assert noted(runner)
    return runner


def note(runner: Runner) -> Path:
    return Path(runner.environ["HA_RSCTMP"]) / "anycast/toy-web.shortcut"


def noted(runner: Runner) -> str:
    return note(runner).read_text() if note(runner).exists() else ""


def test_what_is_noted(seen: Runner) -> None:
    assert noted(seen) == "1.0\t192.0.2.1\t\t\t\t\nthere\ngood\n"
    assert note(seen).stat().st_mode & 0o777 == 0o600
    seen("monitor", low="1", mode="fast", unknown="x", **RECURRING)
    assert noted(seen) == "1.0\t192.0.2.1\tfast\t\t1\t\nthere\ngood\n"


@pytest.mark.parametrize("action", ["start", "stop", "monitor", "migrate_to", "migrate_from", "reload-agent", "no-such-action"])
def test_every_action_on_the_resource_removes_it(seen: Runner, action: str) -> None:
    seen(action)
    assert not noted(seen)


@pytest.mark.parametrize("action", ["meta-data", "validate-all", "usage"])
def test_what_does_nothing_leaves_it(seen: Runner, action: str) -> None:
    assert seen(action) == 0
    assert noted(seen)


@pytest.mark.parametrize("status", [Status.stopped(), Status.failed("broken"), Status.degraded("half of it")])
def test_a_monitor_with_something_to_say_removes_it(seen: Runner, status: Status) -> None:
    Seen.plan["observe"] = lambda *_: status
    seen("monitor", **RECURRING)
    assert not noted(seen)


def test_it_is_gone_before_anything_is_looked_at(seen: Runner) -> None:
    """A monitor that is killed must not leave what another monitor has noted."""
    gone: list[bool] = []

    def look(*_: object) -> Status:
        gone.append(not noted(seen))
        return Status.running()

    Seen.plan["observe"] = look
    assert seen("monitor", **RECURRING) == 0
    assert gone == [True]
    assert noted(seen)


def test_a_bad_configuration_removes_it(seen: Runner) -> None:
    assert seen("monitor", ip="nonsense", **RECURRING) == 6
    assert not noted(seen)


def test_a_deeper_monitor_notes_nothing(seen: Runner) -> None:
    seen.environ["OCF_CHECK_LEVEL"] = "10"
    assert seen("monitor", **RECURRING) == 0
    assert not noted(seen)


def test_an_agent_that_no_shell_can_look_at_has_none(runner: Runner) -> None:
    runner("start")
    assert runner("monitor", **RECURRING) == 0
    assert not noted(runner)


@pytest.mark.parametrize("value", ["a\tb", "a\nb", "a\rb", "na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve", "\udcff", "x" * 5000])
def test_a_parameter_that_a_shell_might_read_otherwise_prevents_it(
    seen: Runner, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    free = StringParam("", "")
    free.__set_name__(Seen, "free")
    monkeypatch.setattr(Seen, "free", free, raising=False)
    seen("monitor", free="ab", **RECURRING)
    assert noted(seen)
    seen("monitor", free=value, **RECURRING)
    assert not noted(seen)


@pytest.mark.parametrize("fact", ["two\nlines", "x" * shortcut.MAX_BYTES])
def test_a_fact_that_no_line_can_hold_prevents_it(seen: Runner, monkeypatch: pytest.MonkeyPatch, fact: str) -> None:
    monkeypatch.setattr(Seen, "facts", (fact,))
    assert seen("monitor", **RECURRING) == 0
    assert not noted(seen)


def test_a_full_disk_is_no_failure_of_a_monitor(seen: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: str, data: bytes, sync: bool = False) -> None:
        raise OSError(28, os.strerror(28), path)

    monkeypatch.setattr(shortcut, "replace_file", full)
    assert seen("monitor", **RECURRING) == 0
    assert not noted(seen)
    assert f"{note(seen)}: No space left on device" in seen.log
