"""The test that ocfpy.testkit.plugin collects, once for each rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ocfpy.testkit.rules import Rule
    from ocfpy.testkit.trial import Subject


def test_conformance(ocf_rule: Rule, ocf_subject: Subject) -> None:
    """The subject keeps the rule."""
    findings = ocf_rule.findings(ocf_subject)
    assert not findings, f"{ocf_rule.sentence}\n" + "\n".join(findings)
