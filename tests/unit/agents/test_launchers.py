"""The launchers: when one answers by itself, and each reason to start an interpreter instead."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest
from ocfpy import __version__
from ocfpy.agents.anycast_vip import AnycastVip
from ocfpy.healthd.confirmation import uptime
from ocfpy.ipvs.excerpt import excerpt, pattern_of
from ocfpy.ocf import shortcut
from ocfpy.ocf.addresses import parse_address

from tests.unit.agents.launchers import CLASSES, launcher
from tests.unit.ipvs.test_proc import HEADING

LIMIT_S = 20.0
ASKED = 77
"""What the interpreter's stand-in answers."""
ADDRESS = "address lo 127.0.0.1/8"
TABLE = (
    HEADING
    + """\
TCP  C0000235:0035 wlc persistent 300 FFFFFFFF
  -> 0A00000B:0035      Route   1      0          7         
  -> 0A00000C:0035      Route   10     12         0         
TCP  C0000236:0050 wlc  
  -> 0A00000B:0050      Masq    1      0          0         
UDP  C0000235:0035 mh  
FWM  00000007 wlc ops 
  -> [2001:0db8:0000:0000:0000:0000:0000:0011]:0000      Route   1      0          0         
"""  # noqa: W291
)


class Installed:
    """A launcher with a note, a pool's files and a daemon, which is this process; the interpreter is a stand-in."""

    def __init__(self, directory: Path, agent: str) -> None:
        self.path = directory / "resource.d/anycast" / agent
        self.path.parent.mkdir(parents=True)
        self.table = directory / "ip_vs"
        self.path.write_text(launcher(agent).replace("/proc/net/ip_vs", str(self.table)))
        self.path.chmod(0o755)
        library = directory / "lib/anycast"
        library.mkdir(parents=True)
        (library / "agent").write_text(f"import os, sys\nprint(*sys.argv[1:], flush=True)\nos._exit({ASKED})\n")
        self.rundir = directory / "run/anycast"
        self.rundir.mkdir(parents=True)
        self.base = f"{self.rundir}/{agent}-dns"
        self.environ = {
            "HA_RSCTMP": str(directory / "run"),
            "OCF_RESOURCE_INSTANCE": "dns:1",
            "OCF_RESKEY_CRM_meta_interval": "10000",
            "OCF_RESKEY_ip": "192.0.2.53",
            "OCF_RESKEY_virtual": "udp/192.0.2.53:53",
        }
        self.agent = agent
        self.under: list[str] = []
        Path(f"{self.base}.state").touch()

    def note(self, *facts: str, version: str = __version__) -> None:
        """Write the note of a monitor with the parameters as they are."""
        from ocfpy.ocf import manpage

        names = shortcut.names(manpage.load(CLASSES[self.agent]))
        given = [self.environ.get(f"OCF_RESKEY_{name}", "") for name in names]
        Path(f"{self.base}.shortcut").write_text("\n".join(("\t".join((version, *given)), *facts, "good", "")))

    def confirm(self, pid: int = 0, start: str = "", version: str = __version__, since: int = 0, until: int = 6000) -> None:
        """Be the daemon that confirms a running pool; times are hundredths of a second from now."""
        pid = pid or os.getpid()
        start = start or Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[19]
        now = uptime()
        Path(f"{self.base}.running").touch()
        (self.rundir / "healthd.alive").write_text(f"{pid} {start} {version} {now + since} {now + until}\n")

    def run(self, *arguments: str) -> int:
        """The exit code; AssertionError when anything but the stand-in says something."""
        argv = [*self.under, str(self.path), *arguments]
        done = subprocess.run(argv, env=self.environ, capture_output=True, text=True, timeout=LIMIT_S)
        expected = f"{CLASSES[self.agent]} {' '.join(arguments)}\n" if done.returncode == ASKED else ""
        assert (done.stdout, done.stderr) == (expected, "")
        return done.returncode

    def monitor(self) -> int:
        return self.run("monitor")


@pytest.fixture
def pool(tmp_path: Path) -> Installed:
    """A pool that a daemon confirms."""
    installed = Installed(tmp_path, "ipvs-pool")
    installed.note("daemon")
    installed.confirm()
    return installed


@pytest.fixture
def vip(tmp_path: Path) -> Installed:
    """An address that is there, with a table that has not changed."""
    installed = Installed(tmp_path, "anycast-vip")
    installed.table.write_text(TABLE)
    address = parse_address("192.0.2.53")
    installed.note(ADDRESS, f"table {pattern_of(address, False)}", *excerpt(TABLE, address, False))
    return installed


def test_a_running_pool_takes_no_interpreter(pool: Installed) -> None:
    assert pool.monitor() == 0


def test_an_address_that_is_as_it_was_takes_no_interpreter(vip: Installed) -> None:
    assert vip.monitor() == 0
    connections = TABLE.replace("0          7  ", "230        4711").replace("12         0", "0          1")
    assert connections != TABLE
    vip.table.write_text(connections)
    assert vip.monitor() == 0, "connections come and go"
    vip.table.write_text(TABLE.replace("Masq    1", "Masq    0"))
    assert vip.monitor() == 0, "another address"
    vip.note(ADDRESS)
    assert vip.monitor() == 0, "gate=none"


@pytest.mark.parametrize("action", ["start", "stop", "reload-agent", "migrate_to", "validate-all", ""])
def test_everything_but_a_monitor_takes_an_interpreter(pool: Installed, action: str) -> None:
    assert pool.run(*action.split(), "more words") == ASKED


@pytest.mark.parametrize("agent", sorted(CLASSES))
def test_without_a_note_there_is_no_shortcut(agent: str, tmp_path: Path) -> None:
    installed = Installed(tmp_path, agent)
    installed.confirm()
    assert installed.monitor() == ASKED


@pytest.mark.parametrize("agent", sorted(CLASSES))
def test_metadata_is_a_file(agent: str, tmp_path: Path) -> None:
    installed = Installed(tmp_path, agent)
    (tmp_path / "lib/anycast/metadata").mkdir()
    (tmp_path / f"lib/anycast/metadata/{agent}.xml").write_text("<resource-agent/>\n")
    assert subprocess.run([installed.path, "meta-data"], capture_output=True, text=True).stdout == "<resource-agent/>\n"


ENVIRONMENTS = {
    "probe": {"OCF_RESKEY_CRM_meta_interval": None},
    "probe of ocf-tester": {"OCF_RESKEY_CRM_meta_interval": "0"},
    "interval that is no number": {"OCF_RESKEY_CRM_meta_interval": "10s"},
    "check level": {"OCF_CHECK_LEVEL": "10"},
    "check level as a parameter": {"OCF_RESKEY_OCF_CHECK_LEVEL": "10"},
    "check level that is no number": {"OCF_CHECK_LEVEL": "deep"},
    "trace": {"OCF_TRACE_RA": "1"},
    "trace as a parameter": {"OCF_RESKEY_trace_ra": "1"},
    "unique clone": {"OCF_RESKEY_CRM_meta_globally_unique": "true"},
    "no name": {"OCF_RESOURCE_INSTANCE": None},
    "another name": {"OCF_RESOURCE_INSTANCE": "web"},
    "name of a path": {"OCF_RESOURCE_INSTANCE": "../anycast/ipvs-pool-dns"},
    "another run directory": {"HA_RSCTMP": "/nonexistent"},
    "another value": {"OCF_RESKEY_virtual": "udp/192.0.2.54:53"},
    "a value more": {"OCF_RESKEY_check": "dns"},
    "a value less": {"OCF_RESKEY_virtual": None},
    "a value moved": {"OCF_RESKEY_virtual": None, "OCF_RESKEY_config": "udp/192.0.2.53:53"},
    "two values in one": {"OCF_RESKEY_virtual": "udp/192.0.2.53:53\t"},
    "a value with a line break": {"OCF_RESKEY_virtual": "udp/192.0.2.53:53\nx"},
}


@pytest.mark.parametrize("change", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_what_pacemaker_asks_otherwise_takes_an_interpreter(pool: Installed, change: dict[str, str | None]) -> None:
    assert pool.monitor() == 0
    changed = {**pool.environ, **change}
    pool.environ = {name: value for name, value in changed.items() if value is not None}
    assert pool.monitor() == ASKED


@pytest.mark.parametrize(
    "same",
    [
        {"OCF_CHECK_LEVEL": "0"},
        {"OCF_RESOURCE_INSTANCE": "dns"},
        {"OCF_RESOURCE_INSTANCE": "dns:12"},
        {"OCF_RESKEY_CRM_meta_globally_unique": "false"},
        {"OCF_RESKEY_CRM_meta_timeout": "5000"},
        {"PATH": "/nonexistent"},
        {"now": "1", "IFS": "a", "line": "x", "key": "y"},
        {"OCF_RESKEY_unknown": "x"},
    ],
    ids=str,
)
def test_what_makes_no_difference(pool: Installed, same: dict[str, str]) -> None:
    pool.environ.update(same)
    assert pool.monitor() == 0


FILES: dict[str, Callable[[Installed], object]] = {
    "no record": lambda pool: os.unlink(f"{pool.base}.state"),
    "no note": lambda pool: os.unlink(f"{pool.base}.shortcut"),
    "empty note": lambda pool: Path(f"{pool.base}.shortcut").write_text(""),
    "note without its end": lambda pool: Path(f"{pool.base}.shortcut").write_text(
        Path(f"{pool.base}.shortcut").read_text().replace("good\n", "")
    ),
    "note of another version": lambda pool: pool.note("daemon", version="0.0.9"),
    "unknown fact": lambda pool: pool.note("weather fine", "daemon"),
    "pool that is not running": lambda pool: os.unlink(f"{pool.base}.running"),
    "no daemon": lambda pool: (pool.rundir / "healthd.alive").unlink(),
    "empty file of the daemon": lambda pool: (pool.rundir / "healthd.alive").write_text(""),
    "daemon that says nothing any more": lambda pool: pool.confirm(since=-300, until=-100),
    "daemon of another time": lambda pool: pool.confirm(since=100),
    "daemon of another version": lambda pool: pool.confirm(version="0.0.9"),
    "number of a process that is gone": lambda pool: pool.confirm(pid=4194305, start="1"),
    "number of another process": lambda pool: pool.confirm(start="1"),
    "no number": lambda pool: pool.confirm(pid=1, start="x", version="y"),
    "another network namespace": lambda pool: pool.under.extend(["unshare", "--net"]),
}  # fmt: skip


@pytest.mark.parametrize("spoil", FILES.values(), ids=FILES)
def test_a_pool_that_is_not_confirmed_takes_an_interpreter(pool: Installed, spoil: Callable[[Installed], object]) -> None:
    spoil(pool)
    assert pool.monitor() == ASKED


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that could be the daemon; its name has a parenthesis and blanks in it."""
    program = "import time; open('/proc/self/comm', 'w').write('a) Z (b'); print(flush=True); time.sleep(60)"
    with subprocess.Popen(["/usr/bin/python3", "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


@pytest.mark.parametrize(("number", "state"), [(signal.SIGSTOP, "T"), (signal.SIGKILL, "Z")])
def test_a_daemon_that_was_stopped_or_killed_counts_no_more(
    pool: Installed, process: subprocess.Popen[bytes], number: signal.Signals, state: str
) -> None:
    pool.confirm(pid=process.pid)
    assert pool.monitor() == 0
    process.send_signal(number)
    end = time.monotonic() + LIMIT_S
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2][0] != state:
        assert time.monotonic() < end
    assert pool.monitor() == ASKED


TABLES = {
    "weight 0": TABLE.replace("Route   10 ", "Route   0  "),
    "another weight": TABLE.replace("Route   10 ", "Route   1  "),
    "server gone": TABLE.replace("  -> 0A00000C:0035      Route   10     12         0         \n", ""),
    "server more": TABLE.replace("UDP  C0000235:0035 mh  \n", "UDP  C0000235:0035 mh  \n" + TABLE.splitlines()[4] + "\n"),
    "service gone": TABLE.replace("UDP  C0000235:0035 mh  \n", ""),
    "service more": TABLE + "SCTP  C0000235:0035 wlc  \n",
    "another scheduler": TABLE.replace("wlc persistent", "rr persistent"),
    "empty": HEADING,
    "nothing": "",
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_table_that_changed_takes_an_interpreter(vip: Installed, table: str) -> None:
    assert table != TABLE
    vip.table.write_text(table)
    assert vip.monitor() == ASKED


def test_no_ipvs_takes_an_interpreter(vip: Installed) -> None:
    vip.table.unlink()
    assert vip.monitor() == ASKED


@pytest.mark.parametrize(
    "fact", ["address lo 192.0.2.53/32", "address lo 127.0.0.1/32", "address nosuch0 127.0.0.1/8", "address"]
)
def test_an_address_that_is_not_there_takes_an_interpreter(vip: Installed, fact: str) -> None:
    vip.note(fact)
    assert vip.monitor() == ASKED


@pytest.mark.parametrize("with_marks", [False, True])
@pytest.mark.parametrize("ip", ["192.0.2.53", "192.0.2.54", "2001:db8::53"])
def test_the_excerpt_is_the_same_by_both(vip: Installed, ip: str, with_marks: bool) -> None:
    table = TABLE + "UDP  [2001:0db8:0000:0000:0000:0000:0000:0053]:0035 rr \n" + TABLE.splitlines()[4] + "\n"
    vip.table.write_text(table)
    address = parse_address(ip)
    lines = excerpt(table, address, with_marks)
    vip.note(ADDRESS, f"table {pattern_of(address, with_marks)}", *lines)
    assert vip.monitor() == 0
    assert len([line for line in lines if not line.startswith(" ")]) == (2 if ip == "192.0.2.53" else 1) + with_marks
    vip.note(ADDRESS, f"table {pattern_of(address, with_marks)}", *lines, "TCP")
    assert vip.monitor() == ASKED


def test_a_parameter_that_no_shell_takes() -> None:
    class Odd(AnycastVip):
        pass

    parameter = AnycastVip.parameters()[0]
    setattr(Odd, "odd-one", type(parameter)("", ""))
    getattr(Odd, "odd-one").name = "odd-one"
    with pytest.raises(ValueError, match="odd-one"):
        shortcut.launcher("", Odd, "odd:Odd")
