"""Files on a file server that is gone, played by a named pipe without a writer: an open of it waits for ever."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ocfpy.checks import files, make_check
from ocfpy.checks.files import look
from ocfpy.healthd import preflight
from ocfpy.ocf.addresses import parse_address
from ocfpy.ocf.deadline import Deadline
from ocfpy.ocf.errors import HostError

from tests.unit.checks.test_checks import PATIENCE_S, TIMEOUT_S, http, says, settings
from tests.unit.healthd.samples import pool


def test_an_unreadable_password_fails_only_its_own_checks_and_delays_no_other(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    os.mkfifo(secret)

    async def story() -> None:
        server = await asyncio.start_server(says(http()), "127.0.0.1")
        async with server:
            address, port = parse_address("127.0.0.1"), server.sockets[0].getsockname()[1]
            login = settings("http", user="watch", secret=str(secret), timeout=TIMEOUT_S)
            first, second = (make_check(address, port, login) for _ in range(2))
            other = make_check(address, port, settings("http"))
            results = await asyncio.gather(first.run(), second.run(), other.run())
            reason = f"timed out after {TIMEOUT_S:g} s, reading the secret in {secret}"
            assert [result.reason for result in results] == [reason, reason, ""]
            assert (await first.run()).reason == reason
            assert len(files._under_way) == 1, "all callers wait for the same read"
            await asyncio.get_running_loop().run_in_executor(None, secret.write_text, "open sesame\n")
            secret.unlink()
            secret.write_text("open sesame\n")
            patient = make_check(address, port, settings("http", user="watch", secret=str(secret)))
            assert (await patient.run()).ok

    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


@pytest.mark.parametrize("option", ["ca", "cert"])
def test_certificates_that_cannot_be_read_now_fail_those_who_need_them_alone(tmp_path: Path, option: str) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    async def story() -> None:
        server = await asyncio.start_server(says(http()), "127.0.0.1")
        async with server:
            address, port = parse_address("127.0.0.1"), server.sockets[0].getsockname()[1]
            needy = make_check(address, port, settings("https", timeout=TIMEOUT_S, **{option: str(pipe)}))
            other = make_check(address, port, settings("http"))
            results = await asyncio.gather(needy.run(), other.run())
            assert [result.reason for result in results] == [f"timed out after {TIMEOUT_S:g} s, reading {pipe}", ""]
            await asyncio.get_running_loop().run_in_executor(None, pipe.write_text, "nonsense")
            pipe.unlink()
            pipe.write_text("nonsense")
            patient = make_check(address, port, settings("https", **{option: str(pipe)}))
            assert (await patient.run()).reason.startswith(f"{pipe} cannot be used for TLS")

    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


def test_a_look_that_hangs_is_waited_for_once() -> None:
    answer = threading.Event()

    async def story() -> None:
        assert not await look("directory", lambda: answer.wait(PATIENCE_S), 0.01)
        assert not await look("directory", lambda: pytest.fail("begun again"), PATIENCE_S)
        assert await look("another", lambda: None, PATIENCE_S)
        answer.set()
        while not await look("directory", lambda: None, PATIENCE_S):
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


def test_a_thread_that_cannot_be_had_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async def story() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            assert not await look("directory", lambda: None, PATIENCE_S)
        assert await look("directory", lambda: None, PATIENCE_S)

    with ThreadPoolExecutor(1) as threads:
        monkeypatch.setattr(files, "_threads", threads)
        asyncio.run(asyncio.wait_for(story(), PATIENCE_S))


def test_what_is_wrong_with_a_file_is_said_when_the_pool_starts(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    services = pool(check=settings("ldap", user="cn=probe", secret=str(secret))).services
    with pytest.raises(HostError, match=f"the secret in {secret} cannot be read: No such file"):
        preflight.require_files(services, Deadline(PATIENCE_S))
    secret.write_bytes(b"\xff\n")
    with pytest.raises(HostError, match="it is not text"):
        preflight.require_files(services, Deadline(PATIENCE_S))
    secret.write_text("open sesame\n")
    deadline = Deadline(PATIENCE_S)
    preflight.require_files(services, deadline)
    assert deadline.step == f"the secret in {secret}", "what is waited for when it hangs"
