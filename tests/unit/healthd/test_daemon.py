"""The daemon as a process, with a table in memory: lock, socket, report, kill."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
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
from ocfpy.healthd import control
from ocfpy.healthd.client import DaemonHangs, NoDaemon, Paths, ask
from ocfpy.ocf.deadline import Deadline
from ocfpy.ocf.errors import DeadlineError, OcfError, ServiceError
from ocfpy.pool.spec import read_spec

from tests.unit.healthd.samples import pool

LIB = str(Path(control.__file__).resolve().parents[2])
LIMIT_S = 20.0

# The real daemon with a table that is kept in memory and an attribute manager that notes what it is told.
PLAYED = f"""#!{sys.executable}
import sys
sys.path.insert(0, {LIB!r})
from ocfpy.healthd import attrd, daemon, ipvs_worker
class Table:
    table = {{}}
    def read(self, only=None):
        return {{virtual: entry for virtual, entry in self.table.items() if only is None or only(virtual)}}
    def connections(self, virtual):
        return dict.fromkeys(self.table[virtual][1], (0, 0))
    def apply(self, changes):
        for change in changes:
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
real = ipvs_worker.IpvsWorker
daemon.IpvsWorker = lambda: real(Table, read_proc)
def note(*words, **_):
    with open(sys.argv[1] + ".attributes", "a") as file:
        print(*words[:2], file=file)
    return True
attrd.set_attribute = attrd.delete_attribute = note
sys.exit(daemon.main())
"""


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where the daemon's files are; too deep for the path of a socket. Whatever runs there is killed."""
    healthd = tmp_path / "healthd"
    healthd.write_text(PLAYED)
    healthd.chmod(0o755)
    monkeypatch.setattr(control, "HEALTHD", str(healthd))
    monkeypatch.setenv("HA_LOGFACILITY", "none")
    directory = tmp_path / ("deep" * 20) / "rundir"
    directory.mkdir(parents=True)
    yield str(directory / "ipvs-pool-dns")
    control.kill(Paths(str(directory / "ipvs-pool-dns")), Deadline(LIMIT_S))


def eventually(probe: Callable[[], object], what: str) -> None:
    end = time.monotonic() + LIMIT_S
    while not probe():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def spawn(base: str, check: str = "on") -> Paths:
    paths = Paths(base)
    control.spawn(
        paths, pool(check=CheckSettings(check, port=1, interval=0.2, timeout=0.1)), Deadline(LIMIT_S)
    )
    return paths


def pid(paths: Paths) -> int:
    return int(Path(paths.lock).read_text())


@contextmanager
def stopped(number: int) -> Iterator[None]:
    os.kill(number, 19)
    try:
        yield
    finally:
        try:
            os.kill(number, 18)
        except ProcessLookupError:
            pass


def test_a_life(base: str) -> None:
    paths = spawn(base)
    assert ask(paths.socket, "monitor", LIMIT_S) == "running"
    document = json.loads(ask(paths.socket, "status", LIMIT_S))
    assert document["virtual"][0]["alive"] == 2
    assert document["pid"] == pid(paths)
    assert json.loads(Path(paths.status).read_text())["virtual"] == document["virtual"]
    assert ask(paths.socket, "dance", LIMIT_S) == "failed there is no command 'dance'"
    assert os.getsid(pid(paths)) == pid(paths), "it must not be in the session of the agent"
    assert ask(paths.socket, "stop", LIMIT_S) == "stopped"
    control.remove_files(paths, Deadline(LIMIT_S))
    assert os.listdir(os.path.dirname(base)) == ["ipvs-pool-dns.spec.attributes"]
    assert Path(f"{base}.spec.attributes").read_text().splitlines() == ["healthy-dns 2", "healthy-dns 5.0"]
    with pytest.raises(NoDaemon):
        ask(paths.socket, "monitor", LIMIT_S)


def test_a_daemon_whose_files_are_removed_ends(base: str) -> None:
    """It would go on for ever, beside the next one, and undo what that one does."""
    number = pid(spawn(base))
    shutil.rmtree(os.path.dirname(base))
    eventually(lambda: not is_alive(number), "it has ended")
    assert ask(spawn(base).socket, "monitor", LIMIT_S) == "running"


def is_alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("by", ["the next daemon", "a stop"])
def test_commands_of_a_daemon_that_was_killed_are_ended(base: str, tmp_path: Path, by: str) -> None:
    command, begun, children = tmp_path / "check", tmp_path / "begun", tmp_path / "children"
    command.write_text(
        f"#!/bin/sh\nmkdir {begun} && exit 0\n"  # the first verdict
        f"sleep 1000 & env -i sleep 1000 & setsid sleep 1000 & jobs -p >{children}.new; echo $$ >>{children}.new\n"
        f"mv {children}.new {children}; wait\n"
    )
    command.chmod(0o755)
    check = CheckSettings("external", interval=0.2, timeout=LIMIT_S, command=str(command))
    paths, spec = Paths(base), pool(reals="10.0.0.11", check=check)
    stranger = subprocess.Popen(["sleep", "1000"], env={"OCF_ANYCAST_POOL": f"{base}-2"})
    try:
        control.spawn(paths, spec, Deadline(LIMIT_S))
        eventually(children.exists, "a command runs")
        left = [int(word) for word in children.read_text().split()]
        assert len(left) == 4
        os.kill(pid(paths), 9)
        assert all(map(is_alive, left))
        if by == "the next daemon":
            control.spawn(paths, pool(), Deadline(LIMIT_S))
        else:
            control.kill(paths, Deadline(LIMIT_S))
        eventually(lambda: not any(map(is_alive, left)), "they are gone")
        assert stranger.poll() is None, "another pool's"
    finally:
        stranger.kill()
        stranger.wait()


def test_nobody_alive(base: str) -> None:
    paths = spawn(base, "off")
    answer = ask(paths.socket, "monitor", LIMIT_S)
    assert answer.startswith(
        "degraded no backend of udp/192.0.2.53:53 is alive: 10.0.0.11:53 is switched off"
    )


def test_a_reason_has_an_end(base: str) -> None:
    paths = Paths(base)
    many = " ".join(f"10.0.0.{n}" for n in range(1, 101))
    control.spawn(paths, pool(reals=many, check=CheckSettings("off")), Deadline(LIMIT_S))
    answer = ask(paths.socket, "monitor", LIMIT_S)
    assert answer.endswith("10.0.0.8:53 is switched off and 92 more")


def test_the_one_that_takes_over_knows_what_was_there(base: str) -> None:
    paths = spawn(base)
    control.kill(paths, Deadline(LIMIT_S))
    control.spawn(paths, pool("tcp/192.0.2.54:53", check=CheckSettings("on")), Deadline(LIMIT_S))
    assert ask(paths.socket, "version", LIMIT_S) == __version__
    assert list(map(str, read_spec(paths.spec).former)) == [], "it is gone, and another pool may have it tomorrow"


def test_one_that_cannot_start_leaves_word_of_what_was_there(base: str) -> None:
    paths = spawn(base)
    control.kill(paths, Deadline(LIMIT_S))
    with pytest.raises(OcfError, match="there is no check 'nonsense'"):
        control.spawn(paths, pool("tcp/192.0.2.54:53", check=CheckSettings("nonsense")), Deadline(LIMIT_S))
    assert list(map(str, read_spec(paths.spec).former)) == ["udp/192.0.2.53:53"]


def test_reload(base: str) -> None:
    paths = spawn(base)
    pool("udp/192.0.2.53:53 tcp/192.0.2.53:53", "10.0.0.13", CheckSettings("on")).write(paths.spec)
    assert ask(paths.socket, "reload", LIMIT_S) == "running"
    document = json.loads(ask(paths.socket, "status", LIMIT_S))
    assert [service["alive"] for service in document["virtual"]] == [1, 1]
    Path(paths.spec).write_text("{}")
    assert ask(paths.socket, "reload", LIMIT_S).startswith("failed ")
    assert ask(paths.socket, "monitor", LIMIT_S) == "running"


def test_a_reload_that_fails_is_answered_and_changes_nothing(base: str) -> None:
    paths = spawn(base)
    before = pid(paths)
    for check, said in (
        (CheckSettings("dns", name="a..b"), "failed EmptyLabel: "),
        (CheckSettings("nonsense"), "failed there is no check 'nonsense'"),
    ):
        pool("tcp/192.0.2.53:53", "10.0.0.13", check).write(paths.spec)
        assert ask(paths.socket, "reload", LIMIT_S).startswith(said)
        time.sleep(0.5)  # the table is looked at several times
        assert ask(paths.socket, "monitor", LIMIT_S) == "running"
        (service,) = json.loads(ask(paths.socket, "status", LIMIT_S))["virtual"]
        assert (service["service"], service["alive"]) == ("udp/192.0.2.53:53", 2)
        assert list(map(str, read_spec(paths.spec).virtual)) == ["udp/192.0.2.53:53"], "what the next daemon goes by"
    assert pid(paths) == before
    pool("tcp/192.0.2.53:53", "10.0.0.13", CheckSettings("on")).write(paths.spec)
    assert ask(paths.socket, "reload", LIMIT_S) == "running"


def test_a_status_that_cannot_be_written_ends_nothing(base: str) -> None:
    os.mkdir(f"{base}.status")  # nothing can be put in its place
    paths = spawn(base)
    pool(check=CheckSettings("off", port=1, interval=0.2, timeout=0.1)).write(paths.spec)
    assert ask(paths.socket, "reload", LIMIT_S) == "running"
    assert ask(paths.socket, "monitor", LIMIT_S).startswith("degraded no backend of")


def test_another_takes_the_place_of_one_that_hangs(base: str) -> None:
    paths = spawn(base)
    first = pid(paths)
    with stopped(first):
        with pytest.raises(DaemonHangs):
            ask(paths.socket, "monitor", 0.1)
        assert spawn(base).lock == paths.lock
    assert pid(paths) != first
    assert ask(paths.socket, "monitor", LIMIT_S) == "running"


def test_killed_it_is_gone_and_its_lock_with_it(base: str) -> None:
    paths = spawn(base)
    control.kill(paths, Deadline(LIMIT_S))
    with pytest.raises(NoDaemon):
        ask(paths.socket, "monitor", LIMIT_S)
    control.kill(paths, Deadline(LIMIT_S))


def test_nobody_is_killed_for_a_number_that_was_a_daemons(base: str) -> None:
    paths = Paths(base)
    other = subprocess.Popen(["sleep", str(5 * LIMIT_S)])
    Path(paths.lock).write_text(f"{other.pid}\n")  # as a daemon that was killed leaves it
    try:
        with open(paths.lock) as looking:  # as a monitor does for a moment
            fcntl.flock(looking, fcntl.LOCK_SH)
            with pytest.raises(DeadlineError):
                control.kill(paths, Deadline(0.2))
        assert other.poll() is None
        control.kill(paths, Deadline(LIMIT_S))
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_two_by_hand_are_one_too_many(base: str) -> None:
    paths = spawn(base)
    done = subprocess.run([control.HEALTHD, paths.spec], capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 1
    assert "another health daemon runs" in done.stderr
    assert ask(paths.socket, "monitor", LIMIT_S) == "running"


def test_a_start_that_cannot_be_is_explained(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OcfError, match="there is no check 'nonsense'"):
        spawn(base, "nonsense")
    broken = Path(control.HEALTHD)
    broken.write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(ServiceError, match="died while it started"):
        spawn(base)


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


def test_a_start_that_hangs_ends_at_the_deadline(base: str) -> None:
    Path(control.HEALTHD).write_text("#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(DeadlineError, match=r"first verdict on every real server, which takes up to 3 s .* raise the"):
        control.spawn(Paths(base), pool(), Deadline(0.3))
    control.kill(Paths(base), Deadline(LIMIT_S))


def test_an_answer_that_is_cut_short_is_no_answer(tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()

        def cut() -> None:
            connection, _ = server.accept()
            connection.sendall(b"runn")
            connection.close()

        thread = threading.Thread(target=cut)
        thread.start()
        with pytest.raises(NoDaemon):
            ask(str(tmp_path / "s"), "monitor", LIMIT_S)
        thread.join()


@pytest.mark.parametrize("path", ["/nonexistent/x.sock", "/tmp/no-such-socket-here.sock"])
def test_where_nobody_is(path: str) -> None:
    with pytest.raises(NoDaemon):
        ask(path, "monitor", LIMIT_S)
