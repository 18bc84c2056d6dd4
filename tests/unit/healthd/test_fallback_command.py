"""The program that is told of services without a backend."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from ocfpy.healthd import fallback_command
from ocfpy.healthd.fallback_command import FallbackCommands, where
from ocfpy.healthd.privileges import find_user
from ocfpy.ipvs.model import parse_virtual
from ocfpy.ocf.log import Log

from tests.unit.healthd.gate_stage import Heard
from tests.unit.healthd.samples import DNS, WEB, pool

LIMIT_S = 10


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """What the program was told, once it exists."""
    return tmp_path / "told"


@pytest.fixture
def command(tmp_path: Path, told: Path) -> str:
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\necho "$*" >>{told}\n[ ! -e {tmp_path}/slow ] || sleep 60\n')
    program.chmod(0o755)
    return f"{program} own"


def run(command: str, *alive: tuple[int, int], end: bool = True, log: Log | None = None, user: str = "root") -> None:
    """One look after the other, each with the numbers of those alive for DNS and WEB."""
    spec = pool(f"{DNS} {WEB}", fallback_command=command)

    async def story() -> None:
        commands = FallbackCommands(log or Log("test", "", {"HA_LOGFACILITY": "none"}))
        for numbers in alive:
            commands.see(spec.services, dict(zip(spec.virtual, numbers)), user)
            while commands._running:
                await asyncio.sleep(0.01)
        if end:
            await commands.end()

    asyncio.run(asyncio.wait_for(story(), LIMIT_S))


def test_each_change_is_told_once_and_the_end_too(command: str, told: Path) -> None:
    run(command, (2, 0), (1, 0), (0, 0), (0, 0), (0, 3))
    lines = told.read_text().splitlines()
    assert [line for line in lines if DNS[4:] in line] == [
        f"own stop {DNS[4:]} udp", f"own start {DNS[4:]} udp",
    ]  # fmt: skip
    assert [line for line in lines if WEB[4:] in line] == [
        f"own start {WEB[4:]} tcp", f"own stop {WEB[4:]} tcp", f"own start {WEB[4:]} tcp",
    ]  # fmt: skip


def test_a_service_that_goes_is_told(command: str, told: Path) -> None:
    async def story() -> None:
        commands = FallbackCommands(Log("test", "", {"HA_LOGFACILITY": "none"}))
        spec = pool(DNS, fallback_command=command)
        commands.see(spec.services, {spec.virtual[0]: 1}, "root")
        commands.see([], {}, "root")
        await commands.end()

    asyncio.run(asyncio.wait_for(story(), LIMIT_S))
    assert told.read_text().splitlines()[-1] == f"own start {DNS[4:]} udp"


def test_one_that_hangs_is_killed_and_one_that_is_not_there_is_said(
    command: str, told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fallback_command, "TIMEOUT_S", 0.3)
    log = Log("test", "", {"HA_LOGFACILITY": "none", "HA_LOGFILE": str(tmp_path / "log")})
    (tmp_path / "slow").touch()
    run(command, (1, 1), end=False, log=log)
    run("/nonexistent", (1, 1), end=False, log=log)
    text = (tmp_path / "log").read_text()
    assert text.count("was killed after 0.3 s") == 2
    assert text.count("No such file or directory") == 2


@pytest.mark.parametrize(
    ("virtual", "text"),
    [
        ("tcp/192.0.2.1:80", "192.0.2.1:80"),
        ("udp/[2001:db8::1]:53", "[2001:db8::1]:53"),
        ("tcp/192.0.2.1:0", "192.0.2.1:0"),
        ("fwmark/7", "7:0"),
    ],
)
def test_how_a_service_is_called(virtual: str, text: str) -> None:
    assert where(parse_virtual(virtual)) == text


@pytest.mark.parametrize(("user", "name"), [("", find_user().name), ("daemon", "daemon"), ("root", "root")])
def test_it_runs_as_the_user_of_check_commands(public_path: Path, user: str, name: str) -> None:
    program = public_path / "program"
    program.write_text(f"#!/bin/sh\nid -un >>{public_path}/user\n")
    program.chmod(0o755)
    run(str(program), (0, 1), end=False, user=user)
    assert set((public_path / "user").read_text().split()) == {name}


@pytest.mark.parametrize(
    ("user", "said"),
    [("", f"Permission denied (it runs as user {find_user().name}: set check_command_user)"), ("nemo-7", "has no such user")],
)
def test_a_user_who_may_not_run_it_is_named(tmp_path: Path, command: str, user: str, said: str) -> None:
    tmp_path.chmod(0o700)
    log = Heard()
    run(command, (0, 1), end=False, user=user, log=log)  # type: ignore[arg-type]
    assert said in log.lines[0]
