"""Checks of which most are mere connections."""

from __future__ import annotations

import asyncio

from ocfpy.checks import make_check
from ocfpy.checks.base import Check, Result
from ocfpy.checks.combined import CombinedCheck
from ocfpy.checks.settings import CheckSettings
from ocfpy.ocf.addresses import parse_address

HERE = parse_address("127.0.0.1")


class Scripted(Check):
    """Answers from a script, and notes that it was run."""

    def __init__(self, name: str) -> None:
        super().__init__(HERE, 80, CheckSettings())
        self.name = name
        self.answers = iter("")
        self.made: list[str] = []

    async def run(self) -> Result:
        self.made.append(self.name)
        return Result(next(self.answers) == "+", "", 0.0)


def order(connects: int, answers: str) -> str:
    """Which checks are made, W whole and c connection, while they answer like this."""
    whole, connection = Scripted("W"), Scripted("c")
    connection.answers = whole.answers = iter(answers)
    connection.made = whole.made
    check = CombinedCheck(whole, connection, connects)

    async def story() -> None:
        for _ in answers:
            await check.run()

    asyncio.run(story())
    return "".join(whole.made)


def test_the_order_is_that_of_ldirectord() -> None:
    assert order(2, "+++++++") == "WccWccW"
    assert order(2, "--+++") == "WWWcc"  # until the whole is good
    assert order(3, "+-+++++") == "WcWcccW"  # a connection that fails: the whole decides
    assert order(1, "+-+-") == "WcWc"


def test_it_is_made_of_the_settings() -> None:
    settings = CheckSettings("http", connects=3, path="/x")
    check = make_check(HERE, 80, settings)
    assert isinstance(check, CombinedCheck)
    assert (check.whole.settings, check.connects) == (settings.replace(connects=0), 3)
    assert check.connection.settings.type == "tcp"
    assert settings.identity() != settings.replace(connects=2).identity()
