"""Which process is ended when bgpd hangs, and which never is."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ocfpy.bgp.kill import kill_bgpd
from ocfpy.bgp.vty import Vty
from ocfpy.ocf.deadline import Deadline
from ocfpy.ocf.errors import ServiceError

LISTEN = """
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen(1)
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def vty(tmp_path: Path) -> Vty:
    return Vty(str(tmp_path / "bgpd.vty"), Deadline(1))


@pytest.fixture
def bgpd(tmp_path: Path, vty: Vty) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is called bgpd, listens, and never answers."""
    program = tmp_path / "bgpd"
    shutil.copy("/usr/bin/python3", program)
    with subprocess.Popen(
        [program, "-c", LISTEN, vty.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()
        yield process
        process.kill()


def test_the_listener_is_killed(vty: Vty, bgpd: subprocess.Popen[bytes]) -> None:
    assert kill_bgpd(vty) == bgpd.pid
    assert bgpd.wait(5) == -signal.SIGKILL


def test_another_process_may_be_quicker(
    vty: Vty, bgpd: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All announcements of a bgpd are stopped at once when it hangs."""

    def gone(pid: int, number: int) -> None:
        raise ProcessLookupError(pid)

    monkeypatch.setattr(os, "kill", gone)
    assert kill_bgpd(vty) == bgpd.pid
    monkeypatch.undo()  # the fixture ends the process


def test_the_pid_file_is_asked_when_the_queue_is_full(
    tmp_path: Path, vty: Vty, bgpd: subprocess.Popen[bytes]
) -> None:
    waiting = []
    for _ in range(2):
        waiting.append(socket.socket(socket.AF_UNIX))
        waiting[-1].connect(vty.path)
    with pytest.raises(ServiceError):
        kill_bgpd(Vty(vty.path, Deadline(0.1)))
    (tmp_path / "bgpd.pid").write_text(f"{bgpd.pid}\n")
    assert kill_bgpd(Vty(vty.path, Deadline(0.1))) == bgpd.pid
    assert bgpd.wait(5) == -signal.SIGKILL


@pytest.mark.parametrize("content", ["", "x\n", "999999999\n", "{this process}\n", "-1\n"])
def test_no_other_process_is_killed(tmp_path: Path, vty: Vty, content: str) -> None:
    """This very process listens, or is in the pid file, and is no bgpd."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(vty.path)
    server.listen(1)
    (tmp_path / "bgpd.pid").write_text(content.replace("{this process}", str(os.getpid())))
    with pytest.raises(ServiceError, match="by hand"):
        kill_bgpd(vty)
    server.close()
