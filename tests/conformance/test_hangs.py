"""What an action waits for does not come: each answers before a timeout of 2 s, with a reason that names it."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest
from ocfpy.testkit import Executor, Sandbox

from tests.conformance.conftest import HIDE
from tests.conformance.subjects import AGENTS, SUBJECTS

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S = 2.0
PARAMS = {subject.agent: subject.params for subject in SUBJECTS}
LOG = "/run/log"
RUN = "/run/resource-agents/anycast"
LOCK = f"{RUN}/anycast-vip.lock"


def test_a_lock_that_another_process_holds(sandbox: Sandbox) -> None:
    sandbox.run("mkdir", "-m", "700", RUN)
    hold = f"(exec 9>{LOCK}; flock 9; exec sleep 60) >/dev/null 2>&1 &"
    sandbox.run("sh", "-c", f"{hold} while flock -n {LOCK} true; do sleep 0.02; done")
    vip = Executor(sandbox, f"{AGENTS}/anycast-vip", PARAMS["anycast-vip"])
    for action in ("start", "migrate_from"):
        result = vip.run_in_time(action, TIMEOUT_S)
        assert result.code == 1, result
        (reason,) = result.reasons
        assert f"waiting for the lock {LOCK}" in reason
    for action in ("stop", "monitor", "validate-all"):
        assert vip.run_in_time(action, TIMEOUT_S).code in (0, 7)


def hanging(directory: Path) -> str:
    program = directory / "hangs"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize("agent", ["ipvs-pool", "ipvs-sync"])
def test_modprobe(binds: dict[str, str], tmp_path: Path, agent: str) -> None:
    with Sandbox({**binds, hanging(tmp_path): os.path.realpath("/sbin/modprobe")}, HIDE) as sandbox:
        result = Executor(sandbox, f"{AGENTS}/{agent}", PARAMS[agent]).run_in_time("start", TIMEOUT_S)
        assert result.code == 1, result
        (reason,) = result.reasons
        assert "modprobe" in reason


def test_attrd_updater(binds: dict[str, str], tmp_path: Path) -> None:
    """stop of a pool whose daemon is gone takes its attribute back itself: it stops all the same, and the log names the tool."""
    with Sandbox({**binds, hanging(tmp_path): "/usr/sbin/attrd_updater"}, HIDE) as sandbox:
        pool = Executor(sandbox, f"{AGENTS}/ipvs-pool", PARAMS["ipvs-pool"])
        sandbox.run("mkdir", "-m", "700", RUN)
        record = r"virtual=tcp/192.0.2.53:53\nattribute=healthy-test\n"
        sandbox.run("sh", "-c", f"printf '{record}' >{RUN}/ipvs-pool-test.state")
        result = pool.run_in_time("stop", TIMEOUT_S, env={"HA_LOGFILE": LOG})
        assert (result.code, result.err) == (0, ""), result
        log = sandbox.run("cat", LOG).stdout
        assert re.search(r"WARNING: timed out after \d\.\d s waiting for `attrd_updater -n healthy-test -D` to end", log), log
        assert pool.run("monitor").code == 7
