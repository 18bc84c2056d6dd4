"""Tests for resource agents in any language: runs them like Pacemaker, and checks more than ocf-tester does.

    python3 -m ocfpy.testkit /usr/lib/ocf/resource.d/heartbeat/IPaddr2 -o ip=192.0.2.1 -o nic=lo

or, from pytest, one test a rule:

    SUBJECT = Subject("/usr/lib/ocf/resource.d/heartbeat/IPaddr2", {"ip": "192.0.2.1", "nic": "lo"})

    @pytest.mark.parametrize("rule", RULES, ids=str)
    def test_agent(rule):
        assert rule.findings(SUBJECT) == []
"""

from __future__ import annotations

from ocfpy.testkit.executor import Executor, Result
from ocfpy.testkit.place import Place, Sandbox
from ocfpy.testkit.rules import RULES, Rule
from ocfpy.testkit.trial import Subject, Trial

__all__ = ["RULES", "Executor", "Place", "Result", "Rule", "Sandbox", "Subject", "Trial"]
