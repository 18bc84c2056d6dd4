"""The OCF library's wheel on the Python of the Debian that the nodes run, newer than this host's."""
from __future__ import annotations

import subprocess
from pathlib import Path

from tests.lab.testbed import rootfs, sandbox
from tests.lab.testbed.base import LAB
from tests.unit.packaging.test_wheel import first_steps, judge, unpack

INSIDE = Path(LAB, "wheel")


def test_on_the_python_of_the_nodes(tmp_path: Path) -> None:
    root = rootfs.debian_root(rootfs.find_deb())
    binds = {INSIDE.name: unpack(tmp_path)}

    def inside(*argv: str) -> list[str]:
        return ["unshare", "--net", *sandbox.argv(root, argv, binds)]

    version = subprocess.run(inside("/usr/bin/python3", "-V"), capture_output=True, text=True, check=True).stdout.split()[1]
    assert tuple(map(int, version.split(".")[:2])) >= (3, 13), version
    judge(inside(*first_steps("/usr/bin/python3", INSIDE, Path("/tmp"))))
