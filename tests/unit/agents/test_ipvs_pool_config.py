"""ipvs-pool with an ldirectord.cf instead of parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from ocfpy.agents.ipvs_pool import IpvsPool
from ocfpy.ldirectord.reader import MAX_FAULTS, load
from ocfpy.ocf import codes, dispatch
from ocfpy.ocf.context import Context
from ocfpy.ocf.errors import HostError, NotInstalledError, ServiceError
from ocfpy.pool.spec import read_spec

GOOD = """autoreload=yes
maintenancedir=/etc/maintenance
virtual=192.0.2.1:80
    real=10.0.0.1:80 gate
    checktype=connect
virtual=7
    real=10.0.0.1:80 masq
    checktype=on
"""


def environ(rundir: Path, params: Mapping[str, str], **more: str) -> dict[str, str]:
    return {
        "OCF_RESOURCE_INSTANCE": "web",
        "HA_RSCTMP": str(rundir),
        "HA_LOGFACILITY": "none",
        "HA_LOGFILE": str(rundir / "log"),
        **{f"OCF_RESKEY_{name}": value for name, value in params.items()},
        **more,
    }


def agent(rundir: Path, action: str = "start", **params: str) -> IpvsPool:
    return IpvsPool(Context(["ipvs-pool", action], environ(rundir, params), "ipvs-pool"))


@pytest.fixture
def good(tmp_path: Path) -> str:
    path = tmp_path / "ldirectord.cf"
    path.write_text(GOOD)
    return str(path)


def test_commands_of_the_file_have_a_user(tmp_path: Path) -> None:
    path = tmp_path / "ldirectord.cf"
    external = "checktype=external\n    checkcommand=/bin/true\n"
    path.write_text(f"autoreload=yes\nvirtual=192.0.2.1:80\n    real=10.0.0.1:80 gate\n    {external}")
    for params, user in (({}, ""), ({"check_command_user": "monitor"}, "monitor")):
        spec = agent(tmp_path, config=str(path), **params).spec()
        spec.write(str(tmp_path / "spec"))
        assert read_spec(str(tmp_path / "spec")) == spec
        assert spec.command_user == user, "for the file when it has changed"
        (service,) = spec.services
        assert {check["command_user"] for check in (service.check, *service.checks.values())} == {user}


def test_what_the_daemon_is_told(tmp_path: Path, good: str) -> None:
    pool = agent(tmp_path, config=good)
    spec = pool.spec()
    assert list(map(str, spec.virtual)) == ["tcp/192.0.2.1:80", "fwmark/7"]
    assert (spec.drain_dir, spec.config, spec.attribute) == ("/etc/maintenance", good, "healthy-web")
    assert pool.claim() == {"virtual": "tcp/192.0.2.1:80 fwmark/7", "attribute": "healthy-web"}
    assert pool.build.check_types() == ["on", "tcp"]


def test_without_autoreload_the_daemon_does_not_look(tmp_path: Path, good: str) -> None:
    Path(good).write_text(GOOD.replace("autoreload=yes", "").replace("maintenancedir=", "#"))
    spec = agent(tmp_path, config=good).spec()
    assert spec.config == ""
    assert spec.drain_dir.endswith("/drained")


def test_all_that_excludes_a_file_is_said(tmp_path: Path, good: str, capfd: pytest.CaptureFixture[str]) -> None:
    given = {"config": good, "virtual": "tcp/192.0.2.1:80", "scheduler": "rr", "check_port": "nope"}
    code = dispatch.main(IpvsPool, ["ipvs-pool", "start"], environ(tmp_path, given))
    reason = capfd.readouterr().err
    assert code == codes.OCF_ERR_CONFIGURED
    for name in ("virtual", "scheduler", "check_port"):
        assert f"config and {name} exclude each other" in reason
    assert "parameter check_port: 'nope'" in reason
    assert "attribute" not in reason


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        (None, NotInstalledError, "cannot be read on this node: No such file or directory"),
        ("virtual=7\n  x=y\nnonsense\n", HostError, "line 2: 'x' is indented"),
        ("virtual=nobody.invalid:80\n    real=10.0.0.1:80 gate\n", ServiceError, "line 1: 'nobody.invalid' is not an IPv4"),
        ("virtual=nobody.invalid:80\nnonsense\n", HostError, "line 1: 'nobody.invalid' is not an IPv4"),
        ("", HostError, "there is no virtual service in it"),
        ("\xff=\n", HostError, "line 1: "),
    ],
)
def test_a_file_that_is_of_no_use(
    tmp_path: Path, text: str | None, error: type[Exception], said: str
) -> None:
    path = tmp_path / "x.cf"
    if text is not None:
        path.write_text(text, encoding="latin-1")
    with pytest.raises(error, match=said):
        load(str(path))


def test_faults_are_as_many_as_fit_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.cf"
    path.write_text("virtual=7\n" + "nonsense\n" * (MAX_FAULTS + 5))
    with pytest.raises(HostError) as caught:
        load(str(path))
    assert caught.value.reason.count("line ") == MAX_FAULTS
    assert caught.value.reason.endswith("and 5 more")


@pytest.mark.parametrize("action", ["stop", "probe"])
@pytest.mark.parametrize("text", [None, "nonsense\n", "virtual=nobody.invalid:80\n"])
def test_stop_and_probe_do_not_need_the_file(
    tmp_path: Path, action: str, text: str | None, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "x.cf"
    if text is not None:
        path.write_text(text)
    argv = ["ipvs-pool", "monitor" if action == "probe" else action]
    code = dispatch.main(IpvsPool, argv, environ(tmp_path, {"config": str(path)}))
    assert code == (codes.OCF_NOT_RUNNING if action == "probe" else codes.OCF_SUCCESS)
    assert capfd.readouterr().err == ""


def test_stop_knows_what_start_recorded(tmp_path: Path, good: str) -> None:
    pool = agent(tmp_path, config=good)
    pool.context.state.write(pool.claim())
    Path(good).unlink()
    assert agent(tmp_path, "stop", config=good).claim() == pool.claim()


def test_warnings_name_file_and_line(tmp_path: Path, good: str) -> None:
    Path(good).write_text(GOOD + "supervised=yes\n")
    pool = agent(tmp_path, config=good)
    assert pool.config_warnings() == []  # the file has not been read, and level 0 does not read it
    pool.spec()
    (warning,) = pool.config_warnings()
    assert warning.startswith(f"{good}: line 9: supervised: without effect")
