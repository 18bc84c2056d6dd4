"""Every hazard and every delay of an instance has its sentence, and a sound instance has none."""

from __future__ import annotations

from typing import Any

import pytest
from ocfpy.bgp.instance import Instance

CONFIG = """\
frr version 8.4.4
!
router bgp 65010
 bgp router-id 10.1.0.11
 timers bgp 3 9
 !
 address-family ipv4 unicast
  network 192.0.2.53/32
 exit-address-family
exit
!
"""
SOUND: dict[str, Any] = {
    "bgpState": "Established",
    "gracefulRestartInfo": {"localGrMode": "Helper*"},
    "minBtwnAdvertisementRunsTimerMsecs": 0,
    "bgpTimerHoldTimeMsecs": 9000,
}


def instance(config: str = CONFIG, vrf: str = "", **neighbor: Any) -> Instance:
    return Instance({"10.1.0.1": {**SOUND, **neighbor}}, config, vrf)


def within(line: str) -> str:
    return CONFIG.replace(" timers", f" {line}\n timers")


def test_nothing_to_say() -> None:
    assert instance().hazards() == []
    assert instance().delays() == []
    assert Instance({}, "").hazards() == []


@pytest.mark.parametrize(("mode", "bad"), [("Helper*", 0), ("Helper", 0), ("Disable*", 0), ("Restart*", 1), ("Restart", 1)])
def test_graceful_restart(mode: str, bad: int) -> None:
    hazards = instance(gracefulRestartInfo={"localGrMode": mode}).hazards()
    assert len(hazards) == bad
    assert all("graceful restart is on towards 10.1.0.1:" in hazard for hazard in hazards)


def test_import_check_off() -> None:
    assert "import-check" in instance(within("no bgp network import-check")).hazards()[0]


def test_that_of_another_instance_does_not_matter() -> None:
    other = CONFIG + "router bgp 65010 vrf red\n no bgp network import-check\n bgp suppress-fib-pending\nexit\n"
    assert instance(other).hazards() == []
    assert instance(other).delays() == []
    assert len(instance(other, "red").hazards()) == 1
    assert len(instance(other, "red").delays()) == 1
    assert instance(other, "blue").hazards() == []


@pytest.mark.parametrize(
    ("neighbor", "sentence"),
    [
        ({"minBtwnAdvertisementRunsTimerMsecs": 7000}, "up to 7 s late"),
        ({"bgpTimerHoldTimeMsecs": 180000}, "for 180 s after a power cut"),
        ({"bgpTimerHoldTimeMsecs": 0}, "for ever after a power cut"),
        ({"bgpState": "Active", "bgpTimerConfiguredHoldTimeMsecs": 60000}, "for 60 s after a power cut"),
    ],
)
def test_delays_of_a_neighbor(neighbor: dict[str, int], sentence: str) -> None:
    (delay,) = Instance({"10.1.0.1": {**SOUND, **neighbor}}, CONFIG).delays()
    assert sentence in delay
    assert Instance({"10.1.0.1": {**SOUND, **neighbor, "adminShutDown": True}}, CONFIG).delays() == []


def test_bfd_makes_up_for_a_long_hold_time() -> None:
    assert instance(bgpTimerHoldTimeMsecs=180000, peerBfdInfo={"status": "Up"}).delays() == []


@pytest.mark.parametrize(("seconds", "sentence"), [("0", "only after `clear"), ("30", "30 s after"), ("5", ""), ("x", "")])
def test_route_map_delay_timer(seconds: str, sentence: str) -> None:
    delays = instance(f"bgp route-map delay-timer {seconds}\n{CONFIG}").delays()
    assert [sentence] == [sentence for delay in delays if sentence in delay] if sentence else delays == []


def test_suppress_fib_pending() -> None:
    assert "holds announcements back" in instance(within("bgp suppress-fib-pending")).delays()[0]
