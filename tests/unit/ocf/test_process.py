"""Other programs: bounded, in a known environment, killed with all their children."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import ocfpy
import pytest
from ocfpy.ocf import attributes, process
from ocfpy.ocf.context import Context
from ocfpy.ocf.deadline import Deadline
from ocfpy.ocf.errors import DeadlineError, NotInstalledError, PermissionDeniedError

if TYPE_CHECKING:
    from pathlib import Path


def test_output_and_code() -> None:
    done = process.run(
        ["sh", "-c", "cat; echo $LC_ALL $PATH $X >&2; exit 3"], 5.0, input="in", env={"X": "x"}
    )
    assert (done.rc, done.out, done.err) == (3, "in", f"C {process.PATH} x\n")


def test_nothing_is_a_shell_command() -> None:
    assert process.run(["echo", "$(id); `id`"], 5.0).out == "$(id); `id`\n"


def test_not_found_names_the_package() -> None:
    with pytest.raises(NotInstalledError, match=r"^no-such-tool not found: install package tools$"):
        process.run(["no-such-tool"], 5.0, package="tools")


def test_not_executable(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("")
    with pytest.raises(PermissionDeniedError, match="cannot be run"):
        process.run([str(tmp_path / "tool")], 5.0)


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_children_die_with_it(tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    began = time.monotonic()
    with pytest.raises(DeadlineError, match=r"waiting for `sh .*` to end"):
        process.run(["sh", "-c", f"sleep 60 & echo $! >{pidfile}; wait"], 0.3)
    assert time.monotonic() - began < 30
    pid = int(pidfile.read_text())
    Deadline(5).poll(lambda: not alive(pid), "the child to die")


def test_it_dies_with_the_agent(tmp_path: Path) -> None:
    """Pacemaker kills the action's process group, and with it what the action was waiting for."""
    pidfile = tmp_path / "pid"
    lib = os.path.dirname(os.path.dirname(ocfpy.__file__))
    program = f"""
import sys; sys.path.insert(0, {lib!r})
from ocfpy.ocf import process
process.run(["sh", "-c", "echo $$ >{pidfile}; exec sleep 60"], 60)
"""
    agent = subprocess.Popen([sys.executable, "-c", program], preexec_fn=os.setpgrp)
    Deadline(60).poll(lambda: pidfile.exists() and pidfile.read_text().strip(), "the program to run")
    os.killpg(agent.pid, signal.SIGKILL)
    agent.wait()
    Deadline(60).poll(lambda: not alive(int(pidfile.read_text())), "the program to die")


def test_no_time_left_means_not_started(tmp_path: Path) -> None:
    with pytest.raises(DeadlineError):
        process.run(["touch", str(tmp_path / "x")], Deadline(0))
    assert os.listdir(tmp_path) == []


def test_have_binary(monkeypatch: pytest.MonkeyPatch) -> None:
    assert process.have_binary("sh")
    assert process.have_binary("/bin/sh")
    assert not process.have_binary("no-such-tool")
    monkeypatch.setenv("OCF_TESTER_FAIL_HAVE_BINARY", "1")
    assert not process.have_binary("sh")


@pytest.fixture
def attrd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for attrd_updater that notes its arguments and answers a query."""
    tool = tmp_path / "attrd_updater"
    tool.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$*" >>{tmp_path}/calls\necho \'name="up" host="lb1" value="3"\'\n'
    )
    tool.chmod(0o755)
    monkeypatch.setattr(process, "PATH", f"{tmp_path}:{process.PATH}")
    monkeypatch.setenv("PATH", f"{tmp_path}:{process.PATH}")
    return tmp_path


def test_attributes(attrd: Path) -> None:
    assert attributes.set_attribute("up", "3", dampen="5s")
    assert attributes.get_attribute("up", node="lb1") == "3"
    assert attributes.delete_attribute("up")
    assert (attrd / "calls").read_text().splitlines() == ["-n up -U 3 -d 5s", "-n up -Q -N lb1", "-n up -D"]


def test_attributes_that_are_set_by_one_command(attrd: Path) -> None:
    """Each character of a name stands for itself, in attrd's regcomp(3) as in grep -E."""
    names = ["healthy-web", "a.b+c$", "x(1)|[2]"]
    assert attributes.set_attributes(names, "0")
    (call,) = (attrd / "calls").read_text().splitlines()
    words = call.split(" ")
    assert (words[0], words[2:]) == ("--pattern", ["-U", "0"])
    others = ["healthy-web2", "healthy", "axb+c$", "a.bbc$", "x1", "x(1)", "2"]
    found = subprocess.run(["grep", "-E", words[1]], input="\n".join(names + others), capture_output=True, text=True, check=True)
    assert found.stdout.split() == names


def test_attributes_of_a_node_that_cannot_start_a_program(attrd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("subprocess.Popen", refuse)
    assert not attributes.set_attribute("up", "3")


def test_attributes_outside_a_cluster(attrd: Path) -> None:
    (attrd / "attrd_updater").write_text("#!/bin/sh\necho 'Could not connect' >&2; exit 102\n")
    log = Context(["toy"], {"HA_LOGFILE": str(attrd / "log"), "HA_LOGFACILITY": "none"}).log
    assert not attributes.set_attribute("up", "3", log=log)
    assert attributes.get_attribute("up") is None
    assert "exit code 102: Could not connect" in (attrd / "log").read_text()


def test_attributes_without_pacemaker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "PATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not attributes.delete_attribute("up")
