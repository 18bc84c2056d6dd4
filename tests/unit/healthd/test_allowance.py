"""A checker that says more than its checks give cause for is replaced before it holds up the keeper."""

from __future__ import annotations

from pathlib import Path

import pytest
from ocfpy.checks.settings import CheckSettings
from ocfpy.healthd.allowance import SAVED_S, Allowance, allowance_of
from ocfpy.healthd.checker_protocol import Malformed

from tests.unit.healthd.checker_world import World, launcher, run, until

SETTINGS = CheckSettings("tcp", interval=2.0, timeout=1.0, retry_interval=0.5)

FLOOD = """
import socket, threading
from ocfpy.healthd.checker_protocol import encode
def flood(self, number):
    control = self._control.dup()
    control.setblocking(True)
    line = MESSAGE
    while True:
        control.sendall(b"".join(line(n, number) for n in range(500)))
begin = checker.Checker._order_begin
def beginning(self, number, document, *rest):
    begin(self, number, document, *rest)
    if "flood" in str(document["settings"]):
        threading.Thread(target=flood, args=(self, number), daemon=True).start()
checker.Checker._order_begin = beginning
"""
FLOODS = {
    "verdicts": 'lambda n, number: encode("result", number, n % 2 == 0, 0, False, n % 2 == 0, "", None, 0.1, 1.0)',
    "reasons": 'lambda n, number: encode("result", number, True, 0, False, True, str(n), None, 0.1, 1.0)',
    "results of a check that has ended": 'lambda n, number: encode("result", 0, True, 0, False, True, "", None, 0.1, 1.0)',
    "faults": 'lambda n, number: encode("fault", str(n))',
    "heartbeats": 'lambda n, number: b"\\n"',
    "answers": 'lambda n, number: encode("made", 0)',
}


def test_what_is_not_used_is_saved_for_a_while() -> None:
    now = 100.0
    allowance = Allowance(2.0, 5.0, lambda: now)
    at_once = 0
    while allowance.take():
        at_once += 1
    assert at_once == 5 + 2 * SAVED_S
    now += 3
    assert [allowance.take() for _ in range(7)] == [True] * 6 + [False]
    now += 1000
    for _ in range(at_once):
        allowance.spend("words")
    with pytest.raises(Malformed, match="words more often than its checks give cause for"):
        allowance.spend("words")
    allowance.grant(2)
    assert [allowance.take() for _ in range(3)] == [True, True, False]


def test_every_attempt_of_a_check_may_be_told() -> None:
    """Also one whose results keep contradicting what is believed, and that is made every retry_interval."""
    now = 0.0
    allowance = allowance_of(SETTINGS)
    allowance._clock, allowance._at = (lambda: now), now
    for _ in range(10_000):
        allowance.spend("results")
        now += SETTINGS.retry_interval


@pytest.mark.parametrize("what", list(FLOODS))
def test_a_flood_ends_the_checker_and_not_the_keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    launcher(tmp_path / "launcher", monkeypatch, FLOOD.replace("MESSAGE", FLOODS[what]))

    async def story(world: World) -> None:
        port = await world.serve(lambda _: b"flood")
        quiet = await world.begin(CheckSettings("tcp", interval=0.5, timeout=0.5, fall=100), port, "quiet")
        await until(lambda: quiet.up)
        flooding = CheckSettings("tcp", interval=0.5, timeout=0.5, request="x", expect="flood", fall=2)
        evil = await world.begin(flooding, port, "evil")
        await until(lambda: world.replaced >= 2)
        # Of two lives, each with what is allowed at once, and a few seconds of them.
        assert len(evil.verdicts) < 1000
        assert len(world.log.lines) < 100
        assert any("more often than its checks give cause for" in line for line in world.log.lines)
        assert quiet.verdicts == [True] * len(quiet.verdicts)
        assert world.checks.isolated == ({"evil"} if what in ("verdicts", "reasons") else set())

    run(tmp_path / "base", story)
