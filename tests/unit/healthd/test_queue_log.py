"""The daemon's log: lines in order, and none that the daemon waits for."""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from ocfpy.healthd import queue_log
from ocfpy.healthd.queue_log import QueueLog
from ocfpy.ocf import log as ocf_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LIMIT_S = 20.0


def until(condition: Callable[[], object]) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, "it did not become true"
        time.sleep(0.005)


@pytest.fixture
def syslog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A /dev/log of the test's own."""
    path = str(tmp_path / "dev-log")
    monkeypatch.setattr(ocf_log, "DEV_LOG", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(path)
        server.settimeout(LIMIT_S)
        yield server


def read_line(server: socket.socket) -> str:
    return server.recv(65536).decode().partition("]: ")[2]


def test_lines_arrive_in_order(tmp_path: Path) -> None:
    file = tmp_path / "log"
    log = QueueLog("healthd", "web", {"HA_LOGFACILITY": "none", "HA_LOGFILE": str(file)})
    for number in range(300):
        log.info(f"line {number}")
    assert log.flush(LIMIT_S)
    assert [line.rpartition(" ")[2] for line in file.read_text().splitlines()] == [str(number) for number in range(300)]
    assert f" healthd(web)[{os.getpid()}]: INFO: line 0\n" in file.read_text()


def test_debug_lines_are_for_those_who_ask(tmp_path: Path) -> None:
    file = tmp_path / "log"
    for debug in ("0", "1"):
        log = QueueLog("healthd", "web", {"HA_LOGFACILITY": "none", "HA_LOGFILE": str(file), "HA_debug": debug})
        log.debug(f"debug {debug}")
        assert log.flush(LIMIT_S)
    assert "debug 1" in file.read_text()
    assert "debug 0" not in file.read_text()


def test_what_a_full_syslog_does_not_take_is_counted_and_reported(
    syslog: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread offers the first line for PATIENCE_S, each following one once, until syslog reads again."""
    monkeypatch.setattr(queue_log, "PATIENCE_S", 0.05)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        filled = 0
        try:
            while True:
                sender.sendto(b"filling", syslog.getsockname())
                filled += 1
        except BlockingIOError:
            pass
    log = QueueLog("healthd", "web", {})
    for number in range(20):
        log.error(f"lost {number}")
    until(lambda: log.dropped == 20)
    assert [syslog.recv(64) for _ in range(filled)] == [b"filling"] * filled
    log.warning("seen")
    assert read_line(syslog) == "WARNING: seen"
    assert read_line(syslog) == "WARNING: 20 log lines were dropped: the log did not take them"
    log.info("on it goes")
    assert read_line(syslog) == "INFO: on it goes"
    assert log.dropped == 0


def test_a_syslog_that_is_busy_for_a_moment_loses_nothing(syslog: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst of more lines than the queue of the socket holds."""
    monkeypatch.setattr(queue_log, "PATIENCE_S", LIMIT_S)
    log = QueueLog("healthd", "web", {})
    for number in range(900):
        log.info(str(number))
    assert [read_line(syslog) for _ in range(900)] == [f"INFO: {number}" for number in range(900)]
    assert log.dropped == 0


def test_nothing_waits_for_a_thread_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a file server that is gone, where O_NONBLOCK does not help."""
    released = threading.Event()
    append = ocf_log._append

    def hang(path: str, line: str) -> None:
        released.wait(LIMIT_S)
        append(path, line)

    monkeypatch.setattr(ocf_log, "_append", hang)
    file = tmp_path / "log"
    log = QueueLog("healthd", "web", {"HA_LOGFACILITY": "none", "HA_LOGFILE": str(file)}, queue_lines=10)
    for number in range(100):
        log.error(str(number))
    assert not released.is_set()
    assert log.dropped >= 89  # ten in the queue, and one that the thread has
    assert not log.flush(0.01)
    dropped = log.dropped
    released.set()
    until(lambda: log.dropped == 0)
    assert log.flush(LIMIT_S)
    lines = file.read_text().splitlines()
    assert len(lines) == 100 - dropped + 1
    assert f"WARNING: {dropped} log lines were dropped" in file.read_text()


def test_fifo_that_no_process_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_log, "PATIENCE_S", 0.05)
    fifo, file = tmp_path / "fifo", tmp_path / "log"
    os.mkfifo(fifo)
    log = QueueLog(
        "healthd", "web", {"HA_LOGFACILITY": "none", "HA_LOGFILE": str(fifo), "HA_DEBUGLOG": str(file)}
    )
    for number in range(50):
        log.error(str(number))
    until(lambda: log.dropped == 50)
    assert len(file.read_text().splitlines()) == 50, "the other file has every line once"


def test_no_thread_to_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    file = tmp_path / "log"
    log = QueueLog("healthd", "web", {"HA_LOGFACILITY": "none", "HA_LOGFILE": str(file)})
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        log.error("lost")
    assert log.dropped == 1
    log.error("seen")
    until(lambda: log.dropped == 0)
    assert log.flush(LIMIT_S)
    assert "seen" in file.read_text()
