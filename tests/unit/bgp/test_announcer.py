"""What the announcer makes of bgpd's answers, word for word as FRR 8.4.4 and 10.3 give them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
from ocfpy.bgp.announcer import Announcer
from ocfpy.bgp.errors import CommandRefused, FrrError
from ocfpy.ocf.addresses import parse_address
from ocfpy.ocf.errors import HostError

V4 = parse_address("192.0.2.53")
V6 = parse_address("2001:db8::53")
OURS: dict[str, Any] = {"local": True, "sourced": True, "valid": True, "bestpath": {"overall": True}}
LEARNED: dict[str, Any] = {"valid": True, "peer": {"peerId": "10.1.0.1", "type": "external"}}
TOLD = {"10.1.0.1": {"hostname": "r1"}, "10.1.0.2": {"hostname": "r2"}}


class Script:
    """A backend that answers from a table and writes down what it is told."""

    def __init__(
        self, shows: dict[str, object] | None = None, refusals: dict[str, str] | None = None
    ) -> None:
        self.shows = shows or {}
        self.refusals = refusals or {}
        self.configured: list[tuple[str, ...]] = []

    def show(self, command: str) -> str:
        answer = self.shows[command]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, str) else json.dumps(answer, indent=2) + "\n"

    def configure(self, lines: Iterable[str]) -> None:
        self.configured.append(tuple(lines))
        for line in self.configured[-1]:
            if line in self.refusals:
                raise CommandRefused(line, 13, self.refusals[line])

    def configure_each(self, statements: Iterable[tuple[tuple[str, ...], str]]) -> dict[str, CommandRefused]:
        taken = list(statements)
        self.configured.append(tuple(line for place, statement in taken for line in (*place, statement)))
        for line in (line for place, _ in taken for line in place):
            if line in self.refusals:
                raise CommandRefused(line, 13, self.refusals[line])
        return {line: CommandRefused(line, 13, self.refusals[line]) for _, line in taken if line in self.refusals}


def route_of(*paths: dict[str, Any], **more: object) -> tuple[object, ...]:
    reply = {"prefix": "192.0.2.53/32", "paths": list(paths), **more} if paths else {}
    route = Announcer(Script({"show bgp ipv4 unicast 192.0.2.53/32 json": reply})).route(V4)
    return route.exists, route.leaving, route.valid, route.best, route.advertised_to


def test_route() -> None:
    assert route_of() == (False, False, False, False, ())
    assert route_of(OURS, advertisedTo=TOLD) == (True, False, True, True, ("10.1.0.1", "10.1.0.2"))
    assert route_of(OURS) == (True, False, True, True, ())


def test_route_without_the_address() -> None:
    """import-check: the path is shown as local all the same."""
    assert route_of({**OURS, "valid": False, "bestpath": {}}) == (True, False, False, False, ())


def test_route_learned_from_a_neighbor_is_not_ours() -> None:
    assert route_of({**LEARNED, "bestpath": {"overall": True}}, advertisedTo=TOLD) == (
        False,
        False,
        False,
        False,
        (),
    )
    second = {**OURS, "bestpath": {}}
    assert route_of({**LEARNED, "bestpath": {"overall": True}}, second, advertisedTo=TOLD) == (
        True, False, True, False, ()
    )  # fmt: skip


def test_route_whose_withdrawal_is_in_the_queue() -> None:
    assert route_of({**OURS, "removed": True}, advertisedTo=TOLD) == (False, True, False, False, ())
    assert route_of({**OURS, "removed": True}, OURS)[0]


@pytest.mark.parametrize("warning", ["Default BGP instance not found", "View/Vrf is unknown"])
def test_no_instance_has_no_route(warning: str) -> None:
    command = "show bgp vrf red ipv6 unicast 2001:db8::53/128 json"
    refusal = CommandRefused(command, 1, f'{{ "warning":"{warning}" }}')
    assert not Announcer(Script({command: refusal}), "red").route(V6).exists


@pytest.mark.parametrize("warning", ["Default BGP instance not found", "View/Vrf is unknown"])
def test_no_instance_by_way_of_vtysh(warning: str) -> None:
    command = "show bgp ipv4 unicast 192.0.2.53/32 json"
    assert not Announcer(Script({command: {"warning": warning}})).route(V4).exists
    with pytest.raises(CommandRefused):
        Announcer(Script({command: {"warning": "Something else"}})).route(V4)


def test_any_other_refusal_is_not_an_answer() -> None:
    command = "show bgp ipv4 unicast 192.0.2.53/32 json"
    with pytest.raises(CommandRefused):
        Announcer(Script({command: CommandRefused(command, 2, "% Unknown command")})).route(V4)
    with pytest.raises(FrrError, match="cannot be read"):
        Announcer(Script({command: "% not JSON\n"})).route(V4)


def test_announce_and_withdraw() -> None:
    script = Script()
    Announcer(script).announce(V4)
    Announcer(script).announce(V6, "DRAIN")
    Announcer(script).withdraw(V4)
    assert script.configured == [
        ("router bgp", "address-family ipv4 unicast", "network 192.0.2.53/32"),
        ("router bgp", "address-family ipv6 unicast", "network 2001:db8::53/128 route-map DRAIN"),
        ("router bgp", "address-family ipv4 unicast", "no network 192.0.2.53/32"),
    ]


def test_withdrawing_what_is_not_there() -> None:
    line = "no network 192.0.2.53/32"
    Announcer(Script(refusals={line: "% Can't find static route specified\n"})).withdraw(V4)
    Announcer(Script(refusals={"router bgp": "% No BGP process is configured\n"})).withdraw(V4)
    with pytest.raises(CommandRefused):
        Announcer(Script(refusals={line: "% Something else\n"})).withdraw(V4)


def test_the_as_number_is_read() -> None:
    summary = {"ipv4Unicast": {"as": 65099, "peers": {}}}
    script = Script({"show bgp vrf red summary json": summary})
    Announcer(script, "red").announce(V4)
    assert script.configured[-1][0] == "router bgp 65099 vrf red"
    script = Script({"show bgp summary json": summary}, {"router bgp": "% Please specify ASN and VRF\n"})
    Announcer(script).announce(V4)
    assert script.configured[-1][0] == "router bgp 65099"


@pytest.mark.parametrize("answer", [{}, CommandRefused("show bgp summary json", 1, "{}")])
def test_the_as_number_is_never_guessed(answer: object) -> None:
    shows = {"show bgp summary json": answer, "show running-config": "router bgp 65099 vrf red\nexit\n"}
    script = Script(shows, {"router bgp": "% Please specify ASN and VRF\n"})
    with pytest.raises(HostError, match="router bgp"):
        Announcer(script).announce(V4)
    assert len(script.configured) == 1


def test_an_instance_without_a_neighbor_is_left_as_well() -> None:
    """bgpd's summary is empty then; the statement would stay, and stop with it."""
    config = "router bgp 65010\n neighbor 10.1.0.1 remote-as 65000\nexit\n!\nrouter bgp 65099 vrf red\nexit\n"
    script = Script({"show bgp vrf red summary json": {}, "show running-config": config})
    Announcer(script, "red").withdraw(V4)
    assert script.configured[-1][0] == "router bgp 65099 vrf red"
    assert script.configured[-1][-1] == "no network 192.0.2.53/32"


def test_peers() -> None:
    known = {
        "10.1.0.1": {"state": "Established", "peerState": "OK"},
        "10.1.0.2": {"state": "Established", "peerState": "Policy"},
        "eth1": {"state": "Active", "peerState": "OK"},
    }
    summary = {"ipv4Unicast": {"as": 1, "peers": known}}
    script = Script({"show bgp summary json": summary, "show bgp neighbors json": {}})
    assert [str(peer) for peer in Announcer(script).peers(V4)] == [
        "10.1.0.1 Established",
        "10.1.0.2 Established without an export policy (RFC 8212)",
        "eth1 Active",
    ]
    assert Announcer(script).peers(V6) == []


TOO_MANY = "Cease/Maximum Number of Prefixes Reached"
RECEIVED, SENT = "BGP Notification received", "BGP Notification send"


@pytest.mark.parametrize(
    ("neighbor", "ended"),
    [
        ({"lastResetDueTo": RECEIVED, "lastNotificationReason": TOO_MANY}, f" (it ended the session: {TOO_MANY})"),
        ({"lastResetDueTo": SENT, "lastNotificationReason": "Hold"}, " (this node ended the session: Hold)"),
        ({"lastResetDueTo": "No AFI/SAFI activated for peer", "lastNotificationReason": TOO_MANY}, ""),
        ({"lastResetDueTo": RECEIVED}, ""),
        ({"lastResetDueTo": RECEIVED, "lastNotificationReason": TOO_MANY, "bgpState": "Established"}, ""),
    ],
)
def test_why_a_peer_has_no_session(neighbor: dict[str, str], ended: str) -> None:
    summary = {"ipv4Unicast": {"as": 1, "peers": {"eth1": {"state": "Active"}}}}
    neighbors = {"vrfName": "red", "eth1": neighbor}
    script = Script({"show bgp vrf red summary json": summary, "show bgp vrf red neighbors json": neighbors})
    (peer,) = Announcer(script, "red").peers(V4)
    assert str(peer) == f"eth1 Active{ended}"
    assert peer.hit_max_prefix == (TOO_MANY in ended)


def test_what_a_peer_was_sent() -> None:
    command = "show bgp vrf red ipv6 unicast neighbors eth1 advertised-routes json"
    script = Script({command: {"advertisedRoutes": {"2001:db8::53/128": {}}, "totalPrefixCounter": 1}})
    assert Announcer(script, "red").sent(V6, "eth1") == {"2001:db8::53/128": ""}


def test_instance() -> None:
    config = "router bgp 65010\nexit\nrouter bgp 65010 vrf red\n no bgp network import-check\nexit\n"
    script = Script({"show running-config": config})
    assert Announcer(script).instance().hazards() == []
    assert len(Announcer(script, "red").instance().hazards()) == 1


@pytest.mark.parametrize("answer", [{"BGP": {"DRAIN": {}}}, {"DRAIN": {}}])
def test_route_map(answer: object) -> None:
    script = Script({"show route-map DRAIN json": answer, "show route-map NOPE json": {"BGP": {}}})
    assert Announcer(script).has_route_map("DRAIN")
    assert not Announcer(script).has_route_map("NOPE")


def test_many_changes_are_one_conversation() -> None:
    script = Script(refusals={"no network 192.0.2.54/32": "% Can't find static route specified"})
    gone = [V4, V6, parse_address("192.0.2.54")]
    assert Announcer(script).change(gone, [(parse_address("192.0.2.55"), "MAP")]) == {}
    four, six = ("router bgp", "address-family ipv4 unicast"), ("router bgp", "address-family ipv6 unicast")
    assert script.configured == [
        (
            *(*four, "no network 192.0.2.53/32"),
            *(*four, "no network 192.0.2.54/32"),
            *(*four, "network 192.0.2.55/32 route-map MAP"),
            *(*six, "no network 2001:db8::53/128"),
        )
    ]


def test_change_that_is_refused_is_named_by_its_prefix() -> None:
    script = Script(refusals={"network 192.0.2.53/32": "% no"})
    refused = Announcer(script).change([V6], [(V4, "")])
    assert list(refused) == ["192.0.2.53/32"]
    assert refused["192.0.2.53/32"].text == "% no"


def test_changes_where_there_is_no_instance() -> None:
    script = Script(refusals={"router bgp": "% No BGP process is configured"})
    assert Announcer(script).change([V4, V6]) == {}
    with pytest.raises(CommandRefused, match="No BGP process"):
        Announcer(script).change([V6], [(V4, "")])


@pytest.mark.parametrize("line", ["router bgp", "no network 192.0.2.53/32"])
def test_changes_where_there_are_several_instances(line: str) -> None:
    """The line that is refused, or with vtysh the statement behind it."""
    script = Script(
        {"show bgp summary json": {"ipv4Unicast": {"as": 65010}}},
        {line: "% Please specify ASN and VRF"},
    )
    refused = Announcer(script).change
    if line == "router bgp":
        assert refused([V4]) == {}
        assert script.configured[-1] == ("router bgp 65010", "address-family ipv4 unicast", "no network 192.0.2.53/32")
    else:
        with pytest.raises(CommandRefused, match="specify ASN"):
            refused([V4])
        assert [configured[0] for configured in script.configured] == ["router bgp", "router bgp 65010"]


def test_changes_in_a_vrf() -> None:
    script = Script({"show bgp vrf red summary json": {"ipv4Unicast": {"as": 65099}}})
    assert Announcer(script, "red").change([V4]) == {}
    assert script.configured == [("router bgp 65099 vrf red", "address-family ipv4 unicast", "no network 192.0.2.53/32")]
