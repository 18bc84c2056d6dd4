"""The deb and the rpm: the same files in the same places with the same rights, and none that are not ours."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from ocfpy import __version__

ROOT = Path(__file__).resolve().parent.parent.parent.parent
PROVIDER = "/usr/lib/ocf/resource.d/anycast"
LIBRARY = "/usr/lib/ocf/lib/anycast"
AGENTS = {line.split()[0] for line in (ROOT / "agents/table").read_text().splitlines()}
BUILD_LIMIT_S = 120

# What each packaging system adds of its own, and no file of the suite.
OWN_OF_DEB = re.compile(r"/usr/share/(python3/|lintian/|doc/ocf-anycast/(changelog|copyright))")
OWN_OF_RPM = re.compile(r"/usr/share/licenses/|/usr/share/doc/ocf-anycast/CHANGELOG.md$|.*/__pycache__/")  # deb: changelog.gz


def output_of(*command: str) -> str:
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=BUILD_LIMIT_S
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}"
    return done.stdout


def version() -> str:
    match = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert match is not None
    return match[1]


@pytest.fixture(scope="module")
def deb() -> str:
    """Path of the deb, as new as its sources."""
    output_of("make", "deb")
    return str(ROOT / f"build/packages/ocf-anycast_{version()}-1_all.deb")


@pytest.fixture(scope="module")
def rpm() -> str:
    """Path of the rpm, as new as its sources."""
    output_of("make", "rpm")
    return str(ROOT / f"build/packages/ocf-anycast-{version()}-1.noarch.rpm")


@pytest.fixture(scope="module")
def deb_files(deb: str) -> dict[str, str]:
    """Path -> mode, as in "-rwxr-xr-x"; without directories."""
    lines = [line.split(maxsplit=5) for line in output_of("dpkg", "--contents", deb).splitlines()]
    return {fields[5].removeprefix("."): fields[0] for fields in lines if not fields[0].startswith("d")}


@pytest.fixture(scope="module")
def rpm_files(rpm: str) -> dict[str, str]:
    lines = output_of("rpm", "-qp", "--qf", "[%{FILEMODES:perms} %{FILENAMES}\\n]", rpm).splitlines()
    pairs = [line.split(maxsplit=1) for line in lines]
    return {path: mode for mode, path in pairs if not mode.startswith("d")}


def test_same_files_in_the_same_places(deb_files: dict[str, str], rpm_files: dict[str, str]) -> None:
    ours = {path: mode for path, mode in deb_files.items() if not OWN_OF_DEB.match(path)}
    assert ours == {path: mode for path, mode in rpm_files.items() if not OWN_OF_RPM.match(path)}


def test_directory_of_drained_servers_is_there(deb: str, rpm: str) -> None:
    """So that the `touch` of the docs works on a fresh node; tmpfiles.d makes it where /var begins empty."""
    line = "d /var/lib/ocf-anycast/drained 0755 root root -"
    assert line in (ROOT / "packaging/files/tmpfiles.conf").read_text().splitlines()
    (in_deb,) = [one for one in output_of("dpkg", "--contents", deb).splitlines() if one.endswith("/ocf-anycast/drained/")]
    assert in_deb.startswith("drwxr-xr-x root/root")
    listed = output_of("rpm", "-qp", "--qf", "[%{FILEMODES:perms} %{FILENAMES}\n]", rpm).splitlines()
    assert "drwxr-xr-x /var/lib/ocf-anycast/drained" in listed


def test_provider_directory_holds_agents_only(deb_files: dict[str, str]) -> None:
    """Pacemaker takes every executable there for an agent, and people read the rest as one."""
    there = {Path(path).name: mode for path, mode in deb_files.items() if path.startswith(PROVIDER)}
    assert there == dict.fromkeys(AGENTS, "-rwxr-xr-x")


def test_everything_is_there(deb_files: dict[str, str]) -> None:
    expected = {
        f"{LIBRARY}/healthd",
        f"{LIBRARY}/ocfpy/ocf/dispatch.py",
        "/usr/sbin/anycastctl",
        "/etc/anycast/allowed-prefixes",
        "/usr/lib/tmpfiles.d/ocf-anycast.conf",
        "/usr/lib/modules-load.d/ocf-anycast.conf",
        "/usr/lib/systemd/system/resource-agents-deps.target.d/ocf-anycast.conf",
        "/usr/share/doc/ocf-anycast/cib-examples/recommended.crm",
        "/usr/share/man/man8/anycastctl.8.gz",
    }
    expected |= {f"/usr/share/man/man7/ocf_anycast_{agent}.7.gz" for agent in AGENTS}
    assert expected <= set(deb_files)
    modules = {str(path.relative_to(ROOT / "lib")) for path in (ROOT / "lib").rglob("*.py")}
    assert {path.removeprefix(f"{LIBRARY}/") for path in deb_files if path.endswith(".py")} == modules


def test_configuration_survives_an_upgrade(deb: str, rpm: str) -> None:
    assert output_of("dpkg-deb", "--info", deb, "conffiles").split() == ["/etc/anycast/allowed-prefixes"]
    assert output_of("rpm", "-qp", "--configfiles", rpm).split() == ["/etc/anycast/allowed-prefixes"]


def test_rpm_owns_no_directory_of_the_distribution(rpm: str) -> None:
    ours = re.compile(
        r"(/etc|/usr/lib/ocf/(lib|resource\.d))/anycast|/var/lib/ocf-anycast|/usr/share/(doc|licenses)/ocf-anycast|.*\.target\.d$"
    )
    lines = output_of("rpm", "-qp", "--qf", "[%{FILEMODES:perms} %{FILENAMES}\\n]", rpm).splitlines()
    directories = [line.split(maxsplit=1)[1] for line in lines if line.startswith("d")]
    assert [path for path in directories if not ours.match(path)] == []


def test_shipped_prefixes_allow_nothing() -> None:
    lines = (ROOT / "packaging/files/allowed-prefixes").read_text().splitlines()
    assert [line for line in lines if line.strip() and not line.startswith("#")] == []


def test_deb_byte_compiles_the_library(deb: str) -> None:
    assert f"py3compile -p ocf-anycast {LIBRARY}" in output_of("dpkg-deb", "--info", deb, "postinst")


def test_both_packages_write_the_bundles(deb: str, rpm: str) -> None:
    """When they are installed, and when the system gets another Python; the deb takes them away before its files change."""
    program = f"{LIBRARY}/bundle"
    assert f"configure|triggered) {program}" in output_of("dpkg-deb", "--info", deb, "postinst")
    assert f"rm -rf {LIBRARY}/bundles" in output_of("dpkg-deb", "--info", deb, "prerm")
    assert "interest-noawait /usr/bin/python3" in output_of("dpkg-deb", "--info", deb, "triggers").splitlines()
    triggers = output_of("rpm", "-qp", "--triggers", rpm)
    assert re.search(rf"triggerin .*-- python3\n{program} \|\|", triggers), triggers


REMOVED = """
mkdir bin lib lib64 dev
for directory in bin lib lib64; do mount --rbind /usr/$directory $directory; done
mount --rbind /dev dev
rpm() { command rpm --root "$PWD" --dbpath /rpm --nodeps --force-debian "$@"; }
rpm --install "$1"
python3 -m compileall -q usr/lib/ocf
python3 -IS usr/lib/ocf/lib/anycast/bundle
rpm --upgrade --force "$1"
find usr -name '*.pyc' | grep -q control
[ -s usr/lib/ocf/lib/anycast/bundles/ocfpy.agents.ipvs_pool.* ]
mkdir -p run/resource-agents/anycast
touch run/resource-agents/anycast/healthd.lock
rpm --upgrade --force "$1"
find run -name healthd.lock | grep -q .
rpm --erase ocf-anycast
find usr etc run '!' -type d
find usr/lib/ocf run/resource-agents
"""


def test_nothing_stays_when_the_rpm_is_removed(rpm: str, tmp_path: Path) -> None:
    """In a root that has the host's programs and nothing else; byte code is written as by an agent that runs as root."""
    script = f"cd {tmp_path}; {REMOVED}"
    left = output_of("unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", rpm)
    assert sorted(left.split()) == ["run/resource-agents", "usr/lib/ocf", "usr/lib/ocf/lib", "usr/lib/ocf/resource.d"]


PURGED = """
mkdir bin lib lib64
for directory in bin lib lib64; do mount --rbind /usr/$directory $directory; done
dpkg-deb --control "$1" control
mkdir -p run/resource-agents/anycast var/lib/ocf-anycast/drained
touch run/resource-agents/anycast/healthd.lock var/lib/ocf-anycast/drained/10.0.0.11
for step in remove upgrade; do
    chroot . sh /control/postrm $step
    find run var -type f | wc -l
done
touch run/resource-agents/anycast/ipvs-pool-web.state
chroot . sh /control/postrm purge 2>/dev/null
find run -type f | wc -l
rm run/resource-agents/anycast/ipvs-pool-web.state
chroot . sh /control/postrm purge
find run var '!' -type d
find run/resource-agents var/lib
"""


def test_what_was_written_stays_until_the_deb_is_purged(deb: str, tmp_path: Path) -> None:
    script = f"cd {tmp_path}; {PURGED}"
    left = output_of("unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", deb)
    assert left.split() == ["2", "2", "2", "run/resource-agents", "var/lib"], "the third with a resource that is started"


def test_lintian_has_nothing_to_say(deb: str) -> None:
    assert output_of("lintian", "--allow-root", "--fail-on=error,warning", "--no-cfg", deb) == ""


def test_one_version_everywhere() -> None:
    changelog = (ROOT / "packaging/deb/changelog").read_text()
    spec = (ROOT / "packaging/rpm/ocf-anycast.spec").read_text()
    assert __version__ == version()
    assert changelog.startswith(f"ocf-anycast ({version()}-1) ")
    assert re.search(rf"^\* .* - {re.escape(version())}-1$", spec, re.MULTILINE)


def test_nothing_is_rebuilt_without_a_change(deb: str, rpm: str) -> None:
    before = [Path(package).stat().st_mtime_ns for package in (deb, rpm)]
    output_of("make", "deb", "rpm")
    assert [Path(package).stat().st_mtime_ns for package in (deb, rpm)] == before


LAUNCHERS = {"bin/healthd": "-I", "bin/anycastctl": "-I", "bin/agent": "-IS", "bin/bundle": "-IS"}


@pytest.mark.parametrize(("path", "flags"), sorted(LAUNCHERS.items()))
def test_launchers_use_the_systems_python_alone(path: str, flags: str) -> None:
    """Isolated: neither PATH, PYTHON* nor the working directory decides what runs as root."""
    assert (ROOT / path).read_text().splitlines()[0] == f"#!/usr/bin/python3 {flags}"
