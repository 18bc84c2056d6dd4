"""Whether a kernel has a scheduler, with a modprobe that knows some modules."""

from __future__ import annotations

from pathlib import Path

import pytest
from ocfpy.agents.ipvs_pool import IpvsPool
from ocfpy.ipvs import schedulers
from ocfpy.ipvs.schedulers import is_missing
from ocfpy.ocf import process
from ocfpy.ocf.context import Context
from ocfpy.ocf.deadline import Deadline
from ocfpy.ocf.errors import HostError

from tests.unit.agents.pool_agent import MINIMUM, environ


@pytest.fixture
def modprobe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A modprobe that knows the modules whose names are in the file beside it."""
    program = tmp_path / "bin/modprobe"
    program.parent.mkdir()
    known = tmp_path / "known"
    known.write_text("ip_vs\nip_vs_rr\n")
    program.write_text(f'#!/bin/sh\n[ "$1" = --dry-run ] && exec grep -qx "$3" {known}\n')
    program.chmod(0o755)
    monkeypatch.setattr(process, "PATH", f"{program.parent}:{process.PATH}")
    return known


@pytest.mark.parametrize(("scheduler", "missing"), [("rr", False), ("rrr", True)])
def test_a_tree_of_modules(modprobe: Path, tmp_path: Path, scheduler: str, missing: bool) -> None:
    assert is_missing(scheduler, Deadline(20), str(tmp_path)) is missing


def test_a_module_that_is_loaded_needs_no_tree(modprobe: Path, tmp_path: Path) -> None:
    (tmp_path / "ip_vs_own").mkdir()
    assert not is_missing("own", Deadline(20), str(tmp_path))


def test_a_tree_without_ipvs_says_nothing(modprobe: Path, tmp_path: Path) -> None:
    modprobe.write_text("dummy\n")
    assert not is_missing("rrr", Deadline(20), str(tmp_path))


def test_a_host_without_modprobe_says_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process, "PATH", str(tmp_path))
    assert not is_missing("rrr", Deadline(20), str(tmp_path))


@pytest.mark.parametrize(("action", "refused"), [("validate-all", True), ("start", False)])
def test_a_pool_asks_only_to_validate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str, refused: bool
) -> None:
    monkeypatch.setattr(schedulers, "is_missing", lambda name, deadline: name == "rrr")
    monkeypatch.setattr("ocfpy.ipvs.connection.require_ipvs", lambda deadline: None)
    context = Context(["ipvs-pool", action], environ(tmp_path, {**MINIMUM, "scheduler": "rrr"}), "ipvs-pool")
    pool = IpvsPool(context)
    if refused:
        with pytest.raises(HostError, match=r"no IPVS scheduler rrr \(no module ip_vs_rrr\)"):
            pool.check_host()
    else:
        pool.check_host()
