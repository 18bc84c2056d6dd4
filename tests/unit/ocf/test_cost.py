"""What a monitor must not import, for Pacemaker runs one for every resource every few seconds."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

LIB = Path(__file__).resolve().parents[3] / "lib"
COSTLY = {
    "argparse", "asyncio", "collections", "contextlib", "dataclasses", "enum", "functools", "ipaddress",
    "json", "logging", "pathlib", "pyroute2", "re", "select", "signal", "site", "socket", "subprocess",
    "tempfile", "traceback", "typing", "uuid",
}  # fmt: skip
PROGRAM = """
import os, sys
sys.path.insert(0, {lib!r})
from ocfpy.ocf.agent import Action, Agent, Status
from ocfpy.ocf.dispatch import main
from ocfpy.ocf.parameters import AddressParam

class Toy(Agent):
    name = version = shortdesc = longdesc = "toy"
    actions = (Action("start"),)
    ip = AddressParam("", "", required=True)
    def claim(self): return {{"ip": str(self.ip)}}
    def observe(self, claim): return Status.stopped()

code = main(Toy, ["toy", {action!r}], {{"OCF_RESKEY_ip": "192.0.2.1", "HA_RSCTMP": "/nonexistent"}})
modules = sorted(sys.modules)
import json
sys.stderr.write(json.dumps([code, modules]))
"""


@pytest.mark.parametrize(("action", "expected"), [("monitor", 7), ("meta-data", 0), ("validate-all", 0)])
def test_imports(action: str, expected: int) -> None:
    program = PROGRAM.format(lib=str(LIB), action=action)
    done = subprocess.run(
        ["/usr/bin/python3", "-IS", "-c", program], env={}, capture_output=True, text=True, check=True
    )
    code, modules = json.loads(done.stderr)
    assert code == expected
    assert COSTLY.intersection(modules) == set()
