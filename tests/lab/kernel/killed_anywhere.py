#!/usr/bin/python3
"""ipvs-pool and ipvs-sync killed anywhere, held to the test kit's rules, and with a daemon that hangs: killed_anywhere.py.

Run as root in a node of the lab, with the package installed; everything happens in namespaces of the test kit's own.
The exit code is 1 when something was found.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Callable

sys.path.insert(0, "/usr/lib/ocf/lib/anycast")
from ocfpy.testkit import RULES, Executor, Sandbox, Subject
from ocfpy.testkit.kills import ALL, NOTHING, Campaign
from ocfpy.testkit.place import command
from ocfpy.testkit.trial import RUNNING

LIBRARY = "/usr/lib/ocf/lib/anycast"
AGENTS = "/usr/lib/ocf/resource.d/anycast"
POOL = {"virtual": "tcp/192.0.2.53:80", "real_servers": "10.0.0.11:80", "check": "on"}
SYNC = {"nic": "lo", "syncid": "7"}
LIMIT_S = 60.0  # a node of the lab is slow, and nothing here is about time
HANG_TIMEOUT_S, REPLACE_TIMEOUT_S = 4.0, 20.0
ACTIONS = ("start", "stop", "monitor", "reload-agent")
LINES = 1
LIFE = ("a-life-leaves-nothing", "stop-when-the-configuration-has-gone", "stop-when-the-tools-have-gone", "any-check-level")


def pool_truth(sandbox: Sandbox) -> Callable[[], str]:
    def look() -> str:
        service = "TCP  C0000235:0050" in sandbox.run("cat", "/proc/net/ip_vs").stdout
        found = [service, bool(daemons(sandbox))]
        return ALL if all(found) else "a part" if any(found) else NOTHING

    return look


def daemons(sandbox: Sandbox) -> list[int]:
    return [pid for pid in sandbox.pids() if "/healthd" in command(pid)]


def sync_truth(sandbox: Sandbox) -> Callable[[], str]:
    def look() -> str:
        shown = sandbox.run("ipvsadm", "-L", "--daemon").stdout
        found = [f"{role} sync daemon" in shown for role in ("master", "backup")]
        return ALL if all(found) else "a part" if any(found) else NOTHING

    return look


def kill(name: str, target: str, params: dict[str, str], truth: Callable[[Sandbox], Callable[[], str]]) -> list[str]:
    with Sandbox() as sandbox:
        executor = Executor(sandbox, f"{AGENTS}/{name}", params)
        offered = executor.run("meta-data").out
        campaign = Campaign(executor, target, LIBRARY, truth(sandbox), limit_s=LIMIT_S)
        campaign.run([action for action in ACTIONS if f'name="{action}"' in offered], LINES, LINES)
        print(name, campaign.counts, sum(campaign.counts.values()), flush=True)
        return campaign.findings


def hold(name: str, params: dict[str, str]) -> list[str]:
    subject = Subject(f"{AGENTS}/{name}", params, limit_s=LIMIT_S)
    return [f"{rule}: {finding}" for rule in RULES if str(rule) in LIFE for finding in rule.findings(subject)]


def hang() -> list[str]:
    """The health daemon is stopped, twice: monitor replaces it once, then each action answers in time and names it."""
    found = []
    with Sandbox() as sandbox:
        pool = Executor(sandbox, f"{AGENTS}/ipvs-pool", POOL)
        if pool.run("start", timeout_s=LIMIT_S).code != 0:
            return ["ipvs-pool does not start"]
        stop_daemons(sandbox)
        result = pool.run("monitor", timeout_s=REPLACE_TIMEOUT_S, interval_s=10)
        if result.code not in RUNNING or "another one has taken its place" not in "".join(result.reasons):
            found.append(f"monitor with a daemon that hangs: {result}")
        stop_daemons(sandbox)
        for action in ("monitor", "reload-agent"):
            result = pool.run(action, timeout_s=HANG_TIMEOUT_S, interval_s=10)
            if result.code != 1 or "health daemon" not in "".join(result.reasons):
                found.append(f"{action} with a second daemon that hangs: {result}")
        if pool.run("stop", timeout_s=LIMIT_S).code != 0 or daemons(sandbox):
            found.append("stop does not end a daemon that hangs")
    return found


def stop_daemons(sandbox: Sandbox) -> None:
    for pid in daemons(sandbox):
        os.kill(pid, signal.SIGSTOP)


def main() -> int:
    found = kill("ipvs-sync", "ocfpy.agents.ipvs_sync:IpvsSync", SYNC, sync_truth)
    found += kill("ipvs-pool", "ocfpy.agents.ipvs_pool:IpvsPool", POOL, pool_truth)
    found += [*hold("ipvs-sync", SYNC), *hold("ipvs-pool", POOL), *hang()]
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
