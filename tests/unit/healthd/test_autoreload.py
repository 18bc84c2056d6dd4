"""A pool whose ldirectord.cf changes while it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ocfpy.healthd import autoreload, pool_control
from ocfpy.healthd.autoreload import Autoreload
from ocfpy.healthd.client import Paths
from ocfpy.ldirectord.reader import load
from ocfpy.ocf.errors import ConfigError
from ocfpy.ocf.log import Log
from ocfpy.pool.spec import PoolSpec

SERVICE = "virtual=192.0.2.1:{}\n    checktype=on\n    real=10.0.0.1 gate\n"


class World:
    """A file, the daemon's files next to each other, and the reloads that are asked for."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.file = directory / "x.cf"
        self.reloads: list[list[str]] = []
        self.error: Exception | None = None
        self.rundir = directory / "run"
        self.rundir.mkdir()
        self.watch = Autoreload(
            Paths(str(self.rundir / "ipvs-pool-web")),
            Log("test", "", {"HA_LOGFACILITY": "none", "HA_LOGFILE": str(directory / "log")}),
        )
        self.clock = 1
        self.write(80)
        loaded = load(str(self.file))
        self.spec = PoolSpec("web", loaded.services, "healthy-web", config=str(self.file), config_digest=loaded.digest)
        monkeypatch.setattr(pool_control, "reload", self._reload)

    def write(self, port: object, above: str = "autoreload=yes\n") -> None:
        self.file.write_text(above + SERVICE.format(port))
        self.clock += 1
        os.utime(self.file, (self.clock, self.clock))

    def _reload(self, state: Any, claim: dict[str, str], paths: Any, spec: PoolSpec, check: Any, *_: Any) -> None:
        check()
        assert state.path == str(self.rundir / "ipvs-pool-web.state")
        assert claim["attribute"] == "healthy-web"
        if self.error:
            raise self.error
        self.reloads.append(claim["virtual"].split())
        self.spec = spec

    def look(self) -> str:
        self.watch.look(self.spec)
        return self.watch.trouble


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_a_changed_file_is_gone_over_to_once(world: World) -> None:
    assert world.look() == ""
    assert world.reloads == []
    world.write(81)
    assert world.look() == ""
    assert world.look() == ""
    assert world.reloads == [["tcp/192.0.2.1:81"]]


def test_a_file_that_was_only_touched_is_the_same(world: World) -> None:
    world.look()
    world.write(80)
    assert world.look() == ""
    assert world.reloads == []


def test_a_bad_file_changes_nothing_and_is_said_until_it_is_good(world: World, tmp_path: Path) -> None:
    world.write("nope")
    for _ in range(3):
        assert "the previous one stays" in world.look()
        assert "line 2: 'nope' is not a port of tcp" in world.watch.trouble
    assert (tmp_path / "log").read_text().count("is not a port") == 1
    world.file.unlink()
    assert "No such file or directory" in world.look()
    world.write(80)
    assert world.look() == ""
    assert world.reloads == []


def test_what_belongs_to_another_pool_is_not_taken(world: World) -> None:
    (world.rundir / "ipvs-pool-other.state").write_text("virtual=tcp/192.0.2.1:81\n")
    world.write(81)
    assert "resource other already has tcp/192.0.2.1:81" in world.look()
    assert world.reloads == []


def test_a_reload_that_fails_is_said(world: World) -> None:
    world.error = ConfigError("the kernel knows no scheduler wrr")
    world.write(81)
    assert world.look().endswith("the kernel knows no scheduler wrr")
    world.error = RuntimeError("oh")
    world.write(82)
    assert world.look().endswith("RuntimeError: oh")


def test_a_failure_with_an_outside_cause_is_retried(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.error = ConfigError("resource other already has tcp/192.0.2.1:81")
    world.write(81)
    assert "resource other" in world.look()
    world.error = None
    assert "resource other" in world.look(), "not at once"
    monkeypatch.setattr(autoreload, "AGAIN_S", 0.0)
    assert world.look() == ""
    assert world.reloads == [["tcp/192.0.2.1:81"]]
    assert (tmp_path / "log").read_text().count("resource other") == 1


def test_without_autoreload_nothing_is_looked_at_any_more(world: World) -> None:
    world.write(80, above="autoreload=no\n")
    assert world.look() == ""
    assert world.spec.config == ""
    world.write(81)
    assert world.look() == ""
    assert len(world.reloads) == 1


def test_a_file_that_names_a_command_which_others_can_write_changes_nothing(world: World, tmp_path: Path) -> None:
    command = tmp_path / "check.sh"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o777)
    world.spec = world.spec.replace(command_user="root")

    def write(port: int) -> None:
        world.write(port)
        text = world.file.read_text().replace("checktype=on", f"checktype=external\n    checkcommand={command}")
        world.file.write_text(text)

    write(81)
    assert f"the command {command}: every user can write" in world.look()
    assert world.reloads == []
    command.chmod(0o755)
    write(82)
    assert world.look() == ""
    assert len(world.reloads) == 1
