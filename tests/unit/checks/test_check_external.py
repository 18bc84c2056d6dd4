"""Commands as checks: what they are told, what they may say, and how they end."""

from __future__ import annotations

import asyncio
import os
import resource
from pathlib import Path

import pytest
from ocfpy.checks import external, make_check
from ocfpy.checks.base import Result
from ocfpy.checks.settings import CheckSettings
from ocfpy.ipvs.model import parse_virtual
from ocfpy.ocf.addresses import parse_address

LIMIT_S = 30.0


def command(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def run(command: str, virtual: str = "tcp/192.0.2.53:80", port: int = 8080, **more: object) -> Result:
    wanted = CheckSettings("external", **{"timeout": LIMIT_S, "command": command, **more})  # type: ignore[arg-type]

    async def story() -> Result:
        check = make_check(parse_address("10.0.0.11"), port, wanted, parse_virtual(virtual))
        return await check.run()

    return asyncio.run(story())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("exit 0", ""),
        ("exit 3", "the command ended with exit code 3"),
        ("echo all is lost; echo and more; exit 1", "all is lost"),
        ("echo all is lost >&2; exit 1", "all is lost"),
        (r"printf '\033[31mred\n'; exit 1", "[31mred"),
        ("kill -9 $$", "the command was killed by signal 9"),
        ("head -c 10000000 /dev/zero | tr '\\0' x; exit 1", "x" * 300 + "..."),
        ("read line; exit 0", ""),
    ],
)
def test_what_a_command_says(tmp_path: Path, text: str, reason: str) -> None:
    result = run(command(tmp_path / "check", text))
    assert result.reason == reason
    assert result.ok == (not reason)


def test_what_a_command_is_told(tmp_path: Path) -> None:
    told = tmp_path / "told"
    path = command(tmp_path / "check", f'printf "<%s>" "$@" >{told}; env | sort >>{told}')
    assert run(f"{path} --deep 'x").ok
    text = told.read_text()
    assert text.startswith("<--deep><'x><192.0.2.53><80><10.0.0.11><8080>")
    assert {line.partition("=")[0] for line in text.partition(">LC")[2].splitlines()} <= {
        "", "_ALL", "OCF_ANYCAST_POOL", "PATH", "PROTOCOL", "PWD", "RIP", "RPORT", "TIMEOUT", "VIP", "VPORT", "_",
    }  # fmt: skip
    assert run(path, "fwmark/7", 0).ok
    assert told.read_text().startswith("<7><0><10.0.0.11><0>")


def test_not_all_commands_run_at_once_and_no_server_fails_for_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "AT_ONCE", 2)
    path = command(tmp_path / "check", f"cd {tmp_path}; mkdir $$.d; set -- *.d; echo $#; sleep 0.1; rmdir $$.d; exit 1")
    wanted = CheckSettings("external", timeout=LIMIT_S, command=path)

    async def story() -> list[Result]:
        checks = [make_check(parse_address(f"10.0.0.{n}"), 80, wanted, parse_virtual("tcp/192.0.2.53:80")) for n in range(8)]
        return await asyncio.gather(*(check.run() for check in checks))

    results = asyncio.run(story())
    assert {result.reason for result in results} <= {"1", "2"}
    assert max(result.seconds for result in results) < LIMIT_S / 2


@pytest.mark.parametrize(
    ("code", "dynamic", "ok", "weight"),
    [(0, "true", True, None), (1, "true", False, None), (2, "true", True, 0), (52, "true", True, 50),
     (102, "true", True, 100), (255, "true", True, 253), (52, "false", False, None)],
)  # fmt: skip
def test_weights(tmp_path: Path, code: int, dynamic: str, ok: bool, weight: int | None) -> None:
    result = run(command(tmp_path / "check", f"exit {code}"), dynamic=dynamic)
    assert (result.ok, result.weight) == (ok, weight)


def test_a_command_has_the_usual_number_of_files(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        result = run(command(tmp_path / "check", "sleep 0.1; ulimit -n; exit 1"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert result.reason == str(min(1024, hard))


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    assert run("/nonexistent/check").reason == "/nonexistent/check: No such file or directory"
    (tmp_path / "data").write_text("hello")
    assert "Permission denied" in run(str(tmp_path / "data")).reason


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize(("end", "timeouts"), [("wait", (0.5, 2.0, 8.0, 30.0)), ("exit 0", (LIMIT_S,))])
def test_everything_a_command_has_started_ends_with_it(tmp_path: Path, end: str, timeouts: tuple[float, ...]) -> None:
    children = tmp_path / "children"
    text = f"trap '' TERM; sleep 1000 & (sleep 1000 & echo $! >>{children}); echo $! >>{children}; echo $$ >>{children}; {end}"
    path = command(tmp_path / "check", text)

    async def story() -> None:
        pids: list[int] = []
        for timeout in timeouts:
            wanted = CheckSettings("external", timeout=timeout, command=path)
            check = make_check(parse_address("10.0.0.11"), 80, wanted, parse_virtual("tcp/192.0.2.53:80"))
            result = await check.run()
            assert result.reason == ("" if end == "exit 0" else f"timed out after {timeout:g} s, waiting for the command")
            pids += [int(word) for word in children.read_text().split()] if children.exists() else []
            if len(pids) >= 3:
                break  # else a busy machine did not let it come that far
        while not all(map(gone, pids)):
            await asyncio.sleep(0.02)
        before = len(os.listdir("/proc/self/fd"))
        while "cannot be killed" in (await check.run()).reason:  # dead, and not yet waited for
            await asyncio.sleep(0.02)
        while len(os.listdir("/proc/self/fd")) > before:  # until it has been reaped
            await asyncio.sleep(0.02)

    asyncio.run(asyncio.wait_for(story(), 100))


def test_a_check_that_is_no_longer_wanted_takes_its_command_with_it(tmp_path: Path) -> None:
    number = tmp_path / "number"
    path = command(tmp_path / "check", f"echo $$ >{number}.new; mv {number}.new {number}; exec sleep 1000")

    async def story() -> int:
        wanted = CheckSettings("external", timeout=LIMIT_S, command=path)
        check = make_check(parse_address("10.0.0.11"), 80, wanted, parse_virtual("tcp/192.0.2.53:80"))
        task = asyncio.ensure_future(check.run())
        while not number.exists():
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        pid = int(number.read_text())
        while not gone(pid):
            await asyncio.sleep(0.01)
        return pid

    asyncio.run(asyncio.wait_for(story(), LIMIT_S))
