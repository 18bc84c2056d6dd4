"""Every hazard and every delay of an instance has its sentence, and a sound instance has none."""

from __future__ import annotations

from typing import Any

import pytest
from ocfpy.bgp.answer import Answer
from ocfpy.bgp.instance import Instance
from ocfpy.bgp.neighbor import Neighbor
from ocfpy.ocf.addresses import parse_address

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
    "bgpTimerUpMsec": 60000,
}


def instance(config: Any = CONFIG, vrf: Any = "", **neighbor: Any) -> Instance:
    return Instance([Neighbor("10.1.0.1", Answer({**SOUND, **neighbor}, "neighbors"))], config, vrf)


def within(line: str) -> str:
    return CONFIG.replace(" timers", f" {line}\n timers")


def test_nothing_to_say() -> None:
    assert instance().hazards() == []
    assert instance().delays() == []
    assert Instance([], "").hazards() == []


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
        ({"minBtwnAdvertisementRunsTimerMsecs": 7000}, "is sent an announcement up to 7 s late (a withdrawal at once)"),
        ({"bgpTimerHoldTimeMsecs": 180000}, "for 180 s after a power cut"),
        ({"bgpTimerHoldTimeMsecs": 0}, "for ever after a power cut"),
        ({"bgpState": "Active", "bgpTimerConfiguredHoldTimeMsecs": 60000}, "for 60 s after a power cut"),
    ],
)
def test_delays_of_a_neighbor(neighbor: dict[str, int], sentence: str) -> None:
    (delay,) = instance(**neighbor).delays()
    assert sentence in delay
    assert instance(**neighbor, adminShutDown=True).delays() == []


def test_bfd_makes_up_for_a_long_hold_time() -> None:
    assert instance(bgpTimerHoldTimeMsecs=180000, peerBfdInfo={"status": "Up"}).delays() == []


@pytest.mark.parametrize(("seconds", "sentence"), [("0", "only after `clear"), ("30", "30 s after"), ("5", ""), ("x", "")])
def test_route_map_delay_timer(seconds: str, sentence: str) -> None:
    delays = instance(f"bgp route-map delay-timer {seconds}\n{CONFIG}").delays()
    assert [sentence] == [sentence for delay in delays if sentence in delay] if sentence else delays == []


def test_suppress_fib_pending() -> None:
    assert "delays announcements" in instance(within("bgp suppress-fib-pending")).delays()[0]


BFD_DOWN = {"peerBfdInfo": {"type": "single hop", "status": "Down"}}


@pytest.mark.parametrize(
    ("neighbor", "is_bfdd_running", "sentence"),
    [
        ({"peerBfdInfo": {"status": "Up"}}, True, ""),
        ({"peerBfdInfo": {"status": "Up"}}, False, "bfdd does not run here"),  # bgpd keeps the last state that it heard of
        ({"peerBfdInfo": {"status": "Unknown"}}, True, "BFD towards 10.1.0.1 is Unknown"),
        (BFD_DOWN, True, "BFD towards 10.1.0.1 is Down; until it is up 10.1.0.1 would send here for 9 s"),
        ({**BFD_DOWN, "bgpTimerUpMsec": 1000}, True, ""),  # the session has just come up, and BFD is about to
        ({**BFD_DOWN, "bgpState": "Active"}, True, ""),
        ({**BFD_DOWN, "adminShutDown": True}, True, ""),
        ({}, False, ""),
    ],
)
def test_bfd_protects_only_when_it_is_up(neighbor: dict[str, Any], is_bfdd_running: bool, sentence: str) -> None:
    cautions = instance(**neighbor).cautions(is_bfdd_running)
    assert sentence in cautions[0] if sentence else cautions == []


@pytest.mark.parametrize("config", [within("bgp graceful-shutdown"), f"bgp graceful-shutdown\n{CONFIG}"])
def test_graceful_shutdown_left_on(config: str) -> None:
    assert "`bgp graceful-shutdown` is on" in instance(config).cautions(True)[0]


def test_router_id() -> None:
    assert instance().has_router_id
    assert not instance(CONFIG.replace(" bgp router-id 10.1.0.11\n", "")).has_router_id


FAMILY = " address-family ipv4 unicast\n"


def test_summary_only() -> None:
    line = "aggregate-address 192.0.2.0/24 as-set summary-only"
    config = CONFIG.replace(FAMILY, f"{FAMILY}  {line}\n  aggregate-address x summary-only\n")
    assert instance(config).summarised_by(parse_address("192.0.2.53")) == line
    assert instance(config).summarised_by(parse_address("192.0.3.53")) == ""
    assert instance(config.replace(" summary-only", "")).summarised_by(parse_address("192.0.2.53")) == ""


def test_redistribution_in_the_family_of_the_prefix() -> None:
    config = CONFIG.replace(FAMILY, f"{FAMILY}  redistribute connected route-map X\n  redistribute static\n")
    found = instance(config).redistributed(parse_address("192.0.2.53"))
    assert found == ["redistribute connected route-map X", "redistribute static"]
    assert instance(config).redistributed(parse_address("2001:db8::53")) == []
