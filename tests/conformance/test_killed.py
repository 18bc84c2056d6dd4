"""Killed anywhere: what a SIGKILL leaves of anycast-vip is seen and put right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ocfpy.testkit import Executor, Sandbox
from ocfpy.testkit.kills import ALL, NOTHING, Campaign

from tests.conformance.subjects import AGENTS

if TYPE_CHECKING:
    from collections.abc import Callable

LIBRARY = "/usr/lib/ocf/lib/anycast"
ACTIONS = ("start", "stop", "monitor", "migrate_to", "migrate_from", "validate-all", "meta-data")
LINES, TIMES = 20, 6


def of_address(sandbox: Sandbox, address: str) -> Callable[[], str]:
    return lambda: ALL if f" {address} " in sandbox.run("ip", "-o", "address", "show", "dev", "lo").stdout else NOTHING


@pytest.mark.parametrize(("ip", "lines", "times"), [("192.0.2.53/32", LINES, TIMES), ("2001:db8::53/128", 0, 0)])
def test_anycast_vip(sandbox: Sandbox, ip: str, lines: int, times: int) -> None:
    executor = Executor(sandbox, f"{AGENTS}/anycast-vip", {"ip": ip, "gate": "none"})
    campaign = Campaign(executor, "ocfpy.agents.anycast_vip:AnycastVip", LIBRARY, of_address(sandbox, ip))
    campaign.run(ACTIONS, lines, times)
    print(campaign.counts, sum(campaign.counts.values()))
    assert campaign.findings == []
    assert campaign.counts["start/effect"] >= 5
    assert campaign.counts["stop/effect"] >= 2
    assert campaign.counts.get("stop/line", 0) == lines
