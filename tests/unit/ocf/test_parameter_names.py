"""Parameters whose names an agent has itself: heartbeat:podman has one called `name`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest
from ocfpy.ocf.agent import Action, Agent, Status
from ocfpy.ocf.metadata import render
from ocfpy.ocf.parameters import IntParam, StringParam

from tests.unit.ocf.conftest import Runner

if TYPE_CHECKING:
    from pathlib import Path

RUNNING: list[str] = []


class Pod(Agent):
    """Every one of its parameters is called like an attribute of the agent, or like nothing that Python could call one."""

    name = "pod"
    version = "1.0"
    shortdesc = longdesc = "a pod"
    actions = (Action("start"), Action("stop"), Action("monitor"))

    pod = StringParam("name", "The name.", required=True, unique_group=True, name="name")
    where = StringParam("context", "The context.", default="here", name="context")
    stops = IntParam("stop", "How often.", default=1, name="stop")
    old = StringParam("old", "As it was called.", replaced_by="name", name="pod-name")

    def claim(self) -> dict[str, str]:
        return {"pod": f"{self.pod} {self.where} {self.stops}"}

    def observe(self, claim: dict[str, str]) -> Status:
        return Status.running() if claim["pod"] in RUNNING else Status.stopped()

    def start(self, claim: dict[str, str]) -> None:
        RUNNING.append(claim["pod"])

    def stop(self, claim: dict[str, str]) -> None:
        RUNNING.remove(claim["pod"])


@pytest.fixture
def pod(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Runner:
    RUNNING.clear()
    runner = Runner(Pod, str(tmp_path), capsys)
    del runner.environ["OCF_RESKEY_ip"]
    return runner


def test_a_life(pod: Runner) -> None:
    assert pod("start", name="web", context="there", stop="3") == 0
    assert RUNNING == ["web there 3"]
    assert pod("monitor", name="web", context="there", stop="3", meta_interval="1000") == 0
    assert pod("stop") == 0
    assert RUNNING == []
    assert "WARNING" not in pod.log


def test_faults_and_warnings_name_the_parameter(pod: Runner) -> None:
    assert pod("start", stop="x") == 6
    assert pod.reason == "parameter name: required, but not set; parameter stop: 'x' is not a whole number"
    assert pod("start", **{"pod-name": "web"}) == 0
    assert RUNNING == ["web here 1"]
    assert "parameter pod-name is deprecated: use name" in pod.log


def test_metadata() -> None:
    names = [found.get("name") for found in ElementTree.fromstring(render(Pod)).iter("parameter")]
    assert names == ["name", "context", "stop", "pod-name"]


@pytest.mark.parametrize("taken", ["name", "context", "values", "stop", "check_host", "is_set", "config_errors", "provider"])
def test_an_attribute_of_the_agent_is_not_replaced(taken: str) -> None:
    with pytest.raises((TypeError, RuntimeError)) as caught:
        type("Wrong", (Agent,), {taken: StringParam("", "")})
    said = str(caught.value.__cause__ or caught.value)
    assert said == (
        f"Wrong.{taken}: an agent has an attribute of that name; write"
        f' {taken}_parameter = StringParam(..., name="{taken}")'
    )


def test_a_subclass_may_declare_a_parameter_anew() -> None:
    class Other(Pod):
        """Like it, with another description."""

        pod = StringParam("name", "Another.", name="name")

    assert [parameter.longdesc for parameter in Other.parameters()] == [
        "Another.", "The context.", "How often.", "As it was called.",
    ]  # fmt: skip
