"""Promotion, demotion, notification, check levels and deprecated parameters, with an agent that has them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import pytest
from lxml import etree
from ocfpy.ocf import manpage, metadata
from ocfpy.ocf.agent import Action, Agent, Status
from ocfpy.ocf.clone import Instance
from ocfpy.ocf.parameters import AddressParam, IntParam, SecretParam

from tests.unit.ocf.conftest import Runner

if TYPE_CHECKING:
    from pathlib import Path

    from ocfpy.ocf.clone import Notification


class Database(Agent):
    """Its role is in a class variable: stopped, unpromoted or promoted."""

    name = "toy"
    provider = "anycast"
    version = "1.0"
    shortdesc = longdesc = "a database"
    actions = (
        Action("start"), Action("stop"), Action("promote"), Action("demote"), Action("notify"), Action("reload"),
        Action("monitor", interval="10s", depth=0, role="Unpromoted"),
        Action("monitor", interval="11s", depth=0, role="Promoted"),
        Action("monitor", interval="60s", depth=10),
    )  # fmt: skip

    ip = AddressParam("address", "The address.", required=True, reloadable=True)
    host = AddressParam("address", "The address.", replaced_by="ip")
    old = IntParam("old", "Of no use.", deprecated="It has no effect.")
    password = SecretParam("password", "The password.")

    role = "stopped"
    fault = ""
    calls: ClassVar[list[object]] = []

    def claim(self) -> dict[str, str]:
        return {"ip": str(self.ip)}

    def observe(self, claim: dict[str, str]) -> Status:
        self.calls.append(self.depth)
        promoted = type(self).role == "promoted"
        if type(self).role == "stopped":
            return Status.stopped()
        if type(self).fault.startswith("degraded"):
            return Status.degraded(type(self).fault, promoted)
        return Status.failed(type(self).fault, promoted) if type(self).fault else Status.running(promoted)

    def start(self, claim: dict[str, str]) -> None:
        type(self).role = "unpromoted"

    def stop(self, claim: dict[str, str]) -> None:
        type(self).role = "stopped"

    def promote(self, claim: dict[str, str]) -> None:
        type(self).role = "promoted"

    def demote(self, claim: dict[str, str]) -> None:
        type(self).role = "unpromoted"

    def reload(self, claim: dict[str, str]) -> None:
        self.calls.append("reload")

    def notify(self, notification: Notification) -> None:
        self.calls.append((notification.key, notification.start))


@pytest.fixture
def database(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Runner:
    Database.role, Database.fault = "stopped", ""
    Database.calls.clear()
    return Runner(Database, str(tmp_path), capsys)


def test_a_life(database: Runner) -> None:
    assert [database(action) for action in ("promote", "start", "monitor", "promote", "promote", "monitor")] == [
        1, 0, 0, 0, 0, 8,
    ]  # fmt: skip
    assert [database(action) for action in ("demote", "demote", "monitor", "stop", "monitor")] == [0, 0, 0, 0, 7]
    assert database("demote") == 1
    assert database.reason == "toy is not running here"


@pytest.mark.parametrize(("fault", "code"), [("broken", 9), ("degraded: slow", 191)])
def test_what_a_promoted_one_answers_when_not_well(database: Runner, fault: str, code: int) -> None:
    database("start")
    database("promote")
    Database.fault = fault
    assert database("monitor") == code
    assert database.reason == fault


def test_a_degraded_promoted_one_is_a_promoted_one_where_pacemaker_never_forgets(database: Runner) -> None:
    """0 would tell it of an instance that has lost its role."""
    database("start")
    database("promote")
    Database.fault = "degraded: slow"
    assert database("monitor", crm_feature_set="3.16.2") == 8
    assert database("monitor", crm_feature_set="3.17.4") == 191


def test_reload(database: Runner) -> None:
    assert database("reload") == 1
    database("start")
    assert database("reload") == 0
    assert "reload" in Database.calls


def test_notify(database: Runner) -> None:
    database("start")
    notify = {"meta_notify_type": "post", "meta_notify_operation": "start"}
    assert database("notify", **notify, meta_notify_start_resource="db:1", meta_notify_start_uname="lb2") == 0
    assert Database.calls[-1] == ("post-start", (Instance("db:1", "lb2"),))


@pytest.mark.parametrize(("level", "depth"), [("0", 0), ("5", 0), ("10", 10), ("20", 10), ("", 0)])
def test_the_next_lower_check_level(database: Runner, level: str, depth: int) -> None:
    database.environ["OCF_CHECK_LEVEL"] = level
    database("monitor", meta_interval="10000")
    assert Database.calls == [depth]


def test_a_former_name_feeds_its_successor(database: Runner) -> None:
    database.environ.pop("OCF_RESKEY_ip")
    assert database("start", host="192.0.2.7") == 0
    assert "WARNING: start: parameter host is deprecated: use ip" in database.log
    with open(database.state) as file:
        assert "ip=192.0.2.7\n" in file.read()


def test_the_successor_counts(database: Runner) -> None:
    assert database("start", host="192.0.2.7", old="1") == 0
    assert "parameter host is deprecated: use ip (ip is set, and used)" in database.log
    assert "parameter old is deprecated: It has no effect." in database.log
    with open(database.state) as file:
        assert "ip=192.0.2.1\n" in file.read()


def test_a_fault_is_that_of_the_name_which_was_given(database: Runner) -> None:
    database.environ.pop("OCF_RESKEY_ip")
    assert database("validate-all", host="192.0.2.700") == 6
    assert database.reason == "parameter host: '192.0.2.700' is not an IP address"
    assert database("validate-all") == 6
    assert database.reason == "parameter ip: required, but not set"


def test_a_secret_is_never_quoted(database: Runner) -> None:
    assert database("validate-all", password="hunter2\nx") == 6
    assert "hunter2" not in database.reason
    assert database("validate-all", password="x" * 5000) == 6
    assert "xxx" not in database.reason


def test_metadata() -> None:
    parser = etree.XMLParser(dtd_validation=True)
    found = {p.get("name"): p for p in etree.fromstring(metadata.render(Database).encode(), parser).iter("parameter")}
    assert found["host"].find("deprecated/replaced-with").get("name") == "ip"
    assert found["old"].find("deprecated/replaced-with") is None
    assert "Deprecated: use ip." in manpage.render(Database)
