"""ocf-tester, in a node with a real kernel, IPVS and FRR, and only what the package depends on."""
from __future__ import annotations

import re

import pytest

from tests.lab.testbed import VIP4, VIP6
from tests.lab.testbed.bench import AGENTS, PLAN, Bench

CASES = {
    "ipvs-pool": {
        "virtual": f"tcp/{VIP4}:80 tcp/[{VIP6}]:80", "real_servers": f"{PLAN.lan4(21)} [{PLAN.lan6(21)}]", "check": "on",
    },
    "ipvs-sync": {"nic": "eth0", "syncid": "7"},
    "anycast-vip": {"ip": VIP4},
    "bgp-announce": {"prefix": f"{VIP6}/128"},
}
PREPARE = {
    "ipvs-pool": "modprobe ip_vs",
    "ipvs-sync": "modprobe ip_vs",
    "anycast-vip": f"ipvsadm -A -t {VIP4}:80 && ipvsadm -a -t {VIP4}:80 -r {PLAN.lan4(21)}:80 -g",
    "bgp-announce": f"ip -6 address add {VIP6}/128 dev lo",
}
TIDY = {
    "ipvs-pool": "test -z \"$(ipvsadm -Sn)\"",
    "ipvs-sync": "test -z \"$(ipvsadm -Ln --daemon)\"",
    "anycast-vip": f"ipvsadm -D -t {VIP4}:80",
    "bgp-announce": f"ip -6 address delete {VIP6}/128 dev lo",
}


@pytest.mark.parametrize("agent", sorted(CASES))
def test_ocf_tester(bench: Bench, agent: str) -> None:
    bench.node.run(PREPARE[agent]).check()
    try:
        options = " ".join(f"-o '{key}={value}'" for key, value in CASES[agent].items())
        result = bench.node.run(f"ocf-tester -n test-{agent} {options} {AGENTS}/{agent}", timeout=300)
    finally:
        # Its last word is migrate_from, which leaves the resource started.
        stop = bench.agent(agent, "stop", f"test-{agent}", **CASES[agent])
        tidy = bench.node.run(TIDY[agent])
    assert result.rc == 0, result
    assert re.fullmatch(rf".*/{agent} passed all tests", result.out.strip().splitlines()[-1]), result.out
    assert stop.rc == 0, stop
    assert tidy.rc == 0, f"something is left behind: {tidy}"
