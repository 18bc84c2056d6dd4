"""The actions of a gated bgp-announce, killed at every step that has an effect, with a real bgpd and a gate that goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ocfpy.testkit import RULES, Executor, Rule, Sandbox, Subject
from ocfpy.testkit.kills import Campaign

from tests.frr import gate_server, test_killed
from tests.frr.test_killed import AGENT, BINDS, PARAMS, announced

RUNDIR = "/run/resource-agents/anycast"
LIBRARY = "/usr/lib/ocf/lib/anycast"
GATE = f"/usr/bin/python3 -IS {gate_server.__file__} {LIBRARY} {RUNDIR} /dev/null healthy-dns=1"
PREPARE = f"""{test_killed.PREPARE}
{GATE} </dev/null >/run/gate.out 2>&1 &
for _ in $(seq 400); do [ ! -S {RUNDIR}/healthd.sock ] || break; sleep 0.05; done
"""
GATED = {**PARAMS, "attribute": "healthy-dns"}
LINES, TIMES = 3, 2


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(BINDS, prepare=PREPARE) as sandbox:
        yield sandbox


def test_killed_anywhere(sandbox: Sandbox) -> None:
    announce = Executor(sandbox, AGENT, GATED)
    campaign = Campaign(announce, "ocfpy.agents.bgp_announce:BgpAnnounce", LIBRARY, lambda: announced(sandbox))
    campaign.run(("start", "stop", "reload-agent"), LINES, TIMES)
    print(campaign.counts, sum(campaign.counts.values()))
    assert campaign.findings == []
    assert campaign.counts["start/effect"] >= 5
    assert campaign.counts["stop/effect"] >= 5


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.needs_start], ids=str)
def test_rules(rule: Rule) -> None:
    assert rule.findings(Subject(AGENT, GATED, PREPARE, BINDS)) == []
