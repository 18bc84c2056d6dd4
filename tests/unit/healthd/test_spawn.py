"""What a daemon gets from the action that starts it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ocfpy.healthd import lifecycle
from ocfpy.healthd.client import Node
from ocfpy.ocf.deadline import Deadline
from ocfpy.ocf.errors import OcfError
from ocfpy.ocf.log import Log

PROGRAM = f"""#!{sys.executable} -IS
import os, sys
with open(sys.argv[1] + "/environ", "w") as file:
    print(*(f"{{name}}={{value}}" for name, value in os.environ.items()), sep="\\n", file=file)
os.write(int(sys.argv[3]), b"1 seen\\n")
"""
"""Says what it has been given, and that it does not start."""


def test_no_parameter_is_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there every process of the same user can read, for as long as the daemon runs: check_secret is a parameter."""
    healthd = tmp_path / "healthd"
    healthd.write_text(PROGRAM)
    healthd.chmod(0o755)
    monkeypatch.setattr(lifecycle, "HEALTHD", str(healthd))
    monkeypatch.setenv("OCF_RESKEY_check_secret", "hush")
    monkeypatch.setenv("OCF_RESKEY_CRM_meta_timeout", "60000")
    monkeypatch.setenv("HA_LOGFACILITY", "none")
    with pytest.raises(OcfError, match=r"^seen$"):
        lifecycle.ensure_daemon(Node(str(tmp_path)), Deadline(20), Log("test", "", {"HA_LOGFACILITY": "none"}))
    environ = (tmp_path / "environ").read_text()
    assert "hush" not in environ
    assert "OCF_RESKEY_" not in environ
    assert "HA_LOGFACILITY=none" in environ.splitlines(), "what the log is set up by stays"
