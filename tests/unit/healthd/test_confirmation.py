"""What a daemon confirms to the launchers: true while it works, and not believed once it is stopped, killed or hangs."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ocfpy.agents.ipvs_pool import IpvsPool
from ocfpy.checks.settings import CheckSettings
from ocfpy.healthd import confirmation, lifecycle, pool_control
from ocfpy.healthd.client import Node, Paths
from ocfpy.healthd.confirmation import RunningMark
from ocfpy.ocf import shortcut
from ocfpy.ocf.context import Context
from ocfpy.ocf.deadline import Deadline

from tests.unit.agents.launchers import launcher
from tests.unit.healthd.samples import pool
from tests.unit.healthd.test_daemon import LIMIT_S, ON, PLAYED, eventually, kill, pid, start, stop, stopped

ASKED = 77
"""What the interpreter's stand-in answers."""
HANGS_ON_SIGNAL = "import signal, time\nsignal.signal(signal.SIGUSR1, lambda *_: time.sleep(3600))\n"
OFF = CheckSettings("off", interval=0.2, timeout=0.1)


class Launched:
    """The launcher of a pool's agent, and a stand-in for the interpreter."""

    def __init__(self, directory: Path, paths: Paths) -> None:
        self._path = directory / "resource.d/anycast/ipvs-pool"
        self._path.parent.mkdir(parents=True)
        self._path.write_text(launcher("ipvs-pool"))
        self._path.chmod(0o755)
        (directory / "lib/anycast").mkdir(parents=True)
        (directory / "lib/anycast/agent").write_text(f"import os\nos._exit({ASKED})\n")
        self._environ = {
            "HA_RSCTMP": os.path.dirname(paths.node.directory),
            "OCF_RESOURCE_INSTANCE": paths.key,
            "OCF_RESOURCE_PROVIDER": "anycast",
            "OCF_RESKEY_CRM_meta_interval": "10000",
            "OCF_RESKEY_virtual": "udp/192.0.2.53:53",
        }
        self._agent = IpvsPool(Context(["", "monitor"], self._environ, "ipvs-pool"), lenient=True)
        self._agent.context.state.write({})
        self.note()

    def note(self) -> None:
        """Do what a monitor does at its end that has found the pool running."""
        shortcut.write(self._agent, self._agent.shortcut_facts())

    def takes_an_interpreter(self) -> bool:
        code = subprocess.run([self._path, "monitor"], env=self._environ, timeout=LIMIT_S).returncode
        assert code in (0, ASKED)
        return code == ASKED


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    """Where the daemon's files are. It hangs at a SIGUSR1, and is killed in the end."""
    healthd = tmp_path / "healthd"
    healthd.write_text(PLAYED.replace("\nimport sys\n", f"\nimport sys\n{HANGS_ON_SIGNAL}", 1))
    healthd.chmod(0o755)
    monkeypatch.setattr(lifecycle, "HEALTHD", str(healthd))
    monkeypatch.setenv("HA_LOGFACILITY", "none")
    node = Node(str(tmp_path / "run/anycast"))
    os.makedirs(node.directory)
    yield node
    kill(node)


@pytest.fixture
def running(tmp_path: Path, node: Node) -> Launched:
    """The launcher of a running pool whose daemon has begun to confirm."""
    launched = Launched(tmp_path, start(node))
    eventually(lambda: not launched.takes_an_interpreter(), "the daemon confirms that the pool runs")
    return launched


def test_a_working_daemon_goes_on_to_confirm(node: Node, running: Launched) -> None:
    first = Path(node.alive).read_text()
    eventually(lambda: Path(node.alive).read_text() != first, "it is confirmed again")
    eventually(lambda: not running.takes_an_interpreter(), "the pool still runs")


def test_a_daemon_that_is_stopped_or_killed_is_noticed_at_once(node: Node, running: Launched) -> None:
    number = pid(node)
    with stopped(number):
        eventually(lambda: Path(f"/proc/{number}/stat").read_text().rpartition(") ")[2][0] == "T", "it is stopped")
        assert running.takes_an_interpreter()
    eventually(lambda: not running.takes_an_interpreter(), "it goes on")
    kill(node)
    assert running.takes_an_interpreter()
    start(node)
    assert pid(node) != number
    eventually(lambda: not running.takes_an_interpreter(), "the next one confirms")


def test_a_daemon_that_hangs_is_not_believed_for_longer_than_its_word_counts(node: Node, running: Launched) -> None:
    os.kill(pid(node), signal.SIGUSR1)
    eventually(running.takes_an_interpreter, "its word counts no more")
    since, until = map(int, Path(node.alive).read_text().split()[3:])
    assert until - since == confirmation.VALID_S * 100
    assert confirmation.uptime() > until
    assert running.takes_an_interpreter()


def test_what_is_worse_than_running_takes_an_interpreter_at_once(node: Node, running: Launched) -> None:
    paths = node.pool("dns")
    pool(check=OFF).write(paths.wanted)
    pool_control._request(paths, "reload", "a pool without a live backend", Deadline(LIMIT_S))
    eventually(lambda: not os.path.exists(paths.running), "the mark goes")
    assert running.takes_an_interpreter()
    pool(check=ON).write(paths.wanted)
    pool_control._request(paths, "reload", "a pool that is alive again", Deadline(LIMIT_S))
    eventually(lambda: not running.takes_an_interpreter(), "it runs again")


def test_a_fault_of_the_pool_takes_an_interpreter_at_once(node: Node, running: Launched) -> None:
    paths = node.pool("dns")
    pool(reals="10.0.0.66", check=ON).write(paths.wanted)
    with pytest.raises(Exception, match="a fault that was not thought of"):
        pool_control._request(paths, "reload", "a pool whose table raises", Deadline(LIMIT_S))
    assert not os.path.exists(paths.running)
    assert running.takes_an_interpreter()


def test_marks_of_pools_that_the_daemon_does_not_run_are_removed(node: Node, running: Launched) -> None:
    stray = Path(node.pool("web").running)
    stray.touch()
    eventually(lambda: not stray.exists(), "the mark is removed")
    eventually(lambda: not running.takes_an_interpreter(), "the mark of the pool stays")


def test_a_stop_leaves_nothing_of_it(node: Node, running: Launched) -> None:
    stop(node.pool("dns"))
    eventually(lambda: not os.path.exists(node.alive), "the daemon has ended")
    assert running.takes_an_interpreter()
    assert not [name for name in os.listdir(node.directory) if name.endswith((".running", ".alive"))]


def test_a_stop_without_a_daemon_leaves_nothing_of_it(node: Node, running: Launched) -> None:
    kill(node)
    stop(node.pool("dns"))
    assert not [name for name in os.listdir(node.directory) if name.endswith((".running", ".alive"))]


def test_a_mark_that_cannot_be_removed_is_an_error(tmp_path: Path) -> None:
    paths = Node(str(tmp_path)).pool("dns")
    mark = RunningMark(paths)
    mark.set("running")
    assert os.path.exists(paths.running)
    os.unlink(paths.running)
    os.mkdir(paths.running)
    with pytest.raises(OSError, match="running"):
        mark.set("degraded no backend")


def test_a_mark_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    mark = RunningMark(Node(str(tmp_path / "gone")).pool("dns"))
    mark.set("running")
    mark.set("failed")
    assert not (tmp_path / "gone").exists()
