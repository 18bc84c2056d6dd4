"""The agent around the health daemon: what it makes of the daemon's answers, and of one that is gone or of another version."""

from __future__ import annotations

import contextlib
import fcntl
import time
from pathlib import Path
from typing import Callable

import pytest
from ocfpy import __version__
from ocfpy.agents import ipvs_pool
from ocfpy.agents.ipvs_pool import IpvsPool
from ocfpy.checks.registry import TYPES
from ocfpy.healthd import cleanup, lifecycle, pool_control, preflight
from ocfpy.healthd.fwmarks import FwmarkAllocator
from ocfpy.ocf import dispatch
from ocfpy.ocf.context import Context
from ocfpy.ocf.errors import ClaimedError, NotInstalledError, ServiceError
from ocfpy.pool.spec import read_spec

from tests.unit.agents.pool_agent import DNS, MINIMUM, agent, daemon_that_says, environ


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        ("running", "running", ""),
        ("degraded no backend is alive: why", "degraded", "no backend is alive: why"),
        ("failed cannot edit", "failed", "cannot edit"),
        ("starting no verdict on every real server yet", "failed", "no verdict on every real server yet"),
    ],
)
def test_what_the_daemon_says_is_the_status(tmp_path: Path, answer: str, kind: str, reason: str) -> None:
    pool = agent(tmp_path)
    with daemon_that_says(pool, answer) as heard:
        status = pool.observe(pool.claim())
    assert (status.kind, status.reason) == (kind, reason)
    assert heard == [f"monitor dns {__version__}"]


def test_a_daemon_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipvs_pool, "MONITOR_TIMEOUT_S", 0.1)
    pool = agent(tmp_path)
    with daemon_that_says(pool):
        status = pool.observe(pool.claim())
    assert status.kind == "stopped", "nothing was started, as far as the record says"
    pool.context.state.write(pool.claim())
    pool.spec().write(pool.paths.spec)
    Path(pool.paths.node.socket).unlink()
    with daemon_that_says(pool):
        status = pool.observe(pool.claim())
    assert status.kind == "failed"
    assert status.reason == f"the health daemon does not answer; the real servers of {DNS} are not checked"


def test_a_daemon_that_hangs_is_said_within_a_short_timeout(tmp_path: Path) -> None:
    pool = agent(tmp_path, CRM_meta_timeout="2000")
    pool.context.state.write(pool.claim())
    pool.spec().write(pool.paths.spec)
    begun = time.monotonic()
    with daemon_that_says(pool):
        assert pool.observe(pool.claim()).kind == "failed"
    assert time.monotonic() - begun < 2.0


def lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ensure: Callable[[], bool]) -> IpvsPool:
    """A pool whose daemon is gone, as a monitor meets it; ensure() is what starting another one does."""
    monkeypatch.setattr(ipvs_pool, "present", lambda virtuals: virtuals)
    monkeypatch.setattr(lifecycle, "ensure_daemon", lambda *_: ensure())
    context = Context(
        ["ipvs-pool", "monitor"], environ(tmp_path, MINIMUM, OCF_RESKEY_CRM_meta_interval="10000"), "ipvs-pool"
    )
    context.state.write({"virtual": DNS, "attribute": "healthy-dns"})
    return IpvsPool(context)


def test_a_monitor_has_a_lost_daemon_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.ExitStack() as stack:
        pool = lost(tmp_path, monkeypatch, lambda: bool(stack.enter_context(daemon_that_says(pool, "degraded new")) or True))
        status = pool.observe(pool.claim())
    assert (status.kind, status.reason) == ("degraded", "the health daemon is gone: it was replaced")


def test_a_daemon_of_another_version_is_replaced_by_a_monitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = lost(tmp_path, monkeypatch, lambda: True)
    with daemon_that_says(pool, "version 0.0.9", "running"):
        status = pool.observe(pool.claim())
    assert status.kind == "degraded"
    assert status.reason == "the health daemon is of version 0.0.9: it was replaced"


def test_one_that_does_not_start_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def ensure() -> bool:
        raise ServiceError("the table is full")

    pool = lost(tmp_path, monkeypatch, ensure)
    status = pool.observe(pool.claim())
    assert status.kind == "failed"
    assert status.reason.endswith(", and a new one does not start: the table is full")


def test_a_daemon_that_does_not_know_the_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its services are there, and are not checked: a restart of the resource mends it."""
    pool = lost(tmp_path, monkeypatch, lambda: pytest.fail("the daemon is there"))
    with daemon_that_says(pool, "unknown"):
        status = pool.observe(pool.claim())
    assert status.kind == "failed"
    assert status.reason.startswith("the health daemon does not run this pool; the real servers of")


@pytest.mark.parametrize(
    ("recorded", "in_kernel", "kind"),
    [
        (False, None, "stopped"),
        (False, [DNS], "stopped"),  # ldirectord's, perhaps
        (True, None, "stopped"),
        (True, [], "stopped"),
        (True, ["tcp/192.0.2.99:99"], "stopped"),
        (True, [DNS], "failed"),
    ],
)
def test_without_a_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recorded: bool, in_kernel: list[str] | None, kind: str
) -> None:
    monkeypatch.setattr(ipvs_pool, "present", lambda virtuals: [one for one in virtuals if str(one) in (in_kernel or [])])
    pool = agent(tmp_path)
    if recorded:
        pool.context.state.write(pool.claim())
    assert pool.observe(pool.claim()).kind == kind


def test_a_daemon_that_does_not_listen_yet_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a start leaves it that is killed a moment after it has started the daemon."""
    monkeypatch.setattr(ipvs_pool, "present", lambda virtuals: [])
    pool = agent(tmp_path)
    pool.context.state.write(pool.claim())
    with open(pool.paths.node.lock, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        status = pool.observe(pool.claim())
        assert (status.kind, status.reason) == ("failed", "the health daemon runs, but does not listen yet")
    assert pool.observe(pool.claim()).kind == "stopped"
    pool.spec().write(pool.paths.spec)
    assert pool.observe(pool.claim()).kind == "failed", "the next daemon would run it"


def test_a_module_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TYPES["dns"], "needs", ("no_such_module", "python3-dnspython"))
    preflight.require_module("tcp")
    with pytest.raises(NotInstalledError, match="install package python3-dnspython"):
        preflight.require_module("dns")


def test_a_virtual_service_belongs_to_one_pool(tmp_path: Path) -> None:
    pool = agent(tmp_path)
    other = Context(["ipvs-pool", "start"], environ(tmp_path, {}, OCF_RESOURCE_INSTANCE="web"), "ipvs-pool")
    other.state.write({"virtual": "tcp/192.0.2.1:80"})
    pool.check_claim(pool.claim())
    other.state.write({"virtual": f"tcp/192.0.2.1:80 {DNS}"})
    with pytest.raises(ClaimedError, match=f"resource web already has {DNS}"):
        pool.check_claim(pool.claim())


def test_two_pools_do_not_share_an_attribute(tmp_path: Path) -> None:
    pool = agent(tmp_path, attribute="healthy-web")
    other = Context(["ipvs-pool", "start"], environ(tmp_path, {}, OCF_RESOURCE_INSTANCE="web"), "ipvs-pool")
    other.state.write({"virtual": "tcp/192.0.2.1:80", "attribute": "healthy-web"})
    with pytest.raises(ClaimedError, match="resource web already has the node attribute healthy-web"):
        pool.check_claim(pool.claim())


def test_stop_without_a_daemon_removes_what_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleaned: list[tuple[list[str], str]] = []
    monkeypatch.setattr(
        cleanup,
        "clean_up",
        lambda virtual, attribute, *_: cleaned.append((list(map(str, virtual)), attribute)),
    )
    context = Context(["ipvs-pool", "stop"], environ(tmp_path, {}), "ipvs-pool")
    context.state.write({"virtual": f"{DNS} fwmark6/7", "attribute": "healthy-dns"})
    code = dispatch.main(IpvsPool, ["ipvs-pool", "stop"], environ(tmp_path, {"virtual": "nonsense"}))
    assert code == 0
    assert cleaned == [([DNS, "fwmark6/7"], "healthy-dns")]
    assert [path.name for path in Path(context.rundir).iterdir()] == ["healthd.lock"]
    context.state.write({"virtual": DNS, "attribute": "healthy-dns"})  # of a reload-agent that was killed right away
    pool = agent(tmp_path, virtual=f"{DNS} tcp/192.0.2.53:53")
    pool.spec().write(pool.paths.spec)
    assert dispatch.main(IpvsPool, ["ipvs-pool", "stop"], environ(tmp_path, {"virtual": "nonsense"})) == 0
    assert cleaned[1:] == [([DNS, "tcp/192.0.2.53:53"], "healthy-dns")]


def test_stop_asks_the_daemon_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleanup, "clean_up", lambda *_: pytest.fail("the daemon has done it"))
    pool = agent(tmp_path)
    with daemon_that_says(pool, "running", "stopped") as heard:
        pool.stop(pool.claim())
    assert heard == [f"version {__version__}", "remove dns"]


def test_stop_closes_the_paths_that_the_daemon_could_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[dict[str, int]] = []
    monkeypatch.setattr("ocfpy.healthd.vip_probe.remove_paths", lambda marks: closed.append(marks.held()))
    pool = agent(tmp_path)
    with daemon_that_says(pool, "running", "stopped"):
        FwmarkAllocator(pool.paths.base).set(["tcp/192.0.2.1:80 10.0.0.11:80"])
        pool.stop(pool.claim())
    assert [list(held) for held in closed] == [["tcp/192.0.2.1:80 10.0.0.11:80"]]


def test_a_reload_that_cannot_be_leaves_the_record_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocfpy.ipvs.connection.require_ipvs", lambda deadline: None)
    before, now = agent(tmp_path), agent(tmp_path, virtual="tcp/192.0.2.54:53", CRM_meta_timeout="2000")
    other = Context(["ipvs-pool", "start"], environ(tmp_path, {}, OCF_RESOURCE_INSTANCE="web"), "ipvs-pool")
    other.state.write(now.claim())
    before.spec().write(before.paths.spec)
    now.context.state.write(now.claim())  # as dispatch does before it calls us
    with pytest.raises(ClaimedError, match="resource web already has"):
        now.reload_agent(now.claim())
    assert now.context.state.read() == before.claim()


def test_a_reload_waits_for_the_service_that_another_pool_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that moves from one pool to the other in one change of the CIB; what this one gives up stays on record."""
    monkeypatch.setattr("ocfpy.ipvs.connection.require_ipvs", lambda deadline: None)
    before, now = agent(tmp_path), agent(tmp_path, virtual="tcp/192.0.2.54:53")
    other = Context(["ipvs-pool", "start"], environ(tmp_path, {}, OCF_RESOURCE_INSTANCE="web"), "ipvs-pool")
    other.state.write(now.claim())
    before.spec().write(before.paths.spec)
    before.context.state.write(before.claim())
    check_claim = IpvsPool.check_claim
    looks: list[set[str]] = []

    def meanwhile(pool: IpvsPool, claim: dict[str, str]) -> None:
        looks.append(set((pool.context.state.read() or {})["virtual"].split()))
        if len(looks) == 3:
            other.state.delete()
        check_claim(pool, claim)

    monkeypatch.setattr(IpvsPool, "check_claim", meanwhile)
    with daemon_that_says(now, "running", "running") as heard:
        dispatch.put_in_force(now, now.claim())
    assert heard == [f"version {__version__}", "reload dns"]
    assert looks == [{DNS, "tcp/192.0.2.54:53"}] * 3
    assert (now.context.state.read() or {})["virtual"] == "tcp/192.0.2.54:53"


def test_a_monitor_does_not_wait_for_another_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocfpy.ipvs.connection.require_ipvs", lambda deadline: None)
    pool = monitored(tmp_path)
    other = Context(["ipvs-pool", "start"], environ(tmp_path, {}, OCF_RESOURCE_INSTANCE="web"), "ipvs-pool")
    other.state.write(pool.claim())
    looks: list[str] = []
    check_claim = IpvsPool.check_claim

    def look(pool: IpvsPool, claim: dict[str, str]) -> None:
        looks.append(pool.context.resource)
        check_claim(pool, claim)

    monkeypatch.setattr(IpvsPool, "check_claim", look)
    with pytest.raises(ClaimedError, match=r"each pool needs its own$"):
        pool.reload_agent(pool.claim())
    assert len(looks) == 1


def test_until_a_reload_is_done_stop_knows_of_both_configurations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ocfpy.ipvs.connection.require_ipvs", lambda deadline: None)
    before, now = agent(tmp_path), agent(tmp_path, virtual="tcp/192.0.2.54:53")
    Path(before.context.rundir).mkdir()
    before.spec().write(before.paths.spec)
    before.context.state.write({**before.claim(), "kept": "yes"})
    with daemon_that_says(now, "running", "failed 1 cannot add") as heard, pytest.raises(Exception, match="cannot add"):
        now.reload_agent(now.claim())
    assert heard == [f"version {__version__}", "reload dns"]
    record = now.context.state.read()
    assert record is not None
    assert set(record["virtual"].split()) == {DNS, "tcp/192.0.2.54:53"}
    Path(now.paths.node.socket).unlink()
    with daemon_that_says(now, "running", "running"):
        now.reload_agent(now.claim())
    record = now.context.state.read()
    assert record is not None
    assert record.pop("parameters")
    assert record == {**now.claim(), "kept": "yes"}


def monitored(tmp_path: Path, **params: str) -> IpvsPool:
    """The pool as a recurring monitor meets it."""
    return IpvsPool(
        Context(
            ["ipvs-pool", "monitor"],
            environ(tmp_path, {**MINIMUM, **params}, OCF_RESKEY_CRM_meta_interval="10000"),
            "ipvs-pool",
        )
    )


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a pool has been started with the least of parameters, as far as its record says."""
    monkeypatch.setattr("ocfpy.ipvs.connection.require_ipvs", lambda deadline: None)
    monkeypatch.setattr(pool_control, "start", lambda *_: None)
    pool = monitored(tmp_path)
    pool.context.state.write(pool.claim())
    pool.start(pool.claim())
    pool.spec().write(pool.paths.spec)
    return tmp_path


def test_a_monitor_with_the_parameters_of_the_start_asks_and_no_more(told: Path) -> None:
    pool = monitored(told)
    with daemon_that_says(pool, "running") as heard:
        assert pool.observe(pool.claim()).kind == "running"
    assert heard == [f"monitor dns {__version__}"]


def probe(rundir: Path, **params: str) -> None:
    pool = agent(rundir, **params)
    with daemon_that_says(pool, "running") as heard:
        assert pool.observe(pool.claim()).kind == "running"
    assert heard == [f"monitor dns {__version__}"]
    Path(pool.paths.node.socket).unlink()


def test_parameters_changed_while_the_cluster_was_down_are_put_in_force(told: Path) -> None:
    changed = {"real_servers": "10.0.0.11 10.0.0.13", "check_interval": "5s"}
    probe(told, **changed)
    pool = monitored(told, **changed)
    with daemon_that_says(pool, "running", "running", "running") as heard:
        assert pool.observe(pool.claim()).kind == "running"
    assert heard == [f"monitor dns {__version__}", f"version {__version__}", "reload dns"]
    assert [str(real) for real in read_spec(pool.paths.wanted).services[0].reals.values()] == ["10.0.0.11:53", "10.0.0.13:53"]
    Path(pool.paths.node.socket).unlink()
    with daemon_that_says(pool, "degraded something else"):
        assert pool.observe(pool.claim()).reason == "something else"


def test_parameters_that_pacemaker_has_yet_to_reload_are_left_to_it(told: Path) -> None:
    probe(told)
    pool = monitored(told, real_servers="10.0.0.13")
    with daemon_that_says(pool, "running") as heard:
        assert pool.observe(pool.claim()).kind == "running"
    assert heard == [f"monitor dns {__version__}"]


def test_parameters_that_cannot_be_put_in_force_are_a_reason(told: Path) -> None:
    probe(told, real_servers="10.0.0.13")
    pool = monitored(told, real_servers="10.0.0.13")
    with daemon_that_says(pool, "running", "running", "failed 1 the kernel says no"):
        status = pool.observe(pool.claim())
    before = "the parameters were changed while the cluster was down, and are not in force: "
    assert (status.kind, status.reason) == ("degraded", f"{before}the kernel says no")
    Path(pool.paths.node.socket).unlink()
    changed = {"real_servers": "10.0.0.13", "attribute": "another"}
    probe(told, **changed)
    pool = monitored(told, **changed)
    with daemon_that_says(pool, "running"):
        assert pool.observe(pool.claim()).reason == f"{before}attribute has changed, which requires a restart"
    assert (pool.context.state.read() or {})["attribute"] == "healthy-dns"


def test_the_record_of_an_older_version_is_believed(told: Path) -> None:
    agent(told).context.state.write(agent(told).claim())
    probe(told, real_servers="10.0.0.13")
    pool = monitored(told, real_servers="10.0.0.13")
    with daemon_that_says(pool, "running") as heard:
        assert pool.observe(pool.claim()).kind == "running"
    assert heard == [f"monitor dns {__version__}"]
