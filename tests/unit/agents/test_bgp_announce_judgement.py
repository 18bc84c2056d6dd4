"""Why a neighbor does not have the prefix, word for word, and what a moment may mend; answers as FRR 8.4.4 and 10.3 give them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any

import pytest
from ocfpy.agents import bgp_announce_judgement
from ocfpy.agents.bgp_announce_judgement import Judgement, Shortage
from ocfpy.bgp.announcer import Announcer
from ocfpy.bgp.route import Route
from ocfpy.ocf.addresses import parse_address

V4 = parse_address("192.0.2.53")
V6 = parse_address("2001:db8::53")
R1, R2 = "10.1.0.1", "10.1.0.2"
OUT = {"routeMapForOutgoingAdvertisements": "ANYCAST-OUT", "sentPrefixCounter": 0}
UP = {"bgpState": "Established", "bgpTimerUpMsec": 60000, "connectionsDropped": 0, "peerGroup": "ROUTERS"}
CONFIG = "router bgp 65010\n bgp router-id 10.1.0.11\n address-family ipv4 unicast\n  LINE\n exit-address-family\nexit\n"
BFD_DOWN = {"type": "single hop", "detectMultiplier": 3, "status": "Down", "lastUpdate": "0:00:00:01"}


class Bgpd:
    """Answers for one neighbor, R1."""

    def __init__(self, neighbor: dict[str, Any], export: dict[str, Any], line: str = "", sent: Any = None) -> None:
        self.config = CONFIG.replace("LINE", line)
        self.neighbor = {**UP, **neighbor, "addressFamilyInfo": {"ipv4Unicast": {**OUT, **export}, "ipv6Unicast": OUT}}
        self.sent = sent or {}
        self.state = self.neighbor["bgpState"]

    def show(self, command: str) -> str:
        if command == "show running-config":
            return self.config
        if command.endswith("summary json"):
            peers = {R1: {"state": self.state, "peerState": "OK", "pfxSnt": len(self.sent)}}
            return json.dumps({f"ipv{n}Unicast": {"as": 65010, "routerId": "10.1.0.11", "peers": peers} for n in (4, 6)})
        if command.endswith("advertised-routes json"):
            return json.dumps({"advertisedRoutes": self.sent})
        assert command == "show bgp neighbors json", command
        return json.dumps({R1: self.neighbor})

    def configure(self, lines: Iterable[str]) -> None:
        raise AssertionError(lines)

    def configure_each(self, statements: object) -> Any:
        raise AssertionError(statements)


def judgement(bgpd: Bgpd, peers: tuple[str, ...] = (), min_peers: int = 1) -> Judgement:
    return Judgement(Announcer(bgpd), V4, min_peers, peers)


def shortage(bgpd: Bgpd, **path: Any) -> Shortage:
    route = Route(exists=True, valid=True, best=True)
    for name, value in path.items():
        setattr(route, name, value)
    return judgement(bgpd).shortage(route, [])


RECEIVED, SENT = "BGP Notification received", "BGP Notification send"


@pytest.mark.parametrize(
    ("neighbor", "may_pass", "sentence"),
    [
        # A session that has just come up: nothing is said of a policy, and it is waited for.
        ({"bgpTimerUpMsec": 1000}, True, f"{R1} Established for 1 s, but not sent yet; its export policy is route-map"),
        ({"bgpTimerUpMsec": 60000}, False, f"{R1} has an export policy (route-map ANYCAST-OUT) that denies it"),
        (
            {"bgpTimerUpMsec": 9000, "minBtwnAdvertisementRunsTimerMsecs": 10000}, True,
            f"{R1} Established for 9 s, but not sent yet (`advertisement-interval 10` delays it)",
        ),
        # One that was lost a moment ago, and one that was lost before; BFD is named with its count.
        (
            {"bgpState": "Idle", "connectionsDropped": 3, "lastResetTimerMsecs": 1000, "lastResetDueTo": SENT,
             "lastNotificationReason": "Cease/BFD Down", "connectRetryTimer": 1, "peerBfdInfo": BFD_DOWN}, True,
            f"{R1} Idle (this node ended the session: Cease/BFD Down; its BFD session is Down; sessions lost so far: 3)",
        ),
        (
            {"bgpState": "Idle", "connectionsDropped": 3, "lastResetTimerMsecs": 60000, "lastResetDueTo": "BFD down received",
             "connectRetryTimer": 1, "peerBfdInfo": BFD_DOWN}, False,
            f"{R1} Idle (BFD down received; its BFD session is Down; sessions lost so far: 3)",
        ),
        ({"bgpState": "OpenConfirm"}, True, f"{R1} OpenConfirm"),
        # Another cause: that BFD is down as well is its consequence.
        (
            {"bgpState": "Idle", "connectionsDropped": 3, "lastResetTimerMsecs": 60000, "lastResetDueTo": RECEIVED,
             "lastNotificationReason": "Cease/Administrative Shutdown", "peerBfdInfo": BFD_DOWN}, False,
            f"{R1} Idle (it ended the session: Cease/Administrative Shutdown)",
        ),
        ({"bgpState": "Active", "connectionsDropped": 0}, False, f"{R1} Active"),
        (
            {"bgpState": "Idle", "connectionsDropped": 1, "lastResetTimerMsecs": 1000, "lastResetDueTo": RECEIVED,
             "lastNotificationReason": "Cease/Maximum Number of Prefixes Reached"}, False, "raise the maximum-prefix",
        ),
    ],
)  # fmt: skip
def test_sessions(neighbor: dict[str, Any], may_pass: bool, sentence: str) -> None:
    found = shortage(Bgpd(neighbor, {}))
    assert sentence in found.sentences[0]
    assert found.may_pass == may_pass


@pytest.mark.parametrize(
    ("export", "line", "path", "sentence"),
    [
        ({}, "aggregate-address 192.0.2.0/24 summary-only", {}, "the summary of `aggregate-address 192.0.2.0/24 summary-only`"),
        ({}, "", {"suppressed": True}, f"{R1} is sent only the summary"),
        ({"prefixOutAllowedMax": 5, "sentPrefixCounter": 5}, "", {}, f"{R1} is sent no more than its maximum-prefix-out of 5"),
        ({}, "", {"communities": ("no-advertise",)}, "the announcement's community no-advertise sends it to no neighbor"),
        ({"outgoingUpdatePrefixFilterList": "P"}, "", {}, "(route-map ANYCAST-OUT, prefix-list P) that denies it"),
        ({"routeMapForOutgoingAdvertisements": ""}, "", {}, "Established for 60 s, but not sent: see bgpd's log"),
    ],
)
def test_causes(export: dict[str, Any], line: str, path: dict[str, Any], sentence: str) -> None:
    found = shortage(Bgpd({}, export, line), **path)
    assert sentence in found.sentences[0]
    assert not found.may_pass


def test_a_path_that_is_new_may_still_be_sent() -> None:
    assert shortage(Bgpd({}, {}), changed_at=time.time()).may_pass
    assert not shortage(Bgpd({}, {}), changed_at=time.time() - 60).may_pass
    assert not shortage(Bgpd({}, {"prefixOutAllowedMax": 5, "sentPrefixCounter": 5}), changed_at=time.time()).may_pass


def test_peers_by_their_group() -> None:
    route = Route(exists=True, valid=True, best=True, advertised_to=(R1,))
    assert judgement(Bgpd({}, {}), ("ROUTERS",)).told(route) == [R1]
    assert judgement(Bgpd({}, {}), ("OTHERS",)).told(route) == []
    found = judgement(Bgpd({}, {}), ("OTHERS", "ROUTERS")).shortage(route, [R1])
    assert found.sentences == ["bgpd has no neighbor OTHERS"]
    bgpd = Bgpd({}, {}, "\n neighbor OTHERS peer-group")
    found = judgement(bgpd, ("OTHERS", "ROUTERS")).shortage(route, [R1])
    assert found.sentences == ["peer-group OTHERS has no neighbor"]


def test_the_cause_comes_first() -> None:
    assert judgement(Bgpd({}, {})).too_few([], ["x"]) == "x: 192.0.2.53/32 is advertised to 0 peers, min_peers is 1"
    assert judgement(Bgpd({}, {})).too_few([], []).startswith("bgpd has no other IPv4 neighbor: ")


def test_queued_is_not_sent() -> None:
    slow = {"minBtwnAdvertisementRunsTimerMsecs": 10000}
    assert judgement(Bgpd(slow, {})).unsent([R1]) == [f"{R1} has not been sent it yet (`advertisement-interval 10` delays it)"]
    assert judgement(Bgpd(slow, {}, sent={V4.cidr: {"nextHop": "0.0.0.0"}})).unsent([R1]) == []
    # Its update-group has been sent it, and this member waits for its own interval.
    waiting = Bgpd(slow, {"packetQueueLength": 1}, sent={V4.cidr: {"nextHop": "0.0.0.0"}})
    assert len(judgement(waiting).unsent([R1])) == 1


@pytest.mark.parametrize(
    ("prefix", "neighbor", "next_hop", "sentence"),
    [
        (V4, {"hostLocal": "10.1.0.11", "nexthop": "10.1.0.99"}, "0.0.0.0", ""),  # the session's own address
        (V4, {"hostLocal": "10.1.0.11"}, "10.1.0.99", "the next hop 10.1.0.99, which is no address of this node"),
        (V4, {"hostLocal": "10.1.0.11"}, "10.1.0.11", ""),
        (V4, {"hostLocal": "2001:db8:1::11", "nexthop": "10.1.0.11"}, "0.0.0.0", ""),
        (V4, {"hostLocal": "2001:db8:1::11", "nexthop": "10.9.9.9"}, "0.0.0.0", "10.9.9.9, which is no address of this node"),
        (
            V4, {"hostLocal": "fe80::1", "nexthop": "10.9.9.9",
                 "neighborCapabilities": {"extendedNexthop": "advertisedAndReceived"}}, "::", "",
        ),
        (
            V4, {"hostLocal": "fe80::1", "nexthop": "10.9.9.9", "neighborCapabilities": {"extendedNexthop": "advertised"}},
            "0.0.0.0", "10.9.9.9",
        ),
        (V6, {"hostLocal": "10.1.0.11", "nexthopGlobal": "2001:db8:1::11"}, "::", ""),
        (V6, {"hostLocal": "10.1.0.11", "nexthopGlobal": "fe80::1"}, "::", "fe80::1, only a link-local address"),
        (V6, {"hostLocal": "fe80::1", "nexthopGlobal": "fe80::1"}, "::", ""),  # unnumbered: both ends know it
    ],
)  # fmt: skip
def test_next_hop(
    monkeypatch: pytest.MonkeyPatch, prefix: Any, neighbor: dict[str, Any], next_hop: str, sentence: str
) -> None:
    here = ("10.1.0.11", "2001:db8:1::11", "fe80::1")
    monkeypatch.setattr(bgp_announce_judgement, "find_address", lambda address: ["eth0"] if str(address) in here else [])
    bgpd = Bgpd(neighbor, {}, sent={prefix.cidr: {"nextHop" if prefix is V4 else "nextHopGlobal": next_hop}})
    found = Judgement(Announcer(bgpd), prefix, 1, ()).misdirected([R1])
    assert sentence in found if sentence else found == ""


def test_cautions() -> None:
    bgpd = Bgpd({}, {}, "redistribute connected")
    route = Route(exists=True)
    assert judgement(bgpd).cautions(route, True) == []
    route.redistributed, route.learned_from = True, (R1,)
    bgpd.config = bgpd.config.replace(" bgp router-id 10.1.0.11\n", "")
    source, learned, router_id = judgement(bgpd).cautions(route, True)
    assert "by `redistribute connected` as well, which no stop could withdraw" in source
    assert learned.startswith(f"{R1} sends a path to {V4.cidr}")
    assert "in use: 10.1.0.11" in router_id
