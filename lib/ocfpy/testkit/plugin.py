"""Runs the rules as pytest tests without any code: pytest -p ocfpy.testkit.plugin --ocf-agent AGENT --ocf-option NAME=VALUE."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocfpy.testkit.rules import RULES, Rule
from ocfpy.testkit.trial import Subject

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

SUITE = "ocfpy/testkit/suite.py"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options for the agent and its parameters."""
    group = parser.getgroup("ocf", "conformance of a resource agent")
    group.addoption("--ocf-agent", metavar="PATH", help="the agent")
    group.addoption("--ocf-option", metavar="NAME=VALUE", action="append", default=[], help="a parameter of it")
    group.addoption("--ocf-prepare", metavar="SCRIPT", default="", help="shell commands that prepare a sandbox")


def pytest_collection(session: pytest.Session) -> None:
    """Add the suite to the collected tests, when an agent is named."""
    if session.config.getoption("--ocf-agent"):
        from ocfpy.testkit import suite

        session.config.args.append(suite.__file__)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run one test for each rule."""
    if "ocf_rule" in metafunc.fixturenames:
        option = metafunc.config.getoption
        params = dict(_pair(text) for text in option("--ocf-option"))
        subject = Subject(option("--ocf-agent"), params, option("--ocf-prepare"))
        metafunc.parametrize(("ocf_rule", "ocf_subject"), list(_cases(subject)), ids=map(str, RULES))


def _cases(subject: Subject) -> Iterator[tuple[Rule, Subject]]:
    for rule in RULES:
        yield rule, subject


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value
