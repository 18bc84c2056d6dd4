"""The health daemon as a process, with a table in memory: lock, socket, pools, kill, hand-over."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Callable

import pytest
from ocfpy import __version__
from ocfpy.checks.settings import CheckSettings
from ocfpy.healthd import lifecycle, pool_control, privileges
from ocfpy.healthd.client import DaemonHangs, NoDaemon, Node, Paths, ask
from ocfpy.healthd.gate_files import GateFiles, Registration
from ocfpy.healthd.restore import MEMORY
from ocfpy.ocf.deadline import Deadline
from ocfpy.ocf.errors import DeadlineError, HostError, OcfError, ServiceError
from ocfpy.ocf.log import Log
from ocfpy.pool.spec import PoolSpec, read_spec

from tests.unit.healthd.checker_world import status_of
from tests.unit.healthd.processes import open_files
from tests.unit.healthd.samples import pool

LIB = str(Path(lifecycle.__file__).resolve().parents[2])
LIMIT_S = 20.0
LOG = Log("test", "", {"HA_LOGFACILITY": "none"})
ON = CheckSettings("on", interval=0.2, timeout=0.1)

# The real daemon with a table that is kept in memory and an attribute manager that notes what it is told. A server whose
# address is 10.0.0.66 is one that the code of a check did not reckon with.
PLAYED = f"""#!{sys.executable}
import sys
sys.path.insert(0, {LIB!r})
from ocfpy.healthd import attrd, daemon, ipvs_worker
class Table:
    table = {{}}
    def read(self, only=None):
        return {{virtual: entry for virtual, entry in self.table.items() if only is None or only(virtual)}}
    def read_services(self, virtuals):
        return self.read(set(virtuals).__contains__)
    def connections(self, virtual):
        return dict.fromkeys(self.table[virtual][1], (0, 0))
    def apply(self, changes):
        for change in changes:
            if change.real is not None and str(change.real.address) == "10.0.0.66":
                raise RuntimeError("a fault that was not thought of")
            if change.real is None and change.verb == "delete":
                del self.table[change.virtual]
            elif change.real is None:
                reals = self.table.get(change.virtual, (None, {{}}))[1]
                self.table[change.virtual] = (change.settings, reals)
            elif change.verb == "delete":
                del self.table[change.virtual][1][change.real.key]
            else:
                self.table[change.virtual][1][change.real.key] = change.real
def read_proc(only):
    raise FileNotFoundError
ipvs_worker.SharedTable.open = lambda self: Table()
ipvs_worker.SharedTable.read_proc = lambda self, only: read_proc(only)
def note(*words, **_):
    with open(sys.argv[1] + "/attributes", "a") as file:
        print(*words[:2], file=file)
    return True
attrd.set_attribute = attrd.delete_attribute = note
sys.exit(daemon.main())
"""


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """Where the daemon's files are; too deep for the path of a socket. The daemon that runs there is killed."""
    healthd = tmp_path / "healthd"
    healthd.write_text(PLAYED)
    healthd.chmod(0o755)
    monkeypatch.setattr(lifecycle, "HEALTHD", str(healthd))
    monkeypatch.setenv("HA_LOGFACILITY", "none")
    directory = tmp_path / ("deep" * 20) / "rundir"
    directory.mkdir(parents=True)
    node = Node(str(directory))
    yield node
    kill(node)


def kill(node: Node) -> None:
    """SIGKILL, and returns when the daemon is gone."""
    try:
        number = pid(node)
        if not is_alive(number) or "healthd" not in Path(f"/proc/{number}/cmdline").read_text(errors="replace"):
            return
        os.kill(number, signal.SIGKILL)
    except (OSError, ValueError):  # it has ended by itself, or there never was one
        return
    eventually(lambda: not is_alive(number), "the daemon is gone")


def eventually(probe: Callable[[], object], what: str) -> None:
    end = time.monotonic() + LIMIT_S
    while not probe():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def start(node: Node, key: str = "dns", spec: PoolSpec | None = None) -> Paths:
    paths = node.pool(key)
    pool_control.start(paths, spec or pool(check=ON), Deadline(LIMIT_S), LOG)
    return paths


def stop(paths: Paths, **claim: str) -> None:
    pool_control.stop(paths, claim, Deadline(LIMIT_S), LOG)


def web(check: CheckSettings = ON, reals: str = "10.0.0.11 10.0.0.12") -> PoolSpec:
    """A second pool."""
    return pool("tcp/192.0.2.80:80", reals, check).replace(resource="web", attribute="healthy-web")


def says(node: Node, key: str = "dns") -> str:
    return ask(node.socket, f"monitor {key}", LIMIT_S)


def status(node: Node, key: str = "dns") -> dict[str, object]:
    document: dict[str, object] = json.loads(ask(node.socket, "status", LIMIT_S))["pools"][key]
    return document


def pid(node: Node) -> int:
    return int(Path(node.lock).read_text())


@contextmanager
def stopped(number: int) -> Iterator[None]:
    os.kill(number, signal.SIGSTOP)
    try:
        yield
    finally:
        try:
            os.kill(number, signal.SIGCONT)
        except ProcessLookupError:
            pass


def is_alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_life(node: Node) -> None:
    paths = start(node)
    assert says(node) == "running"
    assert [service["alive"] for service in status(node)["virtual"]] == [2]  # type: ignore[attr-defined]
    assert json.loads(Path(paths.status).read_text())["virtual"] == status(node)["virtual"]
    assert ask(node.socket, "dance", LIMIT_S) == "failed 1 unknown request 'dance'"
    number = pid(node)
    assert os.getsid(number) == number, "it must not be in the session of the agent"
    stop(paths)
    eventually(lambda: not is_alive(number), "the daemon ends after its last pool")
    assert sorted(os.listdir(node.directory)) == ["attributes", "healthd.lock"]
    assert Path(f"{node.directory}/attributes").read_text().splitlines() == ["healthy-dns 2", "healthy-dns 5.0"]
    with pytest.raises(NoDaemon):
        says(node)


def test_the_pools_of_a_node_share_one_daemon(node: Node) -> None:
    first = start(node)
    number = pid(node)
    second = start(node, "web", web())
    assert pid(node) == number
    assert (says(node), says(node, "web"), says(node, "ldap")) == ("running", "running", "unknown")
    stop(first)
    assert (says(node), says(node, "web")) == ("unknown", "running")
    stop(second)
    eventually(lambda: not is_alive(number), "it ends")


def test_many_starts_at_once_have_one_daemon(node: Node) -> None:
    failures: list[BaseException] = []

    def begin(number: int) -> None:
        try:
            spec = pool(f"tcp/192.0.2.{number}:80", check=ON).replace(resource=f"p{number}", attribute=f"healthy-p{number}")
            start(node, f"p{number}", spec)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(1, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [says(node, f"p{number}") for number in range(1, 13)] == ["running"] * 12


def test_a_daemon_whose_lock_is_removed_ends(node: Node) -> None:
    """It would go on for ever, beside the next one, and undo what that one does."""
    start(node)
    number = pid(node)
    shutil.rmtree(node.directory)
    eventually(lambda: not is_alive(number), "it has ended")
    start(node)
    assert says(node) == "running"


@pytest.mark.parametrize(("by", "user"), [("the next daemon", "root"), ("the next daemon", "daemon"), ("a stop", "daemon")])
def test_commands_of_a_daemon_that_was_killed_are_ended(node: Node, public_path: Path, by: str, user: str) -> None:
    command, begun, children = public_path / "check", public_path / "begun", public_path / "children"
    command.write_text(
        f"#!/bin/sh\nmkdir {begun} && exit 0\n"  # the first verdict
        f"sleep 1000 & env -i sleep 1000 & setsid sleep 1000 & jobs -p >{children}.new; echo $$ >>{children}.new\n"
        f"mv {children}.new {children}; wait\n"
    )
    command.chmod(0o755)
    check = CheckSettings("external", interval=0.2, timeout=LIMIT_S, command=str(command), command_user=user)
    paths = start(node, spec=pool(reals="10.0.0.11", check=check))
    stranger = subprocess.Popen(["sleep", "1000"], env={"OCF_ANYCAST_POOL": f"{node.directory}-2"})
    try:
        eventually(children.exists, "a command runs")
        left = [int(word) for word in children.read_text().split()]
        assert len(left) == 4
        kill(node)
        assert all(map(is_alive, left))
        if by == "the next daemon":
            start(node, spec=pool(check=ON))
        else:
            stop(paths)
        eventually(lambda: not any(map(is_alive, left)), "they are gone")
        assert stranger.poll() is None, "another directory's"
        stop(paths)
        eventually(lambda: not Path(f"{node.directory}/healthd.uids").exists(), "nothing is left of them")
    finally:
        stranger.kill()
        stranger.wait()


def test_no_backend_alive(node: Node) -> None:
    start(node, spec=pool(check=CheckSettings("off")))
    assert says(node).startswith("degraded no backend of udp/192.0.2.53:53 is alive: 10.0.0.11:53 is switched off")


def test_a_reason_has_an_end(node: Node) -> None:
    many = " ".join(f"10.0.0.{n}" for n in range(101, 201))
    start(node, spec=pool(reals=many, check=CheckSettings("off")))
    assert says(node).endswith("10.0.0.108:53 is switched off and 92 more")


def test_the_next_daemon_adopts_every_pool(node: Node) -> None:
    start(node)
    start(node, "web", web())
    kill(node)
    assert lifecycle.ensure_daemon(node, Deadline(LIMIT_S), LOG), "another one was started"
    assert not lifecycle.ensure_daemon(node, Deadline(LIMIT_S), LOG)
    for key in ("dns", "web"):
        assert says(node, key).split()[0] in ("running", "degraded"), "it is never a failure on the way"
        eventually(lambda key=key: says(node, key) == "running", f"{key} runs again")  # type: ignore[misc]


def test_an_adopted_pool_is_what_it_was_until_there_are_verdicts(node: Node, tmp_path: Path) -> None:
    """A monitor that said something else for a moment would have Pacemaker compute another transition for every pool."""
    command, slow = tmp_path / "check", tmp_path / "slow"
    command.write_text(f"#!/bin/sh\n[ ! -e {slow} ] || exec sleep 60\n[ $3 = 10.0.0.11 ]\n")
    command.chmod(0o755)
    check = CheckSettings("external", interval=60.0, timeout=30.0, command=str(command), command_user="root")
    start(node, spec=pool(reals="10.0.0.11", check=check))
    start(node, "web", web(check, reals="10.0.0.12"))
    degraded = says(node, "web")
    assert (says(node), degraded.split()[0]) == ("running", "degraded")
    slow.touch()
    eventually(lambda: json.loads(Path(node.pool("web").status).read_text())["state"] == degraded, "it is written down")
    kill(node)
    lifecycle.ensure_daemon(node, Deadline(LIMIT_S), LOG)
    assert (says(node), says(node, "web")) == ("running", degraded)


def test_a_start_knows_what_a_lost_daemon_had(node: Node) -> None:
    paths = start(node)
    kill(node)
    start(node, spec=pool("tcp/192.0.2.54:53", check=ON))
    assert read_spec(paths.spec).former == (), "it is gone, and another pool may have it tomorrow"
    assert [str(virtual) for virtual in read_spec(paths.spec).virtual] == ["tcp/192.0.2.54:53"]


def test_one_that_cannot_start_leaves_word_of_what_was_there(node: Node) -> None:
    paths = start(node)
    stop_web = start(node, "web", web())
    with pytest.raises(OcfError, match="there is no check 'nonsense'"):
        start(node, spec=pool("tcp/192.0.2.54:53", check=CheckSettings("nonsense")))
    assert says(node, "web") == "running"
    assert read_spec(paths.spec).virtual, "the file of a pool that runs on"
    stop(stop_web)
    with pytest.raises(OcfError, match="there is no check 'nonsense'"):
        start(node, "bad", web(CheckSettings("nonsense")))
    assert says(node, "bad") == "unknown"
    assert not Path(node.pool("bad").spec).exists(), "no daemon adopts it"
    assert Path(node.pool("bad").wanted).exists(), "a stop finds what there was to be"


def test_reload(node: Node) -> None:
    paths = start(node)
    pool("udp/192.0.2.53:53 tcp/192.0.2.53:53", "10.0.0.13", ON).write(paths.wanted)
    assert ask(node.socket, "reload dns", LIMIT_S) == "running"
    assert [service["alive"] for service in status(node)["virtual"]] == [1, 1]  # type: ignore[attr-defined]
    Path(paths.wanted).write_text("{}")
    assert ask(node.socket, "reload dns", LIMIT_S).startswith("failed 1 ")
    assert says(node) == "running"
    assert ask(node.socket, "reload web", LIMIT_S) == "failed 1 the health daemon does not run the pool web"


def on_ports(*ports: int) -> PoolSpec:
    """Servers on this host, which the daemon's checker can reach."""
    reals = " ".join(f"127.0.0.1:{port},forward=nat" for port in ports)
    check = CheckSettings("tcp", interval=0.2, timeout=0.1, rise=1, fall=1)
    return pool("tcp/192.0.2.53:53", reals, check, drain_timeout=60.0)


def states(node: Node) -> dict[int, str]:
    service = status(node)["virtual"][0]  # type: ignore[index]
    return {int(real["server"].partition(":")[2]): real["state"] for real in service["real_servers"]}


def test_blue_and_green_through_the_daemon_and_its_death(node: Node) -> None:
    with socket.create_server(("127.0.0.1", 0)) as old, socket.socket() as new:
        new.bind(("127.0.0.1", 0))  # without a listen, so that it refuses
        blue, green = old.getsockname()[1], new.getsockname()[1]
        paths = start(node, spec=on_ports(blue))
        on_ports(green).write(paths.wanted)
        assert ask(node.socket, "reload dns", LIMIT_S) == "running"
        assert states(node) == {blue: "leaving, still serving", green: "down"}
        eventually(lambda: "leaving" in json.loads(Path(paths.status).read_text())["state"], "it is written down")
        assert MEMORY not in status(node), "what only the next daemon reads is not shown"
        kill(node)
        lifecycle.ensure_daemon(node, Deadline(LIMIT_S), LOG)
        said = f"degraded 127.0.0.1:{blue} of tcp/192.0.2.53:53 leaving, still serving: no new server is up"
        eventually(lambda: ask(node.socket, "monitor dns", LIMIT_S).startswith(said), "the next daemon goes on")
        new.listen()
        eventually(lambda: states(node) == {green: "up"}, "the new server is up, and the old one has drained")


def test_a_reload_that_fails_is_answered_and_changes_nothing(node: Node) -> None:
    paths = start(node)
    before = pid(node)
    for check, said in (
        (CheckSettings("dns", name="a..b"), "EmptyLabel: "),
        (CheckSettings("nonsense"), "there is no check 'nonsense'"),
    ):
        pool("tcp/192.0.2.53:53", "10.0.0.13", check).write(paths.wanted)
        assert said in ask(node.socket, "reload dns", LIMIT_S)
        eventually(lambda: says(node) == "running", "the pool goes on as it was")
        found = [(service["service"], service["alive"]) for service in status(node)["virtual"]]  # type: ignore[attr-defined]
        assert found == [("udp/192.0.2.53:53", 2)]
        assert list(map(str, read_spec(paths.spec).virtual)) == ["udp/192.0.2.53:53"], "what the next daemon goes by"
    assert pid(node) == before
    pool("tcp/192.0.2.53:53", "10.0.0.13", ON).write(paths.wanted)
    assert ask(node.socket, "reload dns", LIMIT_S) == "running"


def test_a_status_that_cannot_be_written_ends_nothing(node: Node) -> None:
    os.mkdir(node.pool("dns").status)  # nothing can be put in its place
    paths = start(node)
    pool(check=CheckSettings("off", port=1, interval=0.2, timeout=0.1)).write(paths.wanted)
    assert ask(node.socket, "reload dns", LIMIT_S) == "running"
    assert says(node).startswith("degraded no backend of")


def test_one_that_hangs_is_replaced(node: Node) -> None:
    start(node)
    first = pid(node)
    with stopped(first):
        with pytest.raises(DaemonHangs):
            ask(node.socket, "monitor dns", 0.1)
        assert lifecycle.ensure_daemon(node, Deadline(LIMIT_S), LOG)
    assert pid(node) != first
    eventually(lambda: says(node) == "running", "it goes on")


def test_one_that_waits_for_a_processor_is_waited_for(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy node another one would be no quicker, and would have to begin with all that this one has done."""
    start(node)
    first = pid(node)
    asked: list[int] = []

    def starving(number: int) -> tuple[str, float]:
        asked.append(number)
        if len(asked) > 4:
            os.kill(first, signal.SIGCONT)  # it gets its turn
        return "R", 7.0

    monkeypatch.setattr(lifecycle, "usage", starving)
    with stopped(first):
        assert not lifecycle.ensure_daemon(node, Deadline(LIMIT_S), LOG, 0.1)
    assert pid(node) == first
    assert set(asked) == {first}


@pytest.mark.parametrize(("state", "cpu_s", "starved_s"), [("S", 0.0, 60.0), ("R", lifecycle.BUSY_S, 60.0), ("R", 0.0, 0.3)])
def test_one_that_hangs_or_loops_or_starves_for_long_is_not(
    node: Node, monkeypatch: pytest.MonkeyPatch, state: str, cpu_s: float, starved_s: float
) -> None:
    start(node)
    first = pid(node)
    used = iter([0.0])
    monkeypatch.setattr(lifecycle, "usage", lambda _: (state, next(used, cpu_s)))
    monkeypatch.setattr(lifecycle, "STARVED_S", starved_s)
    with stopped(first):
        assert lifecycle.ensure_daemon(node, Deadline(LIMIT_S), LOG, 0.1)
    assert pid(node) != first


def test_monitors_that_find_it_hung_together_start_one(node: Node) -> None:
    """Each would otherwise kill what the other has just started."""
    start(node)
    first = pid(node)
    with stopped(first):
        started: list[bool] = []
        threads = [
            threading.Thread(target=lambda: started.append(lifecycle.ensure_daemon(node, Deadline(LIMIT_S), LOG)))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert started.count(True) == 1
    assert len(started) == 8
    assert pid(node) != first


def test_one_of_another_version_is_replaced(node: Node) -> None:
    start(node)
    first = pid(node)
    assert ask(node.socket, "version 0.0.9", LIMIT_S) == f"version {__version__}"
    assert ask(node.socket, "monitor dns 0.0.9", LIMIT_S) == f"version {__version__}"
    older = Path(lifecycle.HEALTHD).read_text()
    Path(lifecycle.HEALTHD).write_text(older.replace("sys.exit(", "daemon.__version__ = '0.0.9'\nsys.exit("))
    kill(node)
    assert lifecycle.ensure_daemon(node, Deadline(LIMIT_S), LOG)
    assert ask(node.socket, f"version {__version__}", LIMIT_S) == "version 0.0.9"
    Path(lifecycle.HEALTHD).write_text(older)
    assert lifecycle.ensure_daemon(node, Deadline(LIMIT_S), LOG)
    assert ask(node.socket, f"version {__version__}", LIMIT_S) == "running"
    assert pid(node) != first


def test_callers_from_another_network_namespace_are_refused(node: Node) -> None:
    start(node)
    story = f"""
import os, sys
sys.path.insert(0, {LIB!r})
from ocfpy.healthd.client import Node, ask
from ocfpy.healthd.lifecycle import ensure_daemon
from ocfpy.ocf.log import Log
from ocfpy.ocf.deadline import Deadline
node = Node({node.directory!r})
print(ask(node.socket, "monitor dns", 20).split()[0])
try:
    ensure_daemon(node, Deadline(20), Log("test", "", {{"HA_LOGFACILITY": "none"}}))
except Exception as error:
    print(type(error).__name__)
"""
    done = subprocess.run(["unshare", "--net", sys.executable, "-c", story], capture_output=True, text=True, timeout=2 * LIMIT_S)
    assert done.stdout.split() == ["foreign", HostError.__name__], done.stderr
    assert says(node) == "running"


def test_a_fault_in_one_pool_is_that_pools_only(node: Node) -> None:
    start(node, "web", web())
    number = pid(node)
    with pytest.raises(OcfError, match="RuntimeError: a fault that was not thought of"):
        start(node, spec=pool(reals="10.0.0.66", check=ON))
    paths = start(node)
    pool(reals="10.0.0.11 10.0.0.66", check=ON).write(paths.wanted)
    assert "a fault that was not thought of" in ask(node.socket, "reload dns", LIMIT_S)
    eventually(lambda: says(node) == "running", "it is started again, with what was in force")
    assert (pid(node), says(node, "web")) == (number, "running")


def test_a_process_that_has_the_daemons_old_number_is_not_killed(node: Node) -> None:
    other = subprocess.Popen(["sleep", str(5 * LIMIT_S)])
    Path(node.lock).write_text(f"{other.pid}\n")  # as a daemon that was killed leaves it
    try:
        with open(node.lock) as looking:  # as a monitor does for a moment
            fcntl.flock(looking, fcntl.LOCK_SH)
            with pytest.raises(DeadlineError):
                lifecycle.ensure_daemon(node, Deadline(0.3), LOG)
        assert other.poll() is None
        assert lifecycle.ensure_daemon(node, Deadline(LIMIT_S), LOG)
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_stop_beside_a_daemon_that_hangs(node: Node) -> None:
    """The other pools get a daemon that does not know the stopped one."""
    paths = start(node)
    start(node, "web", web())
    first = pid(node)
    with stopped(first):
        stop(paths)
    assert pid(node) != first
    assert says(node) == "unknown"
    eventually(lambda: says(node, "web") == "running", "the other one goes on")


def test_a_pool_that_is_stopped_without_the_daemon_has_no_route(node: Node) -> None:
    """The daemon cannot read the pool's file, and so does not know whose routes go with it."""
    start(node, "web", web())
    kill(node)
    Path(node.pool("dns").spec).write_text("{}")
    GateFiles(node.directory).write(Registration("bgp", "192.0.2.53/32", "healthy-dns", vty_dir=node.directory))
    lifecycle.ensure_daemon(node, Deadline(LIMIT_S), LOG)
    eventually(lambda: says(node).startswith("failed"), "it cannot be adopted")
    assert ask(node.socket, "gate state bgp", LIMIT_S).startswith("unknown")
    stop(node.pool("dns"), attribute="healthy-dns")
    assert ask(node.socket, "gate state bgp", LIMIT_S).startswith("gone")


def test_a_pool_is_removed_while_it_starts(node: Node, tmp_path: Path) -> None:
    """As by a stop after a start that was killed: nothing of it comes back."""
    command, begun = tmp_path / "slow", tmp_path / "begun"
    command.write_text(f"#!/bin/sh\ntouch {begun}\nexec sleep 60\n")
    command.chmod(0o755)
    slow = CheckSettings("external", timeout=30.0, interval=60.0, command=str(command), command_user="root")
    start(node, "web", web())
    answers: list[str] = []
    pool(check=slow).write(node.pool("dns").wanted)
    adding = threading.Thread(target=lambda: answers.append(ask(node.socket, "add dns", LIMIT_S)))
    adding.start()
    eventually(begun.exists, "the first check runs")
    stop(node.pool("dns"))
    adding.join()
    assert answers == ["failed 1 the pool was removed meanwhile"]
    assert (says(node), says(node, "web")) == ("unknown", "running")
    assert not Path(node.pool("dns").spec).exists()


def test_the_keeper_gives_up_what_it_does_not_need_of_roots_privileges(node: Node, tmp_path: Path) -> None:
    """And so do the programs that it starts, also as root."""
    command, seen = tmp_path / "check", tmp_path / "seen"
    command.write_text(f"#!/bin/sh\ncat /proc/self/status >{seen}.new && mv {seen}.new {seen}\n")
    command.chmod(0o755)
    check = CheckSettings("external", interval=60.0, timeout=LIMIT_S, command=str(command), command_user="root")
    start(node, spec=pool(reals="10.0.0.11", check=check))
    ours = status_of(os.getpid())
    wanted = sum(1 << number for number, _ in privileges.KEPT.values())
    for found in (status_of(pid(node)), dict(line.split(":\t", 1) for line in seen.read_text().splitlines())):
        for name in ("CapPrm", "CapEff", "CapBnd"):
            assert int(found[name], 16) == int(ours[name], 16) & wanted, name
        assert (int(found["CapInh"], 16), int(found["CapAmb"], 16), found["NoNewPrivs"]) == (0, 0, "1")


def test_two_by_hand_are_one_too_many(node: Node) -> None:
    start(node)
    done = subprocess.run([lifecycle.HEALTHD, node.directory], capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 1
    assert "another health daemon already runs" in done.stderr
    assert says(node) == "running"


def test_a_daemon_that_does_not_start_is_explained(node: Node) -> None:
    Path(lifecycle.HEALTHD).write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(ServiceError, match="died while it started"):
        start(node)


def test_a_daemon_inherits_nothing_but_its_lock(node: Node, tmp_path: Path) -> None:
    with open(tmp_path / "lock of another", "w") as file:
        os.set_inheritable(file.fileno(), True)
        start(node)
    opened = open_files(pid(node))
    assert not [name for name in opened if "lock of another" in name]
    assert [name for name in opened if name == node.lock]


def test_a_daemon_of_a_pool_of_an_older_version_is_taken_over(node: Node) -> None:
    """0.1.0 had a process for each pool, with a lock of its own."""
    old = Path(f"{node.pool('dns').base}.lock")
    story = f"import time; f = open({str(old)!r}, 'w'); print(flush=True); time.sleep(1000)"
    holder = subprocess.Popen([sys.executable, "-c", story], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        old.write_text(f"{holder.pid}\n")
        Path(f"{node.pool('dns').base}.sock").touch()
        start(node)
        assert holder.wait(LIMIT_S) == -signal.SIGKILL
        assert says(node) == "running"
        assert not old.exists()
    finally:
        holder.kill()
        holder.wait()


def test_a_specification_of_the_version_before_is_adopted(node: Node) -> None:
    paths = node.pool("dns")
    pool(check=ON).write(paths.spec)
    document = json.loads(Path(paths.spec).read_text())
    del document["schema"]
    Path(paths.spec).write_text(json.dumps({"version": "0.1.0", **document}))
    lifecycle.ensure_daemon(node, Deadline(LIMIT_S), LOG)
    eventually(lambda: says(node) == "running", "it is adopted")


def test_ssl_is_for_checks_that_speak_it(tmp_path: Path) -> None:
    lines = (Path(LIB).parent / "bin/healthd").read_text().splitlines()
    begin = next(n for n, line in enumerate(lines) if line.startswith("sys.modules"))
    story = f"""
import importlib, sys
sys.path.insert(0, {LIB!r})
{chr(10).join(lines[begin : begin + 3])}
import asyncio, socket, threading
import ocfpy.healthd.daemon
from ocfpy.checks import make_check
from ocfpy.checks.settings import CheckSettings
from ocfpy.ocf.addresses import parse_address
server = socket.create_server(("127.0.0.1", 0))
def serve():
    while True:
        client = server.accept()[0]
        try:
            client.sendall(b"220 this is no TLS, whatever you have heard of it")
            client.recv(1)
        except OSError:
            pass
threading.Thread(target=serve, daemon=True).start()
async def check(kind):
    settings = CheckSettings(kind, interval=5.0, timeout={LIMIT_S})
    return await make_check(parse_address("127.0.0.1"), server.getsockname()[1], settings).run()
print(asyncio.run(check("tcp")).ok, "ssl" in sys.modules, asyncio.run(check("https")).reason)
"""
    done = subprocess.run([sys.executable, "-c", story], capture_output=True, text=True, timeout=2 * LIMIT_S)
    assert done.stdout == "True False the server does not speak TLS\n", done.stderr


def test_a_start_that_hangs_ends_at_the_deadline(node: Node) -> None:
    Path(lifecycle.HEALTHD).write_text("#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(DeadlineError, match="waiting for the health daemon to start"):
        pool_control.start(node.pool("dns"), pool(), Deadline(0.3), LOG)


def test_a_first_verdict_that_takes_longer_than_the_start_is_explained(node: Node, tmp_path: Path) -> None:
    command = tmp_path / "slow"
    command.write_text("#!/bin/sh\nexec sleep 60\n")
    command.chmod(0o755)
    slow = CheckSettings("external", timeout=30.0, interval=60.0, command=str(command), command_user="root")
    with pytest.raises(DeadlineError, match=r"first verdict on every real server, which takes up to 90 s .* raise the"):
        pool_control.start(node.pool("dns"), pool(check=slow), Deadline(3.0), LOG)
