#!/usr/bin/python3
"""ipvs-pool and ipvs-sync killed anywhere, held to the test kit's rules, and with a daemon that hangs: killed_anywhere.py.

Run as root in a node of the lab, with the package installed; everything happens in namespaces of the test kit's own.
The exit code is 1 when something was found. By hand, for longer: killed_anywhere.py SEED TIMES kills each action at
so many random lines and moments, and does nothing else.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Callable

sys.path.insert(0, "/usr/lib/ocf/lib/anycast")
from ocfpy.testkit import RULES, Executor, Sandbox, Subject
from ocfpy.testkit.executor import execute
from ocfpy.testkit.kills import ALL, NOTHING, Campaign
from ocfpy.testkit.place import command
from ocfpy.testkit.trial import RUNNING

LIBRARY = "/usr/lib/ocf/lib/anycast"
AGENTS = "/usr/lib/ocf/resource.d/anycast"
POOL = {"virtual": "tcp/192.0.2.53:80", "real_servers": "10.0.0.11:80", "check": "on"}
SYNC = {"nic": "lo", "syncid": "7"}
LIMIT_S = 60.0  # a node of the lab is slow, and nothing here is about time
HANG_TIMEOUT_S, REPLACE_TIMEOUT_S = 2.0, 20.0
ACTIONS = ("start", "stop", "monitor", "reload-agent")
TIMES = 1
LIFE = ("a-life-leaves-nothing", "stop-when-the-configuration-has-gone", "stop-when-the-tools-have-gone", "any-check-level")


def pool_truth(sandbox: Sandbox) -> Callable[[], str]:
    def look() -> str:
        # A daemon without a pool is nothing that a stop would have to undo: it ends by itself.
        service = "TCP  C0000235:0050" in sandbox.run("cat", "/proc/net/ip_vs").stdout
        found = [service, bool(daemons(sandbox))] if service else [False]
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


def kill(
    name: str, target: str, params: dict[str, str], truth: Callable[[Sandbox], Callable[[], str]], seed: int, times: int
) -> list[str]:
    with Sandbox() as sandbox:
        executor = Executor(sandbox, f"{AGENTS}/{name}", params)
        offered = executor.run("meta-data").out
        campaign = Campaign(executor, target, LIBRARY, truth(sandbox), seed, LIMIT_S)
        campaign.run([action for action in ACTIONS if f'name="{action}"' in offered], times, times)
        print(name, campaign.counts, sum(campaign.counts.values()), flush=True)
        return campaign.findings


def hold(name: str, params: dict[str, str]) -> list[str]:
    subject = Subject(f"{AGENTS}/{name}", params, limit_s=LIMIT_S)
    return [f"{rule}: {finding}" for rule in RULES if str(rule) in LIFE for finding in rule.findings(subject)]


def hang() -> list[str]:
    """The health daemon is stopped again and again: monitor replaces it, and each action answers in time and names it."""
    found = []
    with Sandbox() as sandbox:
        pool = Executor(sandbox, f"{AGENTS}/ipvs-pool", POOL)
        if pool.run("start", timeout_s=LIMIT_S).code != 0:
            return ["ipvs-pool does not start"]
        stop_daemons(sandbox)
        result = pool.run("monitor", timeout_s=REPLACE_TIMEOUT_S, interval_s=10)
        if result.code not in RUNNING or "it was replaced" not in "".join(result.reasons):
            found.append(f"monitor with a daemon that hangs: {result}")
        # What a bare interpreter takes on this node is not the library's to answer for, nor is a killed one killed here.
        bare_s = execute(["/usr/bin/python3", "-IS", "-c", ""], {}, LIMIT_S).seconds
        for action, codes in (("monitor", (0, 1, 190)), ("reload-agent", (0, 1)), ("start", (0, 1)), ("stop", (0, 1))):
            stop_daemons(sandbox)
            try:
                result = pool.run_in_time(action, HANG_TIMEOUT_S, HANG_TIMEOUT_S + bare_s, interval_s=10)
            except AssertionError as late:
                found.append(f"a daemon that hangs: {late}")
                continue
            print(f"{action} with a daemon that hangs:", result.code, result.reasons, f"after {result.seconds:.2f} s", flush=True)
            if result.code not in codes or (result.code == 1 and not names_it(result.reasons)):
                found.append(f"{action} with a daemon that hangs: {result}")
        end = time.monotonic() + LIMIT_S
        stopped = pool.run("stop", timeout_s=LIMIT_S).code == 0
        while daemons(sandbox) and time.monotonic() < end:  # one that an action started in vain ends by itself
            time.sleep(0.2)
        if not stopped or daemons(sandbox):
            found.append("stop does not end a daemon that hangs")
    return found


def names_it(reasons: list[str]) -> bool:
    """Whether the one reason says what was waited for."""
    return len(reasons) == 1 and any(word in reasons[0] for word in ("health daemon", "real server", "kernel"))


def stop_daemons(sandbox: Sandbox) -> None:
    for pid in daemons(sandbox):
        os.kill(pid, signal.SIGSTOP)


def main(argv: list[str]) -> int:
    seed, times = map(int, argv) if argv else (0, TIMES)
    found = kill("ipvs-sync", "ocfpy.agents.ipvs_sync:IpvsSync", SYNC, sync_truth, seed, times)
    found += kill("ipvs-pool", "ocfpy.agents.ipvs_pool:IpvsPool", POOL, pool_truth, seed, times)
    if not argv:
        found += [*hold("ipvs-sync", SYNC), *hold("ipvs-pool", POOL), *hang()]
    print("\n".join(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
