"""The scripts in kernel/, which try the library on a kernel that has IPVS, run in a node that has little else."""
from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.testbed.bench import Bench

SCRIPTS = Path(__file__).parent / "kernel"
LIBRARY = "/usr/lib/ocf/lib/anycast"


@pytest.mark.parametrize(("script", "arguments"), [("ipvs_roundtrip.py", f"{LIBRARY} 10"), ("pool_lifecycle.py", "")])
def test_script(bench: Bench, script: str, arguments: str) -> None:
    bench.node.put(f"/root/{script}", (SCRIPTS / script).read_text())
    result = bench.node.run(f"modprobe -a ip_vs; unshare --net python3 /root/{script} {arguments}", timeout=300)
    assert result.rc == 0, f"{result.out[-3000:]}\n{result.err[-3000:]}"


def test_every_script_is_run() -> None:
    run = {mark.args[1][index][0] for mark in test_script.pytestmark for index in range(len(mark.args[1]))}  # type: ignore[attr-defined]
    assert run == {path.name for path in SCRIPTS.glob("*.py")}
