"""bgp-announce with a real bgpd: killed anywhere, held to the rules of the test kit, and with a bgpd that hangs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ocfpy.testkit import RULES, Executor, Rule, Sandbox, Subject
from ocfpy.testkit.kills import ALL, NOTHING, Campaign

from tests.frr.harness import STAGE

VIP = "192.0.2.53"
AGENT = "/usr/lib/ocf/resource.d/anycast/bgp-announce"
PARAMS = {"prefix": VIP, "allowed_prefixes": "192.0.2.0/24", "min_peers": "0", "settle": "0s"}
BINDS = {f"{STAGE}/usr/lib/ocf": "/usr/lib/ocf"}
DAEMON = "/usr/lib/frr/{0} -d --vty_socket /run/frr -z /run/frr/zserv.api -i /run/frr/{0}.pid -P 0 {1} >/dev/null 2>&1"
# A bgpd whose neighbor never comes up: what is tried here depends on none, and tests/frr has the rest with them.
PREPARE = f"""
install -d -o frr -g frr /run/frr
printf 'router bgp 65010\\n bgp router-id 10.1.0.11\\n neighbor 10.1.0.1 remote-as 65000\\n' >/run/frr/bgpd.conf
{DAEMON.format("zebra", "")}
{DAEMON.format("bgpd", "-f /run/frr/bgpd.conf")}
ip address add {VIP}/32 dev lo
"""
ACTIONS = ("start", "stop", "monitor", "migrate_to", "migrate_from", "reload-agent", "validate-all", "meta-data")
LINES, TIMES = 12, 5
TIMEOUT_S = 2.0


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(BINDS, prepare=PREPARE) as sandbox:
        yield sandbox


@pytest.fixture
def announce(sandbox: Sandbox) -> Executor:
    return Executor(sandbox, AGENT, PARAMS)


def announced(sandbox: Sandbox) -> str:
    """What bgpd itself says, asked by vtysh."""
    shown = sandbox.run("vtysh", "-c", "show running-config", "-d", "bgpd").stdout
    assert "router bgp 65010" in shown
    return ALL if f" network {VIP}/32" in shown else NOTHING


def test_killed_anywhere(sandbox: Sandbox, announce: Executor) -> None:
    campaign = Campaign(
        announce, "ocfpy.agents.bgp_announce:BgpAnnounce", "/usr/lib/ocf/lib/anycast", lambda: announced(sandbox)
    )
    campaign.run(ACTIONS, LINES, TIMES)
    print(campaign.counts, sum(campaign.counts.values()))
    assert campaign.findings == []
    assert campaign.counts["start/effect"] >= 5
    assert campaign.counts["stop/effect"] >= 3


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.needs_start], ids=str)
def test_rules(rule: Rule) -> None:
    """Those that take a start; tests/conformance has the others."""
    assert rule.findings(Subject(AGENT, PARAMS, PREPARE, BINDS)) == []


def test_hung_bgpd_at_a_short_timeout(sandbox: Sandbox, announce: Executor) -> None:
    """bgpd is stopped: every action answers within 2 s, and says that it is bgpd that it waited for."""
    assert announce.run("start").code == 0
    sandbox.run("sh", "-c", "kill -STOP $(cat /run/frr/bgpd.pid)")
    fails = {**PARAMS, "on_hung": "fail"}
    for action in ("monitor", "migrate_to", "reload-agent", "start", "migrate_from", "stop"):
        for interval_s in (0, 10) if action == "monitor" else (0,):
            result = announce.run_in_time(action, TIMEOUT_S, interval_s=interval_s, params=fails)
            assert result.code == 1, (action, result)
            (reason,) = result.reasons
            assert "bgpd" in reason, (action, reason)
    stopped = announce.run("stop")  # with the time to be sure, it ends bgpd
    assert stopped.code == 0, stopped
    assert announce.probe(timeout_s=TIMEOUT_S).code == 7
