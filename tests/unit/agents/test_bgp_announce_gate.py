"""bgp-announce with `attribute`, a gate in this process and a bgpd of a few lines: each verdict, and every way to be killed."""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
from ocfpy.agents import bgp_announce, bgp_announce_gate
from ocfpy.agents.bgp_announce import BgpAnnounce
from ocfpy.bgp.errors import CommandRefused
from ocfpy.healthd.gate import Gate
from ocfpy.healthd.gate_files import GateFiles, Registration

from tests.frr.gate_server import GateServer
from tests.unit.agents.test_bgp_announce import FakeBgpd, Resource
from tests.unit.healthd.gate_stage import Heard
from tests.unit.ocf.test_cost import COSTLY

POOL = "healthy-dns"
PREFIX = "192.0.2.53/32"
DEAD = "tcp/192.0.2.53:53: 10.0.0.11 connection refused"


class Bgpd(FakeBgpd):
    """Takes statements one by one as well."""

    def configure_each(self, statements: Iterable[tuple[tuple[str, ...], str]]) -> dict[str, CommandRefused]:
        refused = {}
        for place, statement in statements:
            try:
                self.configure((*place, statement))
            except CommandRefused as refusal:
                refused[statement] = refusal
        return refused


class Daemon:
    """A gate that is served from a thread."""

    def __init__(self, rundir: str, bgpd: Bgpd) -> None:
        self._rundir = rundir
        self._bgpd = bgpd
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.log = Heard()
        self._call(self._begin())

    async def _begin(self) -> None:
        self.gate = Gate(self._rundir, self.log, lambda *_: self._bgpd)  # type: ignore[arg-type]
        self._server = await GateServer(self.gate, self._rundir).listen()

    def _call(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def pool(self, alive: int | None, why: str = "") -> None:
        async def say() -> None:
            self.gate.pool(POOL, alive, why)

        self._call(say())

    def forget(self) -> None:
        async def say() -> None:
            self.gate.forget(POOL)

        self._call(say())

    def kill(self) -> None:
        async def end() -> None:
            self._server.close()
            self.gate.close()

        if self._thread.is_alive():
            self._call(end())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()


@pytest.fixture
def bgpd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bgpd:
    fake = Bgpd()
    monkeypatch.setattr(bgp_announce, "Vty", fake)
    monkeypatch.setattr(bgp_announce, "find_address", lambda address: ["lo"] if fake.here else [])
    monkeypatch.setattr(bgp_announce, "check_allowed", lambda prefix, nets: None)
    monkeypatch.setattr(BgpAnnounce, "_check_installed", lambda self: None)
    monkeypatch.setattr(bgp_announce_gate, "ATTRIBUTE_S", 0.3)
    monkeypatch.setattr(bgp_announce_gate, "GONE_S", 0.3)
    monkeypatch.setattr(bgp_announce_gate, "SPREAD_S", 0.3)
    monkeypatch.setenv("HA_RSCTMP", str(tmp_path))
    return fake


@pytest.fixture
def rundir(tmp_path: Path) -> str:
    (tmp_path / "anycast").mkdir(mode=0o700)
    return str(tmp_path / "anycast")


@pytest.fixture
def files(rundir: str) -> GateFiles:
    return GateFiles(rundir)


@pytest.fixture
def new_daemon(rundir: str, bgpd: Bgpd) -> Iterator[Callable[[], Daemon]]:
    made: list[Daemon] = []

    def make() -> Daemon:
        made.append(Daemon(rundir, bgpd))
        return made[-1]

    yield make
    for daemon in made:
        daemon.kill()


@pytest.fixture
def daemon(new_daemon: Callable[[], Daemon]) -> Daemon:
    return new_daemon()


@pytest.fixture
def resource(bgpd: Bgpd, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Resource:
    return Resource(tmp_path, capfd, attribute=POOL)


def run(resource: Resource, action: str, **environ: str) -> int:
    return resource.run(action, timeout="20000", **environ)


def monitor(resource: Resource) -> int:
    return run(resource, "monitor", interval="5000")


def test_lifecycle(bgpd: Bgpd, daemon: Daemon, resource: Resource, files: GateFiles) -> None:
    daemon.pool(2)
    assert run(resource, "monitor") == 7
    for action in ("start", "migrate_from", "start"):
        assert run(resource, action) == 0, resource.reason
        assert bgpd.statements == {PREFIX: ""}
    for action in ("monitor", "migrate_to"):
        assert run(resource, action) == 0, resource.reason
    assert monitor(resource) == 0
    assert run(resource, "stop") == 0
    assert bgpd.statements == {}
    assert files.read_all() == []
    assert run(resource, "monitor") == 7
    assert run(resource, "stop") == 0


@pytest.mark.parametrize("action", ["start", "migrate_from"])
def test_start_behind_a_shut_gate(bgpd: Bgpd, daemon: Daemon, resource: Resource, action: str) -> None:
    daemon.pool(0, DEAD)
    assert run(resource, action) == 0, resource.reason
    assert bgpd.statements == {}
    assert monitor(resource) == 190
    assert resource.reason.startswith(f"withdrawn: no live backend of {POOL} since ")
    assert run(resource, "monitor") == 190, "there is a record of the start"
    assert run(resource, "migrate_to") == 0
    daemon.pool(1)
    assert monitor(resource) == 0
    assert bgpd.statements == {PREFIX: ""}


def test_death_and_return_of_the_pool(bgpd: Bgpd, daemon: Daemon, resource: Resource) -> None:
    daemon.pool(1)
    assert run(resource, "start") == 0
    daemon.pool(0, DEAD)
    assert monitor(resource) == 190
    assert bgpd.statements == {}
    daemon.pool(1)
    assert monitor(resource) == 0
    daemon.pool(0)
    assert run(resource, "stop") == 0
    daemon.pool(1)
    assert run(resource, "monitor") == 7
    assert bgpd.statements == {}


def test_degraded_reads_as_running_where_it_would_stick(daemon: Daemon, resource: Resource) -> None:
    resource.environ["OCF_RESKEY_crm_feature_set"] = "3.16.2"
    daemon.pool(0)
    assert run(resource, "start") == 0
    assert monitor(resource) == 0
    assert resource.reason.startswith("withdrawn: ")


def test_attribute_that_no_pool_publishes(bgpd: Bgpd, daemon: Daemon, resource: Resource) -> None:
    daemon.pool(1)
    resource.parameters["attribute"] = "healthy-typo"
    assert run(resource, "start") == 1
    assert resource.reason.startswith("no pool of this node publishes healthy-typo: ")
    assert bgpd.statements == {}
    assert run(resource, "stop") == 0


def test_pool_that_speaks_while_start_waits(daemon: Daemon, resource: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bgp_announce_gate, "ATTRIBUTE_S", 10.0)
    later = threading.Timer(0.3, daemon.pool, (1,))
    later.start()
    assert run(resource, "start") == 0
    later.join()


def test_pool_that_says_nothing(daemon: Daemon, resource: Resource) -> None:
    daemon.pool(None)
    assert resource.run("start", timeout="8000") == 1
    assert resource.reason == f"{PREFIX} is not announced: the pool of {POOL} has not checked its backends yet"


def test_monitor_of_a_pool_that_says_nothing_any_more(bgpd: Bgpd, daemon: Daemon, resource: Resource) -> None:
    daemon.pool(1)
    assert run(resource, "start") == 0
    daemon.pool(None)
    assert monitor(resource) == 0, "it was alive"
    assert bgpd.statements


def test_no_daemon(bgpd: Bgpd, resource: Resource, files: GateFiles) -> None:
    assert run(resource, "start") == 1
    assert "no pool of this node publishes healthy-dns" in resource.reason
    assert run(resource, "stop") == 0
    assert files.read_all() == []


def test_daemon_that_is_gone(bgpd: Bgpd, daemon: Daemon, resource: Resource, files: GateFiles) -> None:
    daemon.pool(1)
    assert run(resource, "start") == 0
    daemon.kill()
    assert monitor(resource) == 190
    assert resource.reason.startswith("no gate: the health daemon does not answer, so nothing withdraws 192.0.2.53/32 at once")
    assert run(resource, "stop") == 0
    assert (bgpd.statements, files.read_all()) == ({}, [])


def test_daemon_that_is_gone_while_the_gate_is_shut(daemon: Daemon, resource: Resource, files: GateFiles) -> None:
    daemon.pool(0)
    assert run(resource, "start") == 0
    end = time.monotonic() + 20.0
    while not files.shut_gates():  # written by a thread, after the routes
        assert time.monotonic() < end, "the daemon writes down which gates are shut"
        time.sleep(0.01)
    daemon.kill()
    assert monitor(resource) == 190
    assert resource.reason.startswith("withdrawn: no live backend")


def test_daemon_is_replaced_by_the_monitor(
    bgpd: Bgpd,
    daemon: Daemon,
    new_daemon: Callable[[], Daemon],
    resource: Resource,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    daemon.pool(1)
    assert run(resource, "start") == 0
    daemon.kill()
    bgpd.statements.clear()

    def replace(context: object) -> bool:
        new_daemon().pool(1)
        return True

    monkeypatch.setattr(bgp_announce_gate, "replace_daemon", replace)
    assert monitor(resource) == 0, resource.reason
    assert bgpd.statements == {PREFIX: ""}


def test_removed_pool(bgpd: Bgpd, daemon: Daemon, resource: Resource) -> None:
    daemon.pool(1)
    assert run(resource, "start") == 0
    daemon.forget()
    assert monitor(resource) == 190
    assert resource.reason.startswith(f"withdrawn: no pool of this node publishes {POOL} any more since ")
    assert run(resource, "start") == 1
    assert "publishes" in resource.reason


def test_route_that_is_there_although_the_gate_is_shut(bgpd: Bgpd, daemon: Daemon, resource: Resource) -> None:
    daemon.pool(0)
    assert run(resource, "start") == 0
    bgpd.statements[PREFIX] = ""
    assert monitor(resource) == 190, "the daemon takes it away"
    assert bgpd.statements == {}


def test_route_that_cannot_be_withdrawn(bgpd: Bgpd, daemon: Daemon, resource: Resource, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon.pool(0)
    assert run(resource, "start") == 0

    def refuse(statements: object) -> dict[str, CommandRefused]:
        raise CommandRefused("no network", 2, "% configuration is locked")

    monkeypatch.setattr(bgpd, "configure_each", refuse)
    bgpd.statements[PREFIX] = ""
    assert monitor(resource) == 1
    assert resource.reason == (
        f"{PREFIX} is still announced (no live backend of {POOL}): bgpd refused `no network`: % configuration is locked"
    )
    assert run(resource, "monitor") == 1


def test_statement_that_is_lost_is_restored(bgpd: Bgpd, daemon: Daemon, resource: Resource) -> None:
    daemon.pool(1)
    assert run(resource, "start") == 0
    bgpd.statements.clear()
    assert run(resource, "monitor") == 7, "a probe only looks"
    assert monitor(resource) == 0
    assert bgpd.statements == {PREFIX: ""}


def test_route_without_the_address_is_a_failure(bgpd: Bgpd, daemon: Daemon, resource: Resource) -> None:
    daemon.pool(1)
    assert run(resource, "start") == 0
    bgpd.here = False
    assert monitor(resource) == 1
    assert "is not on this node" in resource.reason


def test_reload_changes_the_registration(bgpd: Bgpd, daemon: Daemon, resource: Resource, files: GateFiles) -> None:
    daemon.pool(1)
    assert run(resource, "start") == 0
    resource.parameters["route_map"] = "KNOWN"
    assert run(resource, "reload-agent") == 0, resource.reason
    assert bgpd.statements == {PREFIX: "route-map KNOWN"}
    daemon.pool(0)
    daemon.pool(1)
    assert monitor(resource) == 0
    assert bgpd.statements == {PREFIX: "route-map KNOWN"}
    del resource.parameters["attribute"]
    assert run(resource, "reload-agent") == 0, resource.reason
    assert files.read_all() == []
    daemon.pool(0)
    assert monitor(resource) == 0
    resource.parameters["attribute"] = POOL
    assert run(resource, "reload-agent") == 0, resource.reason
    assert bgpd.statements == {}
    assert monitor(resource) == 190


@pytest.mark.parametrize("alive", [0, 1])
def test_drain(bgpd: Bgpd, daemon: Daemon, resource: Resource, alive: int) -> None:
    resource.parameters.update(drain_route_map="KNOWN", drain_time="300ms")
    daemon.pool(1)
    assert run(resource, "start") == 0
    daemon.pool(alive)
    assert monitor(resource) == (0 if alive else 190)
    assert run(resource, "stop") == 0
    assert ("network 192.0.2.53/32 route-map KNOWN" in bgpd.lines) == bool(alive)
    assert bgpd.statements == {}


def test_drain_without_a_daemon(bgpd: Bgpd, daemon: Daemon, resource: Resource) -> None:
    resource.parameters.update(drain_route_map="KNOWN", drain_time="1ms")
    daemon.pool(1)
    assert run(resource, "start") == 0
    daemon.kill()
    assert run(resource, "stop") == 0
    assert "network 192.0.2.53/32 route-map KNOWN" in bgpd.lines
    assert bgpd.statements == {}


def test_stop_that_was_killed(bgpd: Bgpd, daemon: Daemon, resource: Resource, files: GateFiles) -> None:
    """Before the withdrawal the route is there and counts; after it, nothing is restored."""
    daemon.pool(1)
    assert run(resource, "start") == 0
    files.write(Registration("bgp", PREFIX, POOL, leaving="yes"))
    assert monitor(resource) == 0
    bgpd.statements.clear()
    assert monitor(resource) == 7
    files.delete("bgp")
    assert monitor(resource) == 7
    assert run(resource, "monitor") == 7
    assert run(resource, "start") == 0
    assert bgpd.statements == {PREFIX: ""}
    assert monitor(resource) == 0


def test_reload_that_was_killed(bgpd: Bgpd, daemon: Daemon, resource: Resource, files: GateFiles) -> None:
    """The attribute is there, and neither a registration nor another route-map has got to the daemon."""
    daemon.pool(1)
    del resource.parameters["attribute"]
    assert run(resource, "start") == 0
    resource.parameters.update(attribute=POOL, route_map="KNOWN")
    assert monitor(resource) == 0, resource.reason
    assert bgpd.statements == {PREFIX: "route-map KNOWN"}
    resource.parameters["route_map"] = ""
    assert monitor(resource) == 0
    assert bgpd.statements == {PREFIX: ""}


def test_full_run_directory_does_not_keep_stop_from_withdrawing(
    bgpd: Bgpd, daemon: Daemon, resource: Resource, files: GateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.pool(1)
    assert run(resource, "start") == 0

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(GateFiles, "write", full)
    assert run(resource, "stop") == 0
    assert (bgpd.statements, files.read_all()) == ({}, [])


def test_without_attribute_the_daemon_is_not_asked(
    bgpd: Bgpd, resource: Resource, files: GateFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object) -> str:
        raise AssertionError("the daemon was asked")

    monkeypatch.setattr(bgp_announce_gate, "ask", asked)
    del resource.parameters["attribute"]
    for action, code in (("start", 0), ("monitor", 0), ("reload-agent", 0), ("stop", 0), ("monitor", 7)):
        assert run(resource, action) == code, resource.reason
    assert files.read_all() == []


def test_hostile_attribute(resource: Resource) -> None:
    resource.parameters["attribute"] = "healthy dns\nx"
    assert run(resource, "validate-all") == 6
    assert "attribute" in resource.reason


def test_monitor_imports_nothing_that_costs(daemon: Daemon, resource: Resource, rundir: str) -> None:
    """With a registration and a gate that is shut; without bgpd's answer, which the parser of the json package reads."""
    daemon.pool(0)
    assert run(resource, "start") == 0
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from ocfpy.agents.bgp_announce_gate import GatedRoute\n"
        "from ocfpy.bgp.announcer import Route\n"
        "from ocfpy.ocf.context import Context\n"
        "environ = {'OCF_RESOURCE_INSTANCE': 'bgp', 'HA_RSCTMP': sys.argv[2], 'OCF_RESKEY_CRM_meta_interval': '5000'}\n"
        "gate = GatedRoute(Context(['bgp-announce', 'monitor'], environ, 'bgp-announce', 'anycast'))\n"
        "status = gate.observe(gate.read(), Route(), Route, None)\n"
        "print(status.kind, *sys.modules)"
    )
    library = Path(bgp_announce.__file__).parents[2]
    argv = ["/usr/bin/python3", "-IS", "-c", program, str(library), str(Path(rundir).parent)]
    kind, *modules = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert kind == "degraded"
    assert COSTLY.intersection(modules) == set()
