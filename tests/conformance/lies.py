"""Lied to anywhere: lies.py AGENT CASES KEEP. Run in a sandbox, prints as JSON what came of so many lies in this process.

Parameters and environment are drawn by Hypothesis: what is right, what is nearly right, and anything else. The first KEEP
cases are part of the answer, to be tried as real processes. Waiting takes no time: the clock of a
Deadline is one that sleeping moves.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from typing import Any

sys.path.insert(0, "/usr/lib/ocf/lib/anycast")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ocfpy.ocf import dispatch
from ocfpy.ocf.deadline import Deadline
from ocfpy.testkit.trial import DEFINED

CLASSES = {
    "anycast-vip": ("ocfpy.agents.anycast_vip", "AnycastVip"),
    "bgp-announce": ("ocfpy.agents.bgp_announce", "BgpAnnounce"),
    "ipvs-pool": ("ocfpy.agents.ipvs_pool", "IpvsPool"),
    "ipvs-sync": ("ocfpy.agents.ipvs_sync", "IpvsSync"),
}
ACTIONS = (
    "start", "stop", "monitor", "probe", "validate-all", "migrate_to", "migrate_from", "reload-agent", "promote", "notify",
)  # fmt: skip
# What an environment can hold: no NUL; a byte that is not UTF-8 is a lone surrogate to Python.
TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0") | st.just("\udcff"), max_size=30)
WORDS = st.sampled_from(
    [
        "0", "1", "-1", "00", "1e3", "65536", "99999999999999999999", "1s", "500ms", "2h", "true", "No", "none", "all", "any",
        "192.0.2.53", "192.0.2.53/32", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::53", "::", "127.0.0.1", "224.0.0.1", "fe80::1%lo",
        "tcp/192.0.2.53:53", "udp/[2001:db8::53]:53", "fwmark/7", "tcp/192.0.2.53:0", "10.0.0.11:53", "10.0.0.11:53,weight=2",
        "10.0.0.12,forward=nat", "lo", "eth0", "lo;id", "$(id)", "`id`", "../../etc", "/run/frr", "/dev/zero", "-o", "--help",
        "50%", "101%", "wlc", "mh", "sh-port", "http", "dns", "external", "HEALTHY", "#health", "re:(", "a=b", "'", '"', "\\",
        "x" * 5000, " ", "\t", "\n",
    ]
)  # fmt: skip
VALUES = WORDS | TEXT | st.lists(WORDS | TEXT, min_size=2, max_size=4).map(" ".join)
META = ("timeout", "interval", "clone", "clone_max", "on_node", "globally_unique", "notify_type", "notify_start_resource", "name")
ENVIRONMENT: dict[str, Any] = {
    **{f"OCF_RESKEY_CRM_meta_{name}": WORDS | TEXT for name in META},
    "OCF_RESOURCE_INSTANCE": VALUES,
    "OCF_RESOURCE_TYPE": WORDS,
    "OCF_CHECK_LEVEL": WORDS | st.sampled_from(["0", "10", "20", "15"]),
    "OCF_RESKEY_OCF_CHECK_LEVEL": WORDS,
    "OCF_ROOT": WORDS,
    "OCF_TESTER_FAIL_HAVE_BINARY": WORDS,
    "OCF_TRACE_FILE": WORDS,
    "PATH": WORDS,
    "HA_LOGFILE": st.sampled_from(["/nonexistent/log", "/dev/full", "/run", "relative\n"]),
    "HA_LOGFACILITY": WORDS,
    "HA_debug": WORDS,
    "HA_RSCTMP": st.sampled_from(["/dev/null", "/proc/1", "/run/" + "x" * 300, "/run/a b", "/run/\n"]),
}


class Clock:
    """Real time, and what was slept besides."""

    def __init__(self) -> None:
        self._slept = 0.0

    def now(self) -> float:
        return time.monotonic() + self._slept

    def sleep(self, seconds: float) -> None:
        self._slept += seconds


def cases(agent: Any, valid: dict[str, str]) -> Any:
    """(action, environment), the parameters being the valid ones with some lies, or lies alone."""
    names = [parameter.name for parameter in agent.parameters()]
    lies = st.dictionaries(st.sampled_from(names) | st.just("nonsense"), VALUES, max_size=6)
    params = st.builds(lambda base, more: {**(valid if base else {}), **more}, st.sampled_from([1, 1, 1, 0]), lies)
    some = st.lists(st.sampled_from(sorted(ENVIRONMENT)), max_size=3, unique=True)
    environment = some.flatmap(lambda chosen: st.fixed_dictionaries({name: ENVIRONMENT[name] for name in chosen}))
    return st.tuples(st.sampled_from(ACTIONS) | TEXT, params, environment)


def environ_of(action: str, params: dict[str, str], environment: dict[str, str]) -> dict[str, str]:
    """What the agent gets to see."""
    interval = {} if action == "probe" else {"OCF_RESKEY_CRM_meta_interval": "10000"}
    return {
        "OCF_ROOT": "/usr/lib/ocf",
        "OCF_RESOURCE_INSTANCE": "lied-to",
        "OCF_RESKEY_CRM_meta_timeout": "2000",
        "HA_LOGFACILITY": "none",
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        **interval,
        **{f"OCF_RESKEY_{name}": value for name, value in params.items()},
        **environment,
    }


def wrong(action: str, is_probe: bool, code: int | None, err: str) -> str:
    """What is wrong with an answer, or nothing."""
    lines = err.splitlines()
    reasons = [line for line in lines if line.startswith("ocf-exit-reason:")]
    if code not in DEFINED:
        return f"exit code {code}"
    if "Traceback" in err:
        return "a traceback"
    if code in (0, 3, 7, 8):
        return f"{len(reasons)} exit reasons" if len(reasons) > (code == 7) else ""
    if not action:
        return ""
    if len(reasons) != 1 or len(lines) != 1 or not reasons[0].partition(":")[2].strip():
        return f"{len(reasons)} exit reasons in {len(lines)} lines"
    if not reasons[0].isprintable():
        return "an exit reason that is not printable"
    if action == "stop" or (is_probe and code not in (1, 190)):
        return f"exit code {code} of {'a probe' if is_probe else action}"
    return ""


def main(name: str, number: int, keep: int, valid: dict[str, str]) -> None:
    """Try them, and print the answer."""
    module, class_name = CLASSES[name]
    agent = getattr(__import__(module, fromlist=[class_name]), class_name)
    clock = Clock()
    Deadline.__init__.__defaults__ = (clock.now, clock.sleep)
    answer: dict[str, Any] = {"codes": {}, "wrong": [], "kept": [], "cases": 0}
    stderr = sys.stderr

    @settings(
        max_examples=number, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(cases(agent, valid))
    def lie(case: tuple[str, dict[str, str], dict[str, str]]) -> None:
        action = case[0]
        environ = environ_of(*case)
        word = "monitor" if action == "probe" else action
        sys.stderr, stdout, sys.stdout = io.StringIO(), sys.stdout, io.StringIO()
        try:
            code = dispatch.main(agent, [name, word], environ)
            err = sys.stderr.getvalue()
        finally:
            sys.stderr, sys.stdout = stderr, stdout
        is_probe = action == "probe" and not environ.get("OCF_RESKEY_CRM_meta_interval")
        fault = wrong(word, is_probe, code, err)
        answer["cases"] += 1
        key = f"{word if word in ACTIONS else 'another'} {code}"
        answer["codes"][key] = answer["codes"].get(key, 0) + 1
        if fault and len(answer["wrong"]) < 10:
            answer["wrong"].append([fault, case, err])
        if len(answer["kept"]) < keep and word in ACTIONS:
            answer["kept"].append(case)
        if word in ("start", "migrate_from") and code == 0:
            sys.stderr = io.StringIO()
            if dispatch.main(agent, [name, "stop"], environ) != 0:
                answer["wrong"].append(["stop after start", case, sys.stderr.getvalue()])
            sys.stderr = stderr

    lie()
    print(json.dumps(answer))


if __name__ == "__main__":
    os.makedirs("/run/lies", exist_ok=True)
    os.chdir("/run/lies")
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4]))
