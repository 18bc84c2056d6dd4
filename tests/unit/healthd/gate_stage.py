"""A gate on a stage: a run directory, two bgpds of a few lines, and a clock that is set by hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Callable

from ocfpy.healthd.gate import Gate
from ocfpy.healthd.gate_files import GateFiles, Registration
from ocfpy.ocf.deadline import Deadline

from tests.unit.healthd.fake_bgpd import FakeBgpd

LIMIT_S = 20.0
POOL = "healthy-dns"
DEAD = "tcp/192.0.2.53:53: 10.0.0.11 connection refused"


class Heard:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)

    warning = error = debug = info


class Stage:
    """A run directory, two bgpds, and a gate."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.files = GateFiles(str(directory))
        self.log = Heard()
        self.bgpd = FakeBgpd()
        self.other = FakeBgpd()
        self.now = 1000.0
        self.gate = self.new_gate()

    def new_gate(self) -> Gate:
        self.gate = Gate(str(self.directory), self.log, self._connect, lambda: self.now)  # type: ignore[arg-type]
        return self.gate

    def _connect(self, registration: Registration, deadline: Deadline) -> Any:
        return self.other if registration.vty_dir == "/run/frr/other" else self.bgpd

    async def register(self, resource: str = "bgp4", prefix: str = "192.0.2.53/32", **fields: str) -> str:
        self.files.write(Registration(resource, prefix, fields.pop("attribute", POOL), **fields))
        return await self.gate.answer(f"gate apply {resource}")


async def until(what: Callable[[], object]) -> None:
    end = time.monotonic() + LIMIT_S
    while not what():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.005)


def play(scene: Coroutine[Any, Any, None], stage: Stage) -> None:
    async def run() -> None:
        try:
            await scene
        finally:
            stage.gate.close()

    asyncio.run(run())
