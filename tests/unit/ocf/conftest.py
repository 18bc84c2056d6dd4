"""A small agent that keeps its service in a dictionary, and the means to run its actions in this process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Callable, ClassVar

import pytest
from hypothesis import settings
from ocfpy.ocf import dispatch
from ocfpy.ocf.agent import Action, Agent, Status
from ocfpy.ocf.parameters import AddressParam, IntParam, ListParam, StringParam

if TYPE_CHECKING:
    from pathlib import Path

# How long an example takes says more about the machine than about the code; found examples are not kept.
settings.register_profile("no-clock", deadline=None, database=None)
settings.load_profile("no-clock")


class Toy(Agent):
    """Serves an address out of a dictionary; `plan` holds what each method is to do instead."""

    name = "toy"
    provider = "anycast"
    version = "1.0"
    shortdesc = "a toy"
    longdesc = "First paragraph,\n    of two lines.\n\n    Second & last <one>."
    actions = (
        Action("start", "20s"),
        Action("stop", "20s"),
        Action("monitor", "20s", interval="10s", depth=0),
        Action("migrate_to", "20s"),
        Action("migrate_from", "20s"),
    )

    ip = AddressParam("address", "The address.", required=True, unique_group=True)
    mode = StringParam("mode", "How.", choices=("fast", "safe"), default="safe")
    words = ListParam("numbers", "Numbers.", parse=int)
    low = IntParam("low", "The least.", default=1, minimum=0, reloadable=True)
    high = IntParam("high", "The most.", default=9, deprecated="Use low.")

    served: ClassVar[dict[str, str]] = {}
    calls: ClassVar[list[str]] = []
    plan: ClassVar[dict[str, Callable[[Toy, dict[str, str]], object]]] = {}

    def _planned(self, method: str, claim: dict[str, str]) -> object:
        self.calls.append(method)
        return self.plan[method](self, claim) if method in self.plan else None

    def check_config(self) -> list[str]:
        return ["parameter low: more than high"] if self.low > self.high else []

    def check_host(self) -> None:
        self._planned("check_host", {})

    def claim(self) -> dict[str, str]:
        return {"ip": str(self.ip)}

    def check_claim(self, claim: dict[str, str]) -> None:
        if "check_claim" in self.plan:
            self.plan["check_claim"](self, claim)

    def observe(self, claim: dict[str, str]) -> Status:
        planned = self._planned("observe", claim)
        if isinstance(planned, Status):
            return planned
        return Status.running() if claim["ip"] in self.served else Status.stopped("it is not here")

    def start(self, claim: dict[str, str]) -> None:
        if self._planned("start", claim) is None:
            self.served[claim["ip"]] = self.context.resource

    def stop(self, claim: dict[str, str]) -> None:
        if self._planned("stop", claim) is None:
            self.served.pop(claim["ip"], None)


class Runner:
    """Runs actions as `runner(action, ip=..., meta_timeout=...)`, keeping what they wrote."""

    def __init__(self, agent: type[Agent], rundir: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.agent = agent
        self.environ = {
            "HA_RSCTMP": rundir,
            "HA_LOGFACILITY": "none",
            "HA_LOGFILE": f"{rundir}/log",
            "HA_debug": "1",
            "OCF_RESOURCE_INSTANCE": "web",
            "OCF_RESKEY_ip": "192.0.2.1",
            "OCF_RESKEY_CRM_meta_timeout": "2000",
        }
        self.out = self.err = ""
        self._capsys = capsys

    def __call__(self, action: str, **changes: str) -> int:
        """Return the exit code; a change named meta_ is a CRM_meta_ variable, any other a parameter."""
        environ = dict(self.environ)
        for name, value in changes.items():
            environ[f"OCF_RESKEY_{'CRM_' if name.startswith('meta_') else ''}{name}"] = value
        code = dispatch.main(self.agent, ["toy", action, "and", "more"], environ)
        self.out, self.err = self._capsys.readouterr()
        return code

    @property
    def reason(self) -> str:
        """The exit reason, of which there must be exactly one."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        prefix = "ocf-exit-reason:"
        assert lines[0].startswith(prefix)
        return lines[0][len(prefix) :]

    @property
    def state(self) -> str:
        return f"{self.environ['HA_RSCTMP']}/anycast/toy-web.state"

    @property
    def recorded(self) -> bool:
        return os.path.exists(self.state)

    @property
    def log(self) -> str:
        with open(self.environ["HA_LOGFILE"]) as file:
            return file.read()


@pytest.fixture
def toy() -> type[Toy]:
    Toy.served.clear()
    Toy.calls.clear()
    Toy.plan.clear()
    return Toy


@pytest.fixture
def runner(toy: type[Toy], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Runner:
    return Runner(toy, str(tmp_path), capsys)
