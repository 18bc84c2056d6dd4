"""The OCF library as a wheel of its own, with types, on every Python from 3.9 on that is here; tests/lab has a newer Debian's."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.unit.packaging.test_packages import ROOT, output_of, version

# Debian's own is always there; others are tried where they are installed, and named in the test's name.
OLDEST = (3, 9)
PLACES = ["/usr/bin", "/usr/local/bin", *map(str, Path("~/.pyenv/versions").expanduser().glob("3.*/bin"))]
# The first steps with the wheel: each module imports, and the agent of the tutorial lives.
PROGRAM = """
import importlib, os, pkgutil, sys
sys.path.insert(0, sys.argv[1])
import ocfpy
assert ocfpy.__file__.startswith(sys.argv[1])
names = [module.name for module in pkgutil.walk_packages(ocfpy.__path__, "ocfpy.") if not module.name.endswith("__main__")]
for name in names:
    importlib.import_module(name)
source = open(sys.argv[2]).read().replace("/usr/lib/ocf/lib/anycast", sys.argv[1])
space = {"__name__": "webdir"}
exec(compile(source, "webdir", "exec"), space)
from ocfpy.ocf.dispatch import main
from ocfpy.ocf import manpage
agent = space["WebDir"]
environ = {"HA_RSCTMP": sys.argv[3], "OCF_RESKEY_port": str(20000 + os.getpid() % 12000), "HA_LOGFACILITY": "none"}
actions = "monitor", "validate-all", "start", "monitor", "stop", "monitor", "meta-data"
codes = [main(agent, ["webdir", action], environ) for action in actions]
manpage.render(agent)
print(sys.version.split()[0], len(names), codes, file=sys.stderr)
"""


def interpreters() -> list[str]:
    """One of each minor version, Debian's first."""
    found: dict[tuple[int, int], str] = {}
    for place in PLACES:
        for path in sorted(Path(place).glob("python3.[0-9]*")):
            match = re.fullmatch(r"python3\.(\d+)", path.name)
            if match and (3, int(match[1])) >= OLDEST:
                found.setdefault((3, int(match[1])), str(path))
    return [found[key] for key in sorted(found)]


def unpack(directory: Path) -> Path:
    """The wheel, unpacked, as installing it does; and beside it the agent of the tutorial."""
    output_of("make", "wheel")
    with zipfile.ZipFile(ROOT / f"build/packages/ocfpy-{version()}-py3-none-any.whl") as archive:
        archive.extractall(directory)
    match = re.search(r"```python\n(.*?)```", (ROOT / "docs/agent-tutorial.md").read_text(), re.DOTALL)
    assert match is not None
    (directory / "webdir").write_text(match[1])
    return directory


def first_steps(python: str, wheel: Path, rundir: Path) -> list[str]:
    """The command that takes them with an interpreter, where the unpacked wheel and a directory for its records are."""
    return [python, "-I", "-W", "error::DeprecationWarning", "-c", PROGRAM, str(wheel), str(wheel / "webdir"), str(rundir)]


def judge(argv: list[str]) -> None:
    """Take the first steps: all of them succeed."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip().endswith("[7, 0, 0, 0, 0, 7, 0]"), done.stderr
    print(done.stderr.strip())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("wheel"))


def test_holds_the_library_alone_and_its_types(wheel: Path) -> None:
    packages = {path.name for path in (wheel / "ocfpy").iterdir() if path.is_dir()}
    assert packages == {"ocf", "testkit"}
    assert (wheel / "ocfpy/py.typed").exists()
    assert (wheel / "ocfpy/ocf/ra-api-1.1.dtd").exists()
    metadata = (wheel / f"ocfpy-{version()}.dist-info/METADATA").read_text()
    assert "Requires-Python: >=3.9" in metadata
    assert "Requires-Dist" not in metadata


def test_knows_nothing_of_load_balancing(wheel: Path) -> None:
    imports = re.compile(r"^\s*(?:from|import) ocfpy\.(?!ocf\b|testkit\b)", re.MULTILINE)
    assert [path.name for path in (wheel / "ocfpy").rglob("*.py") if imports.search(path.read_text())] == []


@pytest.mark.parametrize("python", interpreters())
def test_works_isolated(wheel: Path, tmp_path: Path, python: str) -> None:
    judge(first_steps(python, wheel, tmp_path))


def test_debians_own_is_among_them() -> None:
    assert f"python3.{sys.version_info.minor}" in " ".join(interpreters())
