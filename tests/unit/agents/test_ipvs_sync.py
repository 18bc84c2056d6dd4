"""ipvs-sync: whose daemons run, what is missing of them, and what start and stop do about it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ocfpy.agents import ipvs_sync
from ocfpy.agents.ipvs_sync import IpvsSync
from ocfpy.ipvs.model import SYNC_ROLES, SyncDaemon
from ocfpy.ocf import codes
from ocfpy.ocf.addresses import parse_address
from ocfpy.ocf.dispatch import main

from tests.unit.ipvs.fake_kernel import FakeKernel

PARAMS = {"nic": "eth1", "syncid": "7"}
RUNNING, STOPPED, FAILED = codes.OCF_SUCCESS, codes.OCF_NOT_RUNNING, codes.OCF_ERR_GENERIC


def daemon(role: str, **changes: object) -> SyncDaemon:
    """One as the kernel has it after a start with PARAMS."""
    return SyncDaemon(role, "eth1", 7, parse_address("224.0.0.81"), 8848, 1, 1472).replace(**changes)


BOTH = {role: daemon(role) for role in SYNC_ROLES}


class Host:
    """A kernel, and the run directory."""

    def __init__(
        self, directory: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        self.kernel = FakeKernel()
        self.hears = True
        self.is_down = False
        self.rundir = directory / "anycast"
        self.proc = directory / "ip_vs"
        self.proc.write_text("")
        self.agent = type("OnHost", (IpvsSync,), {"proc_ip_vs": str(self.proc)})
        self._capfd = capfd
        self._environ = {"HA_RSCTMP": str(directory), "HA_LOGFACILITY": "none"}
        monkeypatch.setattr("ocfpy.net.genetlink.socket", lambda *_: self.kernel)
        monkeypatch.setattr("ocfpy.ipvs.connection.require_ipvs", lambda deadline: None)
        monkeypatch.setattr(ipvs_sync, "if_nametoindex", self._index)
        monkeypatch.setattr(ipvs_sync, "is_member", lambda group, nic: self.hears)
        monkeypatch.setattr(ipvs_sync, "is_down", lambda nic: self.is_down)

    def do(self, action: str, instance: str = "sync:0", **params: str) -> tuple[int, str]:
        """Exit code and exit reason of an action."""
        environ = {**self._environ, "OCF_RESOURCE_INSTANCE": instance, "OCF_RESKEY_CRM_meta_timeout": "2000"}
        environ.update({f"OCF_RESKEY_{name}": value for name, value in {**PARAMS, **params}.items()})
        if action == "monitor":
            environ["OCF_RESKEY_CRM_meta_interval"] = "10000"
        self._capfd.readouterr()
        code = main(self.agent, ["ipvs-sync", action.replace("probe", "monitor")], environ)
        return code, self._capfd.readouterr().err.replace("ocf-exit-reason:", "").strip()

    def _index(self, nic: str) -> int:
        if nic not in self.kernel.nics:
            raise OSError
        return 2


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Host:
    return Host(tmp_path, monkeypatch, capfd)


def test_life(host: Host) -> None:
    assert host.do("probe") == (STOPPED, "")
    for _ in range(2):
        assert host.do("start") == (RUNNING, "")
        assert host.kernel.daemons == BOTH
    for action in ("probe", "monitor"):
        assert host.do(action) == (RUNNING, "")
    for _ in range(2):
        assert host.do("stop") == (RUNNING, "")
        assert host.kernel.daemons == {}
    assert host.do("monitor") == (STOPPED, "")
    assert not list(host.rundir.glob("*.state"))


def test_every_parameter_reaches_the_kernel(host: Host) -> None:
    params = {"mcast_group": "ff02::81", "mcast_port": "9000", "mcast_ttl": "3", "maxlen": "2048"}
    assert host.do("start", nic="eth0", syncid="255", **params) == (RUNNING, "")
    assert host.kernel.daemons["master"] == SyncDaemon(
        "master", "eth0", 255, parse_address("ff02::81"), 9000, 3, 2048
    )


def test_one_that_runs_already_is_adopted(host: Host) -> None:
    host.kernel.daemons = dict(BOTH)
    assert host.do("probe") == (RUNNING, "")
    assert host.do("start") == (RUNNING, "")
    assert host.kernel.changed == []
    host.kernel.daemons["master"] = daemon("master", maxlen=1400)
    assert host.do("monitor") == (RUNNING, ""), "without maxlen, any will do"


def test_one_with_other_parameters_is_replaced(host: Host) -> None:
    host.kernel.daemons = {"master": daemon("master", syncid=3)}
    assert host.do("probe") == (STOPPED, ""), "no record says that it is ours"
    assert host.do("stop") == (RUNNING, "")
    assert list(host.kernel.daemons) == ["master"]
    assert host.do("start") == (RUNNING, "")
    assert host.kernel.daemons == BOTH


@pytest.mark.parametrize("role", SYNC_ROLES)
def test_what_is_missing_is_said(host: Host, role: str) -> None:
    host.do("start")
    del host.kernel.daemons[role]
    assert host.do("monitor") == (FAILED, f"the {role} daemon does not run")
    host.kernel.daemons[role] = daemon(role, nic="eth0", syncid=8)
    reason = f"the {role} daemon has nic eth0 instead of eth1, syncid 8 instead of 7"
    assert host.do("monitor") == (FAILED, reason)
    assert host.do("stop") == (RUNNING, "")
    assert host.kernel.daemons == {}


def test_half_of_it_is_not_nothing(host: Host) -> None:
    """As after a SIGKILL and the loss of the record."""
    host.kernel.daemons = {"backup": daemon("backup")}
    assert host.do("probe") == (FAILED, "the master daemon does not run")
    assert host.do("stop") == (RUNNING, "")
    assert host.kernel.daemons == {}


def test_an_interface_that_was_made_anew(host: Host) -> None:
    host.do("start")
    host.hears = False
    code, reason = host.do("monitor")
    assert code == FAILED
    assert reason.startswith("the sync daemons do not hear 224.0.0.81 on eth1: ")


def test_an_interface_that_is_down(host: Host) -> None:
    host.do("start")
    host.is_down = True
    assert host.do("monitor") == (codes.OCF_DEGRADED, "eth1 is down: no connections are shared")


def test_an_interface_without_an_address(host: Host) -> None:
    host.kernel.has_address = False
    code, reason = host.do("start", mcast_group="ff02::81")
    assert code == FAILED
    assert "eth1 to have an IPv6 address" in reason


def test_changed_parameters(host: Host) -> None:
    host.do("start", syncid="3")
    assert host.do("start") == (RUNNING, "")
    assert host.kernel.daemons == BOTH
    assert host.do("stop", syncid="4") == (RUNNING, "")
    assert host.kernel.daemons == {}


def test_two_resources(host: Host) -> None:
    host.do("start")
    assert host.do("probe", "other") == (STOPPED, "")
    code, reason = host.do("start", "other", syncid="8")
    assert code == codes.OCF_ERR_GENERIC
    assert reason.startswith("resource sync runs the sync daemons of this node already")
    assert host.do("stop", "other") == (RUNNING, "")
    assert host.kernel.daemons == BOTH


def test_a_renamed_resource_waits_for_its_former_self(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.do("start")
    check_claim = IpvsSync.check_claim
    looks: list[str] = []

    def meanwhile(agent: IpvsSync, claim: dict[str, str]) -> None:
        looks.append(agent.context.resource)
        if len(looks) == 3:
            assert host.do("stop") == (RUNNING, "")
        check_claim(agent, claim)

    monkeypatch.setattr(IpvsSync, "check_claim", meanwhile)
    assert host.do("start", "renamed:0", syncid="8") == (RUNNING, "")
    assert looks == ["renamed"] * 4
    assert {daemon.syncid for daemon in host.kernel.daemons.values()} == {8}


def test_refusals(host: Host) -> None:
    assert host.do("start", nic="eth9") == (codes.OCF_ERR_ARGS, "there is no network interface eth9")
    assert host.do("validate-all", nic="eth9", OCF_CHECK_LEVEL="10") == (
        codes.OCF_ERR_ARGS,
        "there is no network interface eth9",
    )
    code, reason = host.do("start", nic="much-too-long-for-one", syncid="256", mcast_group="192.0.2.1")
    assert code == codes.OCF_ERR_CONFIGURED
    assert "'256' is more than 255" in reason
    assert "'192.0.2.1' is not a multicast group" in reason
    assert "parameter nic: 'much-too-long-for-one' has more than 15 characters" in reason


def test_a_kernel_without_ipvs(host: Host) -> None:
    host.do("start")
    os.unlink(host.proc)
    host.kernel.has_ipvs = False
    assert host.do("monitor") == (STOPPED, "")
    assert host.do("stop") == (RUNNING, "")
    assert host.do("probe") == (STOPPED, "")


def test_not_root(host: Host) -> None:
    host.kernel.is_root = False
    assert host.do("probe")[0] == codes.OCF_ERR_PERM
    assert host.do("start")[0] == codes.OCF_ERR_PERM


def test_refused_by_the_kernel(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipvs_sync, "if_nametoindex", lambda nic: 2)
    host.kernel.nics = ("eth0",)
    code, reason = host.do("start")
    assert code == codes.OCF_ERR_ARGS
    assert reason == "cannot start the backup daemon: eth1 does not exist, or cannot join 224.0.0.81"


def test_stop_without_its_record(host: Host) -> None:
    """A directory in its place cannot be read, by root neither; SELinux may do the same."""
    assert host.do("start")[0] == codes.OCF_SUCCESS
    (state,) = host.rundir.glob("*.state")
    state.unlink()
    state.mkdir()
    assert host.do("stop") == (codes.OCF_SUCCESS, "")
    assert host.kernel.daemons == {}
