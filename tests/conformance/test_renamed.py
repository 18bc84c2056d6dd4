"""A resource that was renamed: to Pacemaker the old one stops while another one starts, with the same address."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ocfpy.testkit import Executor

from tests.conformance.subjects import AGENTS

if TYPE_CHECKING:
    from ocfpy.testkit import Sandbox

LOG = "/run/log"
LIMIT_S = 20.0
PARAMS = {"ip": "192.0.2.53/32", "gate": "none"}


def resource(sandbox: Sandbox, name: str) -> Executor:
    return Executor(sandbox, f"{AGENTS}/anycast-vip", PARAMS, instance=name)


def has_address(sandbox: Sandbox) -> bool:
    return " 192.0.2.53/32 " in sandbox.run("ip", "-o", "address", "show", "dev", "lo").stdout


def test_the_start_waits_for_the_stop(sandbox: Sandbox) -> None:
    before, after = resource(sandbox, "before"), resource(sandbox, "after")
    assert before.run("start").code == 0
    with ThreadPoolExecutor(1) as beside:
        start = beside.submit(after.run, "start", timeout_s=60.0, env={"HA_LOGFILE": LOG})
        end = time.monotonic() + LIMIT_S
        while "resource before already holds 192.0.2.53" not in sandbox.run("cat", LOG).stdout:
            assert not start.done(), start.result()
            assert time.monotonic() < end, "it never said that it waits"
        assert has_address(sandbox)
        assert before.run("stop").code == 0
        result = start.result(2 * LIMIT_S)
    assert (result.code, result.reasons) == (0, [])
    assert has_address(sandbox)
    assert before.run("monitor").code == 7
    assert before.run("stop").code == 0
    assert has_address(sandbox), "it is the other one's by now"
    assert after.run("stop").code == 0
    assert not has_address(sandbox)


def test_one_that_stays_is_named(sandbox: Sandbox) -> None:
    before, after = resource(sandbox, "before"), resource(sandbox, "after")
    assert before.run("start").code == 0
    result = after.run_in_time("start", 3.0)
    assert result.code == 1, result
    (reason,) = result.reasons
    assert "resource before already holds 192.0.2.53" in reason
    assert "s for it to stop)" in reason
    assert after.run("stop").code == 0
    assert has_address(sandbox)
