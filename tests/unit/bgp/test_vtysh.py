"""vtysh as the way to bgpd: what it is given, and what its exit code and output mean."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from ocfpy.bgp import vtysh
from ocfpy.bgp.errors import BgpdDead, BgpdHung, CommandRefused
from ocfpy.ocf.deadline import Deadline
from ocfpy.ocf.errors import DeadlineError
from ocfpy.ocf.process import Completed


class Runs:
    """Stands in for ocfpy.ocf.process.run."""

    def __init__(self, result: Completed | Exception) -> None:
        self.result = result
        self.argv: list[str] = []

    def __call__(self, argv: Sequence[str], limit: float, package: str) -> Completed:
        self.argv = list(argv)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def make(
    monkeypatch: pytest.MonkeyPatch, result: Completed | Exception, seconds: float = 20
) -> tuple[vtysh.Vtysh, Runs]:
    runs = Runs(result)
    monkeypatch.setattr(vtysh, "run", runs)
    return vtysh.Vtysh("/run/frr", Deadline(seconds)), runs


def test_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, runs = make(monkeypatch, Completed(0, "{}\n", ""))
    assert backend.show("show bgp summary json") == "{}\n"
    start = ["vtysh", "--vty_socket", "/run/frr", "-d", "bgpd"]
    assert runs.argv == [*start, "-c", "show bgp summary json"]
    backend.configure(("router bgp", "network x"))
    assert runs.argv == [*start, "-c", "configure terminal", "-c", "router bgp", "-c", "network x"]


def test_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, _ = make(monkeypatch, Completed(1, "% Can't find static route specified\n", ""))
    with pytest.raises(CommandRefused, match="Can't find static route"):
        backend.configure(("no network 192.0.2.53/32",))


@pytest.mark.parametrize(
    ("out", "err"), [("bgpd is not running\n", ""), ("", "Exiting: failed to connect to any daemons.\n")]
)
def test_no_bgpd(monkeypatch: pytest.MonkeyPatch, out: str, err: str) -> None:
    backend, _ = make(monkeypatch, Completed(1, out, err))
    with pytest.raises(BgpdDead):
        backend.show("x")


def test_hung_or_out_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BgpdHung):
        make(monkeypatch, DeadlineError("late"))[0].show("x")
    with pytest.raises(DeadlineError):
        make(monkeypatch, DeadlineError("late"), seconds=1)[0].show("x")


def test_a_line_break_is_never_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, runs = make(monkeypatch, Completed(0, "", ""))
    with pytest.raises(ValueError, match="not a line"):
        backend.configure(("network x\nwrite memory",))
    assert runs.argv == []


FOUR = ("router bgp", "address-family ipv4 unicast")


def test_statements_are_given_to_one_vtysh(monkeypatch: pytest.MonkeyPatch) -> None:
    backend, runs = make(monkeypatch, Completed(0, "", ""))
    assert backend.configure_each([(FOUR, "no network x"), (FOUR, "no network y")]) == {}
    commands = [word for word in runs.argv[5:] if word != "-c"]
    assert commands == ["configure terminal", *FOUR, "no network x", *FOUR, "no network y"]


def test_statements_that_follow_a_refused_one_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def run(argv: Sequence[str], limit: float, package: str) -> Completed:
        ran.append(argv[-1])
        return Completed(1, "% no\n", "") if "no network y" in argv else Completed(0, "", "")

    backend, _ = make(monkeypatch, Completed(0, "", ""))
    monkeypatch.setattr(vtysh, "run", run)
    refused = backend.configure_each((FOUR, f"no network {name}") for name in "xyz")
    assert list(refused) == ["no network y"]
    assert ran == ["no network z", "no network x", "no network y", "no network z"]


class Progress:
    """Stands in for ocfpy.bgp.process.Progress: how often the process is seen at work."""

    def __init__(self, times: int) -> None:
        self.left = times

    def is_made(self) -> bool:
        self.left -= 1
        return self.left >= 0


@pytest.mark.parametrize("times", [0, 1, 3])
def test_a_busy_bgpd_gets_more_time(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    limits: list[float] = []

    def slow(argv: Sequence[str], limit: float, package: str) -> Completed:
        limits.append(limit)
        if len(limits) <= 3:
            raise DeadlineError("late")
        return Completed(0, "{}\n", "")

    monkeypatch.setattr(vtysh, "run", slow)
    monkeypatch.setattr(vtysh, "Progress", lambda pid: Progress(times))
    backend = vtysh.Vtysh("/nonexistent", Deadline(60))
    if times < 3:
        with pytest.raises(BgpdHung):
            backend.show("show bgp json")
    else:
        assert backend.show("show bgp json") == "{}\n"
    assert limits == [2.0, 4.0, 8.0, 16.0][: times + 1]
