"""Which files that root reads or runs other users can write, and what a start says of them."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path
from typing import Any

import pytest
from ocfpy.checks.settings import CheckSettings
from ocfpy.healthd.trusted_files import Running, require_trusted, writer_of
from ocfpy.ocf.deadline import Deadline
from ocfpy.ocf.errors import HostError

from tests.unit.healthd.gate_stage import Heard
from tests.unit.healthd.samples import pool

DAEMON, GROUP = pwd.getpwnam("daemon").pw_uid, grp.getgrnam("daemon").gr_gid
"""A local user on every system, who has nothing to do with the suite."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of root's that only root can write, and so are all directories above it but for the sticky /tmp."""
    path = tmp_path / "directory" / "file"
    path.parent.mkdir(mode=0o755)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def require(log: Heard, config: str = "", user: str = "", fallback: str = "", **options: Any) -> None:
    check = CheckSettings("external", **options) if "command" in options else CheckSettings("tcp", **options)
    services = pool(check=check, fallback_command=fallback).services
    require_trusted(services, config, user, log, Deadline(20))  # type: ignore[arg-type]


def test_what_only_root_can_write_is_trusted(file: Path) -> None:
    assert writer_of(str(file)) == ""
    assert writer_of(f"{file}-missing") == ""
    assert writer_of("/bin/sh") == ""


@pytest.mark.parametrize("which", ["file", "directory"])
def test_each_way_of_writing_is_found(file: Path, which: str) -> None:
    path = file if which == "file" else file.parent
    path.chmod(0o777)
    assert writer_of(str(file)) == f"every user can write {path}"
    path.chmod(0o775)
    assert writer_of(str(file)) == "", "the group root"
    os.chown(path, 0, GROUP)
    assert writer_of(str(file)) == f"the group daemon can write {path}"
    path.chmod(0o755)
    os.chown(path, DAEMON, 0)
    assert writer_of(str(file)) == f"{path} belongs to daemon"
    assert writer_of(str(file), ["daemon"]) == ""


def test_a_link_is_trusted_as_little_as_where_it_leads_and_where_it_is(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "links" / "link"
    link.parent.mkdir(mode=0o755)
    link.symlink_to(file)
    assert writer_of(str(link)) == ""
    link.parent.chmod(0o777)
    assert writer_of(str(link)) == f"every user can write {link.parent}"
    link.parent.chmod(0o755)
    file.chmod(0o777)
    assert writer_of(str(link)).startswith("every user can write")


def test_a_command_that_others_can_write_does_not_run_as_root(file: Path) -> None:
    log = Heard()
    require(log, command=f"{file} word", command_user="root")
    file.chmod(0o777)
    with pytest.raises(HostError, match=r"the command .*: every user can write .*; have root own it .* run as root"):
        require(log, command=f"{file} word", command_user="root")
    with pytest.raises(HostError, match="fallbackcommand"):
        require(log, fallback=str(file), user="root")
    with pytest.raises(HostError, match="config"):
        require(log, config=str(file), command="/bin/true", command_user="root")
    assert log.lines == []


def test_the_file_that_an_interpreter_is_given_counts_as_the_command(file: Path) -> None:
    file.chmod(0o777)
    with pytest.raises(HostError, match=f"the command {file}: every user can write"):
        require(Heard(), command=f"/bin/sh {file} /no/such/file /tmp", command_user="root")


def test_what_runs_already_is_warned_of(file: Path) -> None:
    """To refuse it in a reload would stop the pool on every node."""
    file.chmod(0o777)
    check = CheckSettings("external", command=str(file), command_user="root")
    running = Running(pool(check=check).replace(config_digest="1"), "1")
    log = Heard()
    services = pool(check=check).services
    require_trusted(services, str(file), "", log, Deadline(20), running)  # type: ignore[arg-type]
    assert [line.split()[0] for line in log.lines] == ["config", "the"]
    with pytest.raises(HostError, match="config"):
        require_trusted(services, str(file), "", log, Deadline(20), Running(pool(check=check), "2"))  # type: ignore[arg-type]
    other = CheckSettings("external", command=f"/bin/sh {file}", command_user="root")
    alone = Running(pool(check=CheckSettings("tcp")), "")
    with pytest.raises(HostError, match="the command"):
        require_trusted(pool(check=other).services, "", "", log, Deadline(20), alone)  # type: ignore[arg-type]


def test_of_other_files_there_is_a_warning(file: Path) -> None:
    log = Heard()
    file.chmod(0o777)
    require(log, command=str(file), command_user="daemon")
    require(log, fallback=str(file))
    require(log, config=str(file))
    require(log, request=f"@{file}")
    assert [line.split()[:3] for line in log.lines] == [
        ["the", "command", f"{file}:"],
        ["fallbackcommand", f"{file}:", "every"],
        ["config", f"{file}:", "every"],
        ["the", "secret", "in"],
    ]
    os.chown(file, DAEMON, 0)
    file.chmod(0o700)
    require(log, command=str(file), command_user="daemon")
    assert len(log.lines) == 4, "its own user may change it"
