"""The promotion score: what the agent says it deserves reaches the cluster, and no action fails because it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ocfpy.ocf import attributes, process
from ocfpy.ocf.agent import Status
from ocfpy.ocf.context import Context

from tests.unit.ocf.conftest import Runner
from tests.unit.ocf.test_roles import Database

if TYPE_CHECKING:
    from pathlib import Path

RECURRING = {"meta_interval": "10000"}
CLUSTER = '#!/bin/sh\nprintf "%s\\n" "$*" >>{}/calls\n'


class Scored(Database):
    """Deserves more where it has the role, and nothing as long as it is broken."""

    def promotion_score(self, status: Status) -> int | None:
        if not status.is_active:
            return None
        return 20 if status.promoted else -5


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for crm_attribute that notes its arguments."""
    tool = tmp_path / "crm_attribute"
    tool.write_text(CLUSTER.format(tmp_path))
    tool.chmod(0o755)
    monkeypatch.setattr(process, "PATH", f"{tmp_path}:{process.PATH}")
    monkeypatch.setenv("PATH", f"{tmp_path}:{process.PATH}")
    return tool


@pytest.fixture
def scored(tool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Runner:
    Database.role, Database.fault = Scored.role, Scored.fault = "stopped", ""
    return Runner(Scored, str(tmp_path), capsys)


def calls(tool: Path) -> list[str]:
    """What has been asked of the cluster since the last look."""
    noted = tool.with_name("calls")
    if not noted.exists():
        return []
    found = noted.read_text().splitlines()
    noted.unlink()
    return found


def test_helper(tool: Path) -> None:
    context = Context(["toy", "monitor"], {"OCF_RESOURCE_INSTANCE": "db:1", "HA_LOGFACILITY": "none"})
    assert attributes.set_promotion_score(context, 7)
    assert attributes.delete_promotion_score(context)
    assert calls(tool) == ["--promotion=db --update=7", "--promotion=db --delete"]


def test_instances_of_a_globally_unique_clone_have_scores_of_their_own() -> None:
    environ = {"OCF_RESOURCE_INSTANCE": "db:1", "OCF_RESKEY_CRM_meta_globally_unique": "true"}
    command = attributes.promotion_command(Context(["toy"], environ), ["--delete"])
    assert command == ["crm_attribute", "--promotion=db:1", "--delete"]


def test_a_life(scored: Runner, tool: Path) -> None:
    """promote and demote leave it to the monitor that follows: another score would abort the cluster's transition."""
    said = []
    for action in ("start", "promote", "monitor", "demote", "monitor", "reload"):
        assert scored(action, **(RECURRING if action == "monitor" else {})) in (0, 8)
        said += [f"{action} {call.split()[1]}" for call in calls(tool)]
    assert said == ["start --update=-5", "monitor --update=20", "monitor --update=-5"]
    Scored.fault = "broken"
    assert scored("monitor", **RECURRING) == 1
    assert scored.reason == "broken"
    assert calls(tool) == ["--promotion=web --delete"]
    Scored.fault = ""
    assert scored("stop") == 0
    assert calls(tool) == ["--promotion=web --delete"]


def test_what_is_stopped_deserves_nothing(scored: Runner, tool: Path) -> None:
    assert scored("monitor", **RECURRING) == 7
    assert calls(tool) == ["--promotion=web --delete"]


def test_a_probe_only_looks(scored: Runner, tool: Path) -> None:
    scored("start")
    calls(tool)
    assert scored("monitor") == 0
    assert calls(tool) == []


def test_an_agent_without_scores_asks_nothing(tool: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Database.role = "stopped"
    plain = Runner(Database, str(tmp_path), capsys)
    for action in ("start", "promote", "demote", "stop"):
        assert plain(action) == 0
    assert calls(tool) == []


LIFE = (("start", 0), ("promote", 0), ("monitor", 8), ("demote", 0), ("stop", 0))


@pytest.mark.parametrize(("script", "life"), [("echo no cluster >&2; exit 102", LIFE), ("exec sleep 60", [LIFE[0], LIFE[-1]])])
def test_a_cluster_that_does_not_take_it(scored: Runner, tool: Path, script: str, life: tuple[tuple[str, int], ...]) -> None:
    tool.write_text(f"#!/bin/sh\n{script}\n")
    for action, code in life:
        assert scored(action, **(RECURRING if action == "monitor" else {})) == code
        assert scored.err == ""
    assert "`crm_attribute --promotion=web --update=-5`" in scored.log
