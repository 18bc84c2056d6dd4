"""What a monitor costs, held against IPaddr2's: Pacemaker runs one for every resource every few seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ocfpy import __version__
from ocfpy.agents.ipvs_pool import IpvsPool
from ocfpy.healthd.confirmation import uptime
from ocfpy.ocf import shortcut
from ocfpy.testkit import Executor

from tests.conformance.subjects import AGENTS, SUBJECTS

if TYPE_CHECKING:
    from ocfpy.testkit import Sandbox

# What answers without a bgpd. The sample is left out: it is not byte-compiled.
INSTALLED = [subject for subject in SUBJECTS if subject.agent in ("anycast-vip", "ipvs-pool", "ipvs-sync")]
IPADDR2 = "/usr/lib/ocf/resource.d/heartbeat/IPaddr2"
ROUNDS = 15
LIMIT_S = 600
# Measured: 0.36 to 0.47. The rest is for the noise of a machine that does other things as well.
WITH_INTERPRETER = 0.7
# Measured: 0.05 for a pool that its daemon confirms, 0.08 for an address.
WITHOUT_INTERPRETER = 0.25
# Processor time, children's included, hardly depends on the load; the least of several runs even less.
MEASURE = """
import json, os, resource, subprocess, sys

def spent():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime

jobs = json.loads(sys.argv[1])
costs = [[None, 60.0] for _ in jobs]
# In turn, so that other load of the machine affects both.
for _ in range(int(sys.argv[2])):
    for cost, (path, environ) in zip(costs, jobs):
        before = spent()
        cost[0] = subprocess.run([path, "monitor"], env=environ, capture_output=True).returncode
        cost[1] = min(cost[1], spent() - before)
print(json.dumps(costs))
"""


@pytest.mark.parametrize("subject", INSTALLED, indirect=True, ids=str)
def test_an_interpreter_costs_a_fraction_of_ipaddr2(agent: Executor, sandbox: Sandbox) -> None:
    agent.run("start")
    # An address is looked at without an interpreter: the check level takes it.
    assert ratio(agent, sandbox, agent.monitor().code, OCF_CHECK_LEVEL="1") <= WITH_INTERPRETER


def test_an_address_costs_less_than_an_interpreter(sandbox: Sandbox) -> None:
    agent = Executor(sandbox, f"{AGENTS}/anycast-vip", {"ip": "192.0.2.53", "gate": "none"})
    assert agent.run("start").code == 0
    assert agent.monitor().code == 0  # and notes what it found
    assert ratio(agent, sandbox, 0) <= WITHOUT_INTERPRETER


def test_a_pool_costs_less_than_an_interpreter(sandbox: Sandbox) -> None:
    """The files of a daemon that confirms the pool; there is no IPVS here for a real one."""
    agent = Executor(sandbox, f"{AGENTS}/ipvs-pool", {"virtual": "tcp/192.0.2.53:53", "real_servers": "10.0.0.11 10.0.0.12"})
    given = [agent.params.get(name, "") for name in shortcut.names(IpvsPool)]
    daemon = sandbox.run("sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!").stdout.strip()
    base = "/run/resource-agents/anycast/ipvs-pool-test"
    files = {
        f"{base}.state": "",
        f"{base}.running": "",
        f"{base}.shortcut": "\n".join((shortcut.SEPARATOR.join((__version__, *given)), "daemon", "good", "")),
        "/run/resource-agents/anycast/healthd.alive": f"{daemon} {started(daemon)} {__version__} 0 {uptime() + 100 * LIMIT_S}\n",
    }
    sandbox.run("mkdir", "-p", "/run/resource-agents/anycast")
    for path, text in files.items():
        sandbox.run("sh", "-c", 'printf %s "$2" >"$1"', "sh", path, text)
    assert agent.monitor().code == 0
    assert ratio(agent, sandbox, 0) <= WITHOUT_INTERPRETER


def started(pid: str) -> str:
    """The start time of a process, as /proc has it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[19]


def ratio(agent: Executor, sandbox: Sandbox, expected: int | None, **environ: str) -> float:
    """The cost of the agent's monitor, which has to end with the `expected` code, beside that of IPaddr2's."""
    sandbox.run("ip", "address", "add", "198.51.100.1/32", "dev", "lo")
    shell = Executor(sandbox, IPADDR2, {"ip": "198.51.100.1", "nic": "lo", "cidr_netmask": "32"})
    jobs = [
        (who, {**executor.environment(executor.params, 20.0, 10.0), **more})
        for who, executor, more in ((agent.path, agent, environ), (IPADDR2, shell, {}))
    ]
    done = sandbox.run("/usr/bin/python3", "-c", MEASURE, json.dumps(jobs), str(ROUNDS))
    (code, cost_s), (shell_code, shell_cost_s) = json.loads(done.stdout)
    assert (code, shell_code) == (expected, 0), done.stderr
    print(f"{cost_s * 1000:.1f} ms against {shell_cost_s * 1000:.1f} ms")
    return float(cost_s / shell_cost_s)
