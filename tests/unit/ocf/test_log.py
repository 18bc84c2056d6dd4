"""A log gets its lines, and nothing waits for one that does not take them."""

from __future__ import annotations

import os
import re
import socket
from typing import TYPE_CHECKING

import pytest
from ocfpy.ocf import codes, log
from ocfpy.ocf.context import Context
from ocfpy.ocf.log import Log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .conftest import Runner

RECEIVE_LIMIT_S = 20


@pytest.fixture
def syslog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A /dev/log of the test's own."""
    path = str(tmp_path / "dev-log")
    monkeypatch.setattr(log, "DEV_LOG", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        server.settimeout(RECEIVE_LIMIT_S)
        yield server


def fill(send: Callable[[], object]) -> None:
    """Send until nothing more is taken."""
    try:
        while True:
            send()
    except BlockingIOError:
        pass


def test_log_goes_to_the_file_and_never_fails(tmp_path: Path) -> None:
    file = tmp_path / "log"
    environ = {"HA_LOGFILE": str(file), "HA_LOGFACILITY": "none", "OCF_RESOURCE_INSTANCE": "web"}
    log = Context(["toy"], environ).log
    log.debug("unseen")
    log.info("one\ntwo")
    assert file.read_text().endswith(f" toy(web)[{os.getpid()}]: INFO: one two\n")
    Context(["toy"], {**environ, "HA_LOGFILE": str(tmp_path)}).log.error("to a directory")
    Context(["toy"], {**environ, "HA_debug": "1"}).log.debug("seen")
    assert "DEBUG: seen" in file.read_text()


def test_trace_shows_debug_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    Context(["toy"], {"HA_LOGFACILITY": "none", "OCF_TRACE_RA": "1"}).log.debug("detail")
    assert "DEBUG: detail" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("facility", "method", "priority"),
    [
        ("daemon", "info", 30), ("", "warning", 28), ("local3", "error", 155), ("LOCAL7", "info", 190),
        ("no such", "info", 30), ("authpriv", "info", 86),
    ],
)  # fmt: skip
def test_syslog_gets_what_syslog_3_would_send(syslog: socket.socket, facility: str, method: str, priority: int) -> None:
    getattr(Log("toy", "web", {"HA_LOGFACILITY": facility}), method)("one\ntwo \u00e9")
    line = syslog.recv(4096).decode()
    level = {"info": "INFO", "warning": "WARNING", "error": "ERROR"}[method]
    stamp = r"[A-Z][a-z]{2} [ 1-3]\d \d\d:\d\d:\d\d"
    assert re.fullmatch(rf"<{priority}>{stamp} toy\(web\)\[{os.getpid()}\]: {level}: one two \u00e9", line), line


def test_a_long_line_is_cut(syslog: socket.socket) -> None:
    Log("toy", "web", {}).error("x" * 1_000_000)
    assert len(syslog.recv(2_000_000)) < log.MAX_CHARACTERS + 200


def logs_that_hang(tmp_path: Path) -> dict[str, str]:
    """The paths of a FIFO that no process reads, of a directory, and of a name that no file can have."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    return {"fifo": f"{tmp_path}/fifo", "directory": f"{tmp_path}/directory", "name": "x" * 300}


@pytest.mark.parametrize("kind", ["fifo", "directory", "name"])
@pytest.mark.parametrize("action", ["start", "monitor", "stop"])
def test_no_action_waits_for_a_log_file(runner: Runner, tmp_path: Path, kind: str, action: str) -> None:
    """An action that waited would be ended by its alarm, with code 1."""
    runner("start")
    runner.environ["HA_LOGFILE"] = logs_that_hang(tmp_path)[kind]
    assert runner(action) == codes.OCF_SUCCESS


@pytest.mark.parametrize("action", ["start", "monitor", "stop"])
def test_no_action_waits_for_syslog(runner: Runner, syslog: socket.socket, action: str) -> None:
    runner("start")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        fill(lambda: sender.sendto(b"x", syslog.getsockname()))
    runner.environ["HA_LOGFACILITY"] = "daemon"
    assert runner(action) == codes.OCF_SUCCESS


def test_no_action_waits_for_a_pipe_that_is_full(runner: Runner, tmp_path: Path) -> None:
    path = f"{tmp_path}/fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    try:
        fill(lambda: os.write(writer, b"x" * 4096))
        runner.environ["HA_LOGFILE"] = path
        assert runner("start") == codes.OCF_SUCCESS
        assert runner("stop") == codes.OCF_SUCCESS
    finally:
        os.close(reader)
        os.close(writer)
