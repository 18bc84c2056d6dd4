"""An installed tree to run the agents from, and a sandbox for every test."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ocfpy.testkit import Executor, Sandbox

from tests.conformance.subjects import PROVIDER, SUBJECTS, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
HIDE = ("/usr/lib/frr", "/etc/anycast", "/etc/frr")


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """/usr/lib/ocf as on a node with the suite, and the sample agent; OCF_STAGE names another tree."""
    stage = os.environ.get("OCF_STAGE")
    if not stage:
        subprocess.run(["make", "--no-print-directory", "-s", "stage"], cwd=ROOT, check=True)
        stage = str(ROOT / "build/stage")
    tree = tmp_path_factory.mktemp("conformance") / "ocf"
    shutil.copytree("/usr/lib/ocf", tree, symlinks=True)
    shutil.copytree(f"{stage}/usr/lib/ocf", tree, symlinks=True, dirs_exist_ok=True)
    shutil.copy2(HERE / "sample", tree / "resource.d" / PROVIDER / "sample")
    return tree


@pytest.fixture(scope="session")
def binds(tree: Path) -> dict[str, str]:
    """What a sandbox needs so that the suite is installed in it, and FRR is not."""
    vtysh = {"/dev/null": "/usr/bin/vtysh"} if Path("/usr/bin/vtysh").exists() else {}
    return {str(tree): "/usr/lib/ocf", **vtysh}


@pytest.fixture
def sandbox(binds: dict[str, str]) -> Iterator[Sandbox]:
    with Sandbox(binds, HIDE) as sandbox:
        yield sandbox


@pytest.fixture(params=SUBJECTS, ids=str)
def subject(request: pytest.FixtureRequest) -> Subject:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def agent(sandbox: Sandbox, subject: Subject) -> Executor:
    return Executor(sandbox, subject.path, subject.params)
