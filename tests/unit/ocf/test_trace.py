"""The trace that `crm resource trace` and crm_resource -V ask for."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.ocf.conftest import Runner


@pytest.fixture(autouse=True)
def _untraced() -> Iterator[None]:
    before = sys.gettrace()
    yield
    sys.settrace(before)


def test_as_crmsh_asks_for_it(runner: Runner, tmp_path: Path) -> None:
    """The place is that of ocf-shellfuncs: directory, type, instance, action and time."""
    assert runner("start", trace_ra="1", trace_dir=f"{tmp_path}/traces", password="hunter2") == 0
    (name,) = os.listdir(tmp_path / "traces/toy")
    assert name.startswith("web.start.20")
    trace = (tmp_path / "traces/toy" / name).read_text()
    assert "OCF_RESKEY_ip='192.0.2.1'" in trace
    assert "hunter2" not in trace
    assert "_bring_up:" in trace
    assert "context.state.update(" in trace


def test_to_a_file(runner: Runner, tmp_path: Path) -> None:
    runner.environ |= {"OCF_TRACE_RA": "yes", "OCF_TRACE_FILE": str(tmp_path / "trace")}
    runner("monitor")
    assert "_probe:" in (tmp_path / "trace").read_text()
    runner.environ["OCF_TRACE_FILE"] = ""
    runner("monitor", trace_file=str(tmp_path / "other"))
    assert "observe" in (tmp_path / "other").read_text()


@pytest.mark.parametrize("kind", ["symlink", "hard link", "fifo", "directory"])
def test_no_file_of_others_is_written(runner: Runner, tmp_path: Path, kind: str) -> None:
    victim, trace = tmp_path / "victim", tmp_path / "trace"
    victim.write_text("as it was")
    if kind == "symlink":
        trace.symlink_to(victim)
    elif kind == "hard link":
        os.link(victim, trace)
    elif kind == "fifo":
        os.mkfifo(trace)
    else:
        trace.mkdir()
    assert runner("monitor", trace_ra="1", trace_file=str(trace)) == 7
    assert "no trace: " in runner.log
    assert victim.read_text() == "as it was"


def test_no_symlink_makes_a_file(runner: Runner, tmp_path: Path) -> None:
    (tmp_path / "trace").symlink_to(tmp_path / "victim")
    assert runner("monitor", trace_ra="1", trace_file=f"{tmp_path}/trace") == 7
    assert not (tmp_path / "victim").exists()
    assert f"no trace: {tmp_path}/trace is a link" in runner.log


def test_actions_append_to_one_file(runner: Runner, tmp_path: Path) -> None:
    for action in ("start", "stop"):
        assert runner(action, trace_ra="1", trace_file=f"{tmp_path}/trace") == 0
        sys.settrace(None)
    trace = (tmp_path / "trace").read_text()
    assert "_bring_up:" in trace
    assert "take_down:" in trace


def test_where_nothing_can_be_written(runner: Runner) -> None:
    runner.environ |= {"OCF_TRACE_RA": "1", "OCF_TRACE_FILE": "/proc/nonexistent/trace"}
    assert runner("monitor") == 7
    assert "no trace: " in runner.log


def test_no_trace_unless_asked(runner: Runner) -> None:
    before = sys.gettrace()
    runner("monitor", trace_ra="0")
    assert sys.gettrace() is before
