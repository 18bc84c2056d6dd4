"""What a monitor imports, and the bundles that spare it the search: used when they are exact, never otherwise."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ocfpy.ocf.bundle import DISPATCH, imported_by, path_of, write

from tests.unit.agents.launchers import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[3]
PYTHON = "/usr/bin/python3"
VIP = "ocfpy.agents.anycast_vip:AnycastVip"

COMMON = {
    "", "agents", "ocf", "ocf.addresses", "ocf.agent", "ocf.codes", "ocf.context", "ocf.deadline",
    "ocf.declaration", "ocf.dispatch", "ocf.errors", "ocf.lifecycle", "ocf.parameters", "ocf.state", "ocf.values",
}  # fmt: skip
MONITORS = {
    "ocfpy.agents.anycast_vip:AnycastVip": {
        "agents.anycast_vip", "ipvs", "ipvs.gate", "ipvs.model", "ipvs.proc", "net", "net.loopback", "net.netlink",
        "net.prefixes",
    },
    "ocfpy.agents.bgp_announce:BgpAnnounce": {
        "agents.bgp_announce", "agents.bgp_announce_gate", "agents.bgp_announce_journal", "agents.bgp_announce_judgement",
        "agents.bgp_announce_parameters", "bgp", "bgp.announcer", "bgp.answer", "bgp.choice", "bgp.errors", "bgp.json_reply",
        "bgp.neighbor", "bgp.process", "bgp.route", "bgp.vty", "healthd", "healthd.client", "healthd.gate_files",
        "net", "net.loopback", "net.netlink", "net.prefixes", "ocf.process",
    },
    "ocfpy.agents.ipvs_pool:IpvsPool": {
        "agents.ipvs_pool", "agents.ipvs_pool_build", "agents.ipvs_pool_check_parameters", "agents.ipvs_pool_config",
        "agents.ipvs_pool_parameters", "agents.ipvs_pool_validation", "checks", "checks.expect", "checks.registry",
        "checks.secretfile", "healthd", "healthd.client", "ipvs", "ipvs.model", "ipvs.presence", "ipvs.proc",
        "ipvs.refusals", "pool", "pool.backends",
    },
    "ocfpy.agents.ipvs_sync:IpvsSync": {
        "agents.ipvs_sync", "ipvs", "ipvs.model", "ipvs.proc", "net", "net.multicast",
    },
}  # fmt: skip
"""All that each agent's monitor may import of the library: a module more costs every monitor 10 system calls without a bundle."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library with its programs, as it is installed."""
    library = tmp_path_factory.mktemp("installed") / "anycast"
    shutil.copytree(ROOT / "lib", library, ignore=shutil.ignore_patterns("__pycache__"))
    for program in ("bin/agent", "bin/bundle"):
        shutil.copy2(ROOT / program, library)
    shutil.copy2(ROOT / "agents/table", library / "agents")
    subprocess.run([library / "bundle"], check=True)
    return library


@pytest.fixture
def library(installed: Path, tmp_path: Path) -> Path:
    """One to be changed, with a bundle of its own."""
    library = tmp_path / "anycast"
    shutil.copytree(installed, library, ignore=shutil.ignore_patterns("bundles"))
    write(str(library), VIP.partition(":")[0], str(library))
    return library


def monitor(library: Path, agent: str, tmp_path: Path) -> tuple[int, set[str]]:
    """A probe's exit code, and the modules that import has searched for and run."""
    environ = {"HA_RSCTMP": str(tmp_path / "run"), "OCF_RESKEY_ip": "192.0.2.53", "HA_LOGFACILITY": "none"}
    argv = [PYTHON, "-IS", "-X", "importtime", str(library / "agent"), agent, "monitor"]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, set(re.findall(r"^import time:.*\| +(\S+)$", done.stderr, re.MULTILINE))



@pytest.mark.parametrize("agent", sorted(MONITORS))
def test_a_monitor_imports_no_module_more(agent: str) -> None:
    expected = {f"ocfpy.{name}".rstrip(".") for name in COMMON | MONITORS[agent]}
    assert set(imported_by(str(ROOT / "lib"), (DISPATCH, agent.partition(":")[0]))) == expected


def test_the_list_is_what_import_does(installed: Path, tmp_path: Path) -> None:
    library = tmp_path / "anycast"
    shutil.copytree(installed, library, ignore=shutil.ignore_patterns("bundles"))
    for agent in MONITORS:
        _, modules = monitor(library, agent, tmp_path)
        ours = {name for name in modules if name.startswith("ocfpy")}
        assert ours == set(imported_by(str(library), (DISPATCH, agent.partition(":")[0])))


def test_each_agent_has_a_bundle(installed: Path) -> None:
    assert set(CLASSES.values()) == set(MONITORS)
    bundles = {str(path) for path in (installed / "bundles").iterdir()}
    assert bundles == {path_of(str(installed), agent.partition(":")[0]) for agent in MONITORS}


@pytest.mark.parametrize("agent", sorted(MONITORS))
def test_with_a_bundle_nothing_is_imported_from_files(agent: str, installed: Path, tmp_path: Path) -> None:
    code, modules = monitor(installed, agent, tmp_path)
    without = tmp_path / "anycast"
    shutil.copytree(installed, without, ignore=shutil.ignore_patterns("bundles"))
    assert code == monitor(without, agent, tmp_path)[0]
    assert {name for name in modules if name.startswith("ocfpy")} == set()
    assert modules.isdisjoint({"__future__", "struct"})


def spoil_edited(library: Path) -> None:
    with (library / "ocfpy/ocf/codes.py").open("a") as file:
        file.write("# edited\n")


def spoil_touched(library: Path) -> None:
    os.utime(library / "ocfpy/ocf/codes.py", (1, 1))


def spoil_gone(library: Path) -> None:
    """Like a module that moved in an upgrade: the files count, not the bundle."""
    (library / "ocfpy/ocf/values.py").rename(library / "ocfpy/ocf/former.py")
    for path in (library / "ocfpy").rglob("*.py"):
        path.write_text(path.read_text().replace("ocfpy.ocf.values", "ocfpy.ocf.former"))


def spoil_moved(library: Path) -> None:
    """Written for another place: the paths in a traceback would be another library's."""
    write(str(library), VIP.partition(":")[0], "/usr/lib/elsewhere")


def bundle_of(library: Path) -> Path:
    return Path(path_of(str(library), "ocfpy.agents.anycast_vip"))


def spoil_other_python(library: Path) -> None:
    """Not even unmarshalled: what follows the magic number would do something else."""
    content = bundle_of(library).read_bytes()
    assert content.startswith(MAGIC_NUMBER)
    bundle_of(library).write_bytes(bytes([MAGIC_NUMBER[0] ^ 1]) + content[1:])


def spoil_empty(library: Path) -> None:
    bundle_of(library).write_bytes(b"")


def spoil_short(library: Path) -> None:
    content = bundle_of(library).read_bytes()
    bundle_of(library).write_bytes(content[: len(content) * 3 // 4])


def spoil_headless(library: Path) -> None:
    bundle_of(library).write_bytes(bundle_of(library).read_bytes()[:1000])


def spoil_removed(library: Path) -> None:
    shutil.rmtree(library / "bundles")


SPOILS: list[Callable[[Path], None]] = [value for name, value in sorted(globals().items()) if name.startswith("spoil_")]


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__[6:])
def test_a_bundle_that_is_not_exact_is_not_used(spoil: Callable[[Path], None], library: Path, tmp_path: Path) -> None:
    assert monitor(library, VIP, tmp_path)[1].isdisjoint({DISPATCH, "ocfpy"})
    spoil(library)
    code, modules = monitor(library, VIP, tmp_path)
    assert code == 7
    assert {DISPATCH, "ocfpy", "ocfpy.agents.anycast_vip"} <= modules


def test_lines_and_files_of_a_traceback_are_the_sources(library: Path, tmp_path: Path) -> None:
    source = library / "ocfpy/net/loopback.py"
    source.write_text(f"{source.read_text()}\n\ndef _fail():\n    raise LookupError('here')\n")
    main = library / "ocfpy/agents/anycast_vip.py"
    main.write_text(f"{main.read_text()}\n\nfrom ocfpy.net.loopback import _fail\nAnycastVip.observe = lambda *_: _fail()\n")
    write(str(library), VIP.partition(":")[0], str(library))
    trace = tmp_path / "trace"
    environ = {"HA_RSCTMP": str(tmp_path), "OCF_RESKEY_ip": "192.0.2.53", "OCF_TRACE_RA": "1", "OCF_TRACE_FILE": str(trace)}
    done = subprocess.run([PYTHON, "-IS", library / "agent", VIP, "monitor"], env=environ, capture_output=True, text=True)
    assert done.returncode == 1
    line = len(source.read_text().splitlines())
    assert re.search(rf"_fail:{line}: raise LookupError\('here'\)", trace.read_text())
