"""What a monitor costs, held against IPaddr2's: Pacemaker runs one for every resource every few seconds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from ocfpy.testkit import Executor

from tests.conformance.subjects import SUBJECTS

if TYPE_CHECKING:
    from ocfpy.testkit import Sandbox

# What answers without a bgpd. The sample is left out: it is not byte-compiled.
INSTALLED = [subject for subject in SUBJECTS if subject.agent in ("anycast-vip", "ipvs-pool", "ipvs-sync")]
IPADDR2 = "/usr/lib/ocf/resource.d/heartbeat/IPaddr2"
ROUNDS = 15
# Measured: 0.40 to 0.47. The rest is for the noise of a machine that does other things as well.
LIMIT = 0.7
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
def test_a_fraction_of_ipaddr2(agent: Executor, sandbox: Sandbox) -> None:
    agent.run("start")
    expected = agent.monitor().code
    sandbox.run("ip", "address", "add", "198.51.100.1/32", "dev", "lo")
    shell = Executor(sandbox, IPADDR2, {"ip": "198.51.100.1", "nic": "lo", "cidr_netmask": "32"})
    jobs = [
        (who, executor.environment(executor.params, 20.0, 10.0))
        for who, executor in ((agent.path, agent), (IPADDR2, shell))
    ]
    done = sandbox.run("/usr/bin/python3", "-c", MEASURE, json.dumps(jobs), str(ROUNDS))
    (code, cost_s), (shell_code, shell_cost_s) = json.loads(done.stdout)
    assert (code, shell_code) == (expected, 0), done.stderr
    assert cost_s <= shell_cost_s * LIMIT, f"{cost_s * 1000:.1f} ms against {shell_cost_s * 1000:.1f} ms"
