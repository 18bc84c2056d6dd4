"""What this node lacks says nothing about a server: a check that could not be made has neither failed nor succeeded."""

from __future__ import annotations

import asyncio
import errno
import os
from typing import Any

import pytest
from ocfpy.checks import external, files, make_check
from ocfpy.checks.base import Check, Result
from ocfpy.checks.combined import CombinedCheck
from ocfpy.checks.result import not_made
from ocfpy.checks.settings import CheckSettings
from ocfpy.healthd.check_state import CheckState
from ocfpy.ipvs.model import parse_virtual
from ocfpy.ocf.addresses import parse_address
from ocfpy.pool.hysteresis import Verdict

HERE = parse_address("127.0.0.1")
LACKS = {
    errno.EMFILE: "too many open files",
    errno.ENFILE: "too many open files in the system",
    errno.ENOMEM: "out of memory",
    errno.ENOBUFS: "no memory for the socket",
    errno.EAGAIN: "no free port, process or memory for it",
    errno.EADDRNOTAVAIL: "no free local port",
}


def result_of(check: Check, shortcut: bool = False) -> Result:
    async def story() -> Result:
        begin = check.shortcut()
        if not shortcut:
            return await check.run()
        assert begin is not None
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        begin(asyncio.get_running_loop(), result.set_result)
        return await result

    return asyncio.run(story())


def refuse_sockets(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("ocfpy.checks.provider.start_connect", refuse)


@pytest.mark.parametrize(("number", "why"), LACKS.items())
@pytest.mark.parametrize(
    ("kind", "shortcut"), [("tcp", True), ("tcp", False), ("udp", False), ("ping", False), ("http", False)]
)
def test_an_error_of_this_node(monkeypatch: pytest.MonkeyPatch, number: int, why: str, kind: str, shortcut: bool) -> None:
    refuse_sockets(monkeypatch, number)
    result = result_of(make_check(HERE, 9, CheckSettings(kind)), shortcut)
    assert result[:2] == (None, f"this node could not make the check: {why}")


@pytest.mark.parametrize("number", [errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNRESET])
@pytest.mark.parametrize("shortcut", [True, False])
def test_an_error_that_a_server_or_the_network_causes(monkeypatch: pytest.MonkeyPatch, number: int, shortcut: bool) -> None:
    refuse_sockets(monkeypatch, number)
    assert result_of(make_check(HERE, 9, CheckSettings("tcp")), shortcut).ok is False


@pytest.mark.parametrize("shortcut", [True, False])
def test_an_address_to_check_from_that_is_not_here_is_a_mistake_in_the_configuration(shortcut: bool) -> None:
    result = result_of(make_check(HERE, 9, CheckSettings("tcp", bind="192.0.2.99")), shortcut)
    assert result[:2] == (False, "the source address (check_bind) is not on this node")


def test_memory_and_threads(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    class Hungry(Check):
        async def attempt(self) -> None:
            raise MemoryError

    assert result_of(Hungry(HERE, 9, CheckSettings("tcp")))[:2] == (
        None,
        "this node could not make the check: out of memory",
    )

    class NoThreads:
        def submit(self, *_: object) -> None:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(files, "_threads", NoThreads())
    check = make_check(HERE, 9, CheckSettings("http", user="x", secret=str(tmp_path)))
    assert result_of(check)[:2] == (None, "this node could not make the check: no thread to read a file with")


def test_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = CheckSettings("external", command="/bin/true")
    check = make_check(HERE, 80, settings, parse_virtual("tcp/192.0.2.53:80"))
    assert result_of(check).ok

    def no_process(*_: object, **__: object) -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(external, "_spawn", no_process)
    before = len(os.listdir("/proc/self/fd"))
    assert result_of(check)[:2] == (None, f"this node could not make the check: {LACKS[errno.EAGAIN]}")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_command_that_cannot_be_watched_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    check = make_check(HERE, 80, CheckSettings("external", command="/bin/true"), parse_virtual("tcp/192.0.2.53:80"))

    def no_descriptor(_: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", no_descriptor)
    before = set(external.running)  # of tests that ran before
    assert result_of(check)[:2] == (None, "this node could not make the check: too many open files")
    assert external.running == before


def test_it_changes_no_verdict_and_no_weight() -> None:
    for verdict in (Verdict(True), Verdict(False), Verdict(True, 2), Verdict(None, 1, True), Verdict()):
        state = CheckState("x", CheckSettings(rise=1, fall=1), verdict, 0.0)
        state.result = Result(True, "", 0.1, 50)
        state.take(not_made("out of memory", 0.1))
        assert state.verdict == verdict
        assert (state.percent, state.reason) == (50, "this node could not make the check: out of memory")


def test_of_a_combined_check_it_counts_as_nothing() -> None:
    results = iter([Result(True, "", 0.0), not_made("x", 0.0), Result(True, "", 0.0), Result(True, "", 0.0), not_made("x", 0.0)])
    made: list[str] = []

    class Played(Check):
        def __init__(self, name: str) -> None:
            self.settings, self.kind, self.name = CheckSettings("tcp"), None, name  # type: ignore[assignment]

        async def run(self) -> Result:
            made.append(self.name)
            return next(results)

    check = CombinedCheck(Played("whole"), Played("connection"), 2)

    async def story() -> None:
        for _ in range(5):
            await check.run()

    asyncio.run(story())
    assert made == ["whole", "connection", "connection", "connection", "whole"]
