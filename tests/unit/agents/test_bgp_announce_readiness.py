"""A bgpd that was just started is waited for, an old one is not; and the two differ in how far a failure reaches."""

from __future__ import annotations

import os
import subprocess

import pytest
from ocfpy.agents import bgp_announce_readiness as readiness
from ocfpy.ocf.deadline import Deadline
from ocfpy.ocf.errors import HostError, ServiceError


class Check:
    """Fails some times, and then no more."""

    def __init__(self, failures: int) -> None:
        self.left = failures

    def __call__(self) -> None:
        if self.left:
            self.left -= 1
            raise HostError("bgpd has no BGP instance")


def test_a_young_bgpd_is_given_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "age_s", lambda pid: 1.0)
    monkeypatch.setattr(readiness, "EDIT_LIMIT_S", 0.0)
    readiness.await_configuration(Check(5), "/nonexistent/bgpd.vty", Deadline(20))
    with pytest.raises(ServiceError, match="no BGP instance") as failure:
        readiness.await_configuration(Check(10**9), "/nonexistent/bgpd.vty", Deadline(0.2))
    assert failure.value.code == 1, "it may pass"


def test_an_old_bgpd_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "age_s", lambda pid: 3600.0)
    monkeypatch.setattr(readiness, "EDIT_LIMIT_S", 0.2)
    deadline = Deadline(60)
    with pytest.raises(HostError, match="no BGP instance"):
        readiness.await_configuration(Check(10**9), "/nonexistent/bgpd.vty", deadline)
    assert deadline.remaining() > 30
    readiness.await_configuration(Check(2), "/nonexistent/bgpd.vty", deadline)


def test_the_age_of_a_process() -> None:
    with subprocess.Popen(["sleep", "60"]) as process:
        assert readiness.age_s(process.pid) < readiness.LOAD_LIMIT_S
        process.kill()
    for pid in (0, os.getpid()):
        assert readiness.age_s(pid) > readiness.LOAD_LIMIT_S, "one that is not known"
