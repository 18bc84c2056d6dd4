"""Every check type against its real server, in every state that a server can be in."""

from __future__ import annotations

import re

import pytest

from tests.checks.cases import CASES, Case
from tests.checks.observe import MODES, PATIENCE_S, TIMEOUT_S, WAITING, Observations, attempt, through_proxy
from tests.checks.proxy import Fault
from tests.checks.world import World

SLACK_S = 20
"""What a busy machine may add to a timeout."""
NOT_A_REASON = re.compile(r"\w*(Error|Exception|Warning)\b|Traceback|_ssl\.c")
"""What only a fault in the check itself would say."""


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_mode(case: Case, mode: str, observed: Observations) -> None:
    result = observed(case, mode)
    assert result.ok == (mode == "works" or mode in case.blind), result.reason
    assert not NOT_A_REASON.search(result.reason)
    if mode in WAITING and not result.ok:
        assert result.reason.startswith(f"timed out after {TIMEOUT_S} s, ")
        assert result.seconds < TIMEOUT_S + SLACK_S
    if mode == "refused" and not result.ok:
        assert result.reason == "connection refused"


@pytest.mark.parametrize("case", CASES, ids=str)
def test_works_over_ipv6(case: Case, world: World) -> None:
    server = world.started(case.server)
    result = attempt(world, case.params, server.address6, case.port or server.port)
    assert result.ok, result.reason


@pytest.mark.parametrize("case", CASES, ids=str)
def test_dies_anywhere(case: Case, world: World) -> None:
    """Cut wherever it may be, an answer is good when nothing that matters is missing, and otherwise a reason is given."""
    whole = Fault()
    result = through_proxy(world, case, whole)
    assert result.ok, result.reason
    for cut in sorted({whole.passed * part // 12 for part in range(12)}):
        result = through_proxy(world, case, Fault(cut=cut), timeout=1 if case.udp else PATIENCE_S)
        assert result.ok == (not result.reason)
        assert not NOT_A_REASON.search(result.reason), f"cut after {cut} bytes"
        assert cut or not result.ok or case.blind
