"""Who of a virtual service gets traffic: the rules of pool.py by example, and its invariants for any verdicts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocfpy.checks.settings import CheckSettings
from ocfpy.ipvs.model import RealKey, ServiceSettings, by_key, parse_real_server
from ocfpy.pool.placement import DOWN, DRAINED, POOLED, UNKNOWN, UP, alive, has_quorum, kernel_members, path_key, places
from ocfpy.pool.placement import Observation as Seen
from ocfpy.pool.spec import ServiceSpec

from tests.unit.healthd.samples import WEB, WEB6, pool
from tests.unit.ipvs.tables import bounded

SORRY = by_key([parse_real_server("10.0.0.99:53,forward=nat")])


def service(reals: str = "10.0.0.11 10.0.0.12", **more: Any) -> ServiceSpec:
    return pool(reals=reals, **more).services[0]


def key(last: int) -> RealKey:
    return parse_real_server(f"10.0.0.{last}:53").key


def seen(text: str, **more: Seen) -> dict[RealKey, Seen]:
    """What is known, by the last number of an address: "11+ 12- 13?", or more=Seen(...)."""
    up = {"+": True, "-": False, "?": None}
    found = {key(int(word[:-1])): Seen(up[word[-1]]) for word in text.split()}
    return {**found, **{key(int(name[1:])): one for name, one in more.items()}}


def weights(spec: ServiceSpec, what: dict[RealKey, Seen]) -> dict[str, int]:
    return {str(real.address): real.weight for real in kernel_members(spec, places(spec, what)).values()}


def test_paths_of_tunnels_differ_by_their_kind() -> None:
    """A check by way of the service to another kind of tunnel is another check; to a server that is routed to it is the same."""
    check = CheckSettings("tcp", via="vip")

    def path(words: str) -> str:
        spec = service(f"10.0.0.11,{words}", check=check)
        return path_key(spec, next(iter(spec.reals.values())))

    assert path("forward=tunnel") != path("forward=tunnel,tunnel_type=gue,tunnel_port=6080")
    assert path("forward=tunnel,tunnel_type=gue,tunnel_port=6080") != path("forward=tunnel,tunnel_type=gue,tunnel_port=6081")
    assert path("forward=dr") == path("forward=dr,weight=7") != path("forward=nat")


def test_up_has_its_weight_and_down_has_none() -> None:
    assert weights(service("10.0.0.11,weight=3 10.0.0.12"), seen("11+ 12-")) == {"10.0.0.11": 3, "10.0.0.12": 0}


def test_without_quiesce_down_is_gone() -> None:
    assert weights(service(quiesce=False), seen("11+ 12-")) == {"10.0.0.11": 1}


def test_without_a_verdict_it_stays_as_it_was_found() -> None:
    assert weights(service(), seen("", s11=Seen(None, found=1), s12=Seen(None))) == {"10.0.0.11": 1}
    assert weights(service(), seen("", s11=Seen(None, found=0), s12=Seen(None, found=7))) == {"10.0.0.11": 0, "10.0.0.12": 7}


def test_a_check_may_ask_for_a_share_of_the_weight() -> None:
    spec = service("10.0.0.11,weight=10 10.0.0.12,weight=10")
    assert weights(spec, seen("", s11=Seen(True, percent=35), s12=Seen(True, percent=1))) == {"10.0.0.11": 3, "10.0.0.12": 1}
    none = places(spec, seen("12+", s11=Seen(True, percent=0)))
    assert (none[key(11)].weight, alive(none)) == (0, 1)


@pytest.mark.parametrize(("settings", "there"), [(("sh",), False), (("sh", ("flag-1",)), True), (("wlc", ("flag-2",)), True)])
def test_one_that_asks_for_no_weight_is_not_there_where_its_clients_would_be_dropped(settings: Any, there: bool) -> None:
    spec = service("10.0.0.11,weight=10 10.0.0.12", settings=ServiceSettings(*settings), quiesce=False)
    what = seen("12+", s11=Seen(True, percent=0))
    assert weights(spec, what) == ({"10.0.0.11": 0} if there else {}) | {"10.0.0.12": 1}
    assert alive(places(spec, what)) == 1


def test_a_drained_server_leaves_although_its_check_succeeds() -> None:
    spec = service(drain_timeout=60.0)
    found = places(spec, seen("12+", s11=Seen(True, drained=True)))
    assert (found[key(11)].state, found[key(11)].weight, alive(found)) == (DRAINED, None, 1)


def test_where_nothing_drains_who_is_taken_out_is_down_and_weight_0_is_a_weight() -> None:
    assert weights(service("10.0.0.11,weight=0 10.0.0.12"), seen("11+", s12=Seen(True, drained=True))) == {
        "10.0.0.11": 0,
        "10.0.0.12": 0,
    }


def test_weight_0_by_configuration_is_not_alive() -> None:
    assert alive(places(service("10.0.0.11,weight=0 10.0.0.12"), seen("11+ 12+"))) == 1


def test_each_family_has_its_own_servers() -> None:
    web, web6 = pool(f"{WEB} {WEB6}", "10.0.0.11 [fd00::11]").services
    assert [str(real) for real in web.reals.values()] == ["10.0.0.11:80"]
    assert [str(real) for real in web6.reals.values()] == ["[fd00::11]:80"]


def test_a_family_without_servers_of_its_own_uses_tunnels() -> None:
    services = pool(f"{WEB} {WEB6}", "10.0.0.11,forward=tunnel").services
    assert [str(real) for one in services for real in one.reals.values()] == ["10.0.0.11:80", "10.0.0.11:80"]


def test_min_up_keeps_the_latest_to_fail() -> None:
    spec = service("10.0.0.11 10.0.0.12 10.0.0.13 10.0.0.14", min_up=2)
    first, second, third = Seen(False, 100.0), Seen(False, 200.0), Seen(False, 300.0)
    assert weights(spec, seen("13+ 14+", s11=first, s12=second)) == {
        "10.0.0.11": 0, "10.0.0.12": 0, "10.0.0.13": 1, "10.0.0.14": 1,
    }  # fmt: skip
    found = places(spec, seen("14+", s11=first, s12=second, s13=third))
    assert [found[key(n)].state for n in (11, 12, 13, 14)] == [DOWN, DOWN, POOLED, UP]
    assert alive(found) == 1
    found = places(spec, seen("", s11=first, s12=second, s13=third, s14=Seen(False, 50.0)))
    assert [found[key(n)].state for n in (11, 12, 13, 14)] == [DOWN, POOLED, POOLED, DOWN]
    assert alive(found) == 0


def test_min_up_among_those_that_never_were_up_keeps_those_that_were_in_service() -> None:
    spec = service(min_up=1)
    found = places(spec, seen("11-", s12=Seen(False, found=1)))
    assert [found[key(n)].state for n in (11, 12)] == [DOWN, POOLED]


def test_min_up_counts_who_is_taken_out_by_hand_but_does_not_keep_it() -> None:
    spec = service("10.0.0.11 10.0.0.12 10.0.0.13", min_up=2, drain_timeout=60.0)
    out = Seen(False, 900.0, drained=True)
    found = places(spec, seen("12+", s11=out, s13=Seen(False, 100.0)))
    assert [found[key(n)].state for n in (11, 12, 13)] == [DRAINED, UP, POOLED]


def test_a_sorry_server_has_traffic_only_without_another_server() -> None:
    spec = service(sorry=SORRY)
    assert "10.0.0.99" not in weights(spec, seen("11+ 12-"))
    assert weights(spec, seen("11- 12-")) == {"10.0.0.11": 0, "10.0.0.12": 0, "10.0.0.99": 1}
    assert alive(places(spec, seen("11- 12-"))) == 0


def test_quorum_is_lost_later_than_it_comes_back() -> None:
    spec = service(quorum=2, quorum_up=3)
    assert [has_quorum(spec, count, True) for count in (1, 2, 3)] == [False, True, True]
    assert [has_quorum(spec, count, False) for count in (1, 2, 3)] == [False, False, True]
    assert has_quorum(service(), 1, False)
    assert not has_quorum(service(), 0, True)


SEEN = st.builds(
    Seen,
    st.sampled_from([True, False, None]),
    st.sampled_from([0.0, 10.0, 20.0, 30.0]),
    st.sampled_from([100, 100, 50, 1, 0]),
    st.booleans(),
    st.sampled_from([None, 0, 1, 5]),
)


@st.composite
def situations(draw: st.DrawFn) -> tuple[ServiceSpec, dict[RealKey, Seen]]:
    """A service of any kind, and anything that may be known of its servers."""
    count = draw(st.integers(1, 6))
    reals = " ".join(f"10.0.0.{n},weight={draw(st.sampled_from([0, 1, 10]))}" for n in range(count))
    sorry = draw(st.booleans())
    spec = service(
        reals,
        quiesce=draw(st.booleans()),
        min_up=0 if sorry else draw(st.integers(0, count)),
        sorry=SORRY if sorry else {},
        drain_timeout=draw(st.sampled_from([None, 0.0, 60.0])),
    )
    return spec, {one: draw(SEEN) for one in spec.reals}


@bounded
@given(situations())
def test_invariants(situation: tuple[ServiceSpec, dict[RealKey, Seen]]) -> None:
    spec, what = situation
    found = places(spec, what)
    members = kernel_members(spec, found)
    traffic = {one for one, real in members.items() if real.weight and one in spec.reals}
    kept = {one for one, place in found.items() if place.state == POOLED}
    for one, real in spec.reals.items():
        known = what[one]
        if one in traffic:  # P0
            assert known.up or one in kept or (known.up is None and known.found)
            assert not known.drained
        if known.up and not known.drained and real.weight and known.percent:  # P1
            assert one in traffic
    eligible = [  # P2
        one for one, real in spec.reals.items() if what[one].up is not None and not what[one].drained and real.weight
    ]
    unshared = [one for one in eligible if not (what[one].up and not what[one].percent)]
    assert len(traffic) >= min(spec.min_up, len(unshared))
    assert not kept or len(traffic) <= spec.min_up  # P3
    for one in kept:
        assert what[one].up is False
        later = [other for other in unshared if found[other].state == DOWN and what[other].failed_at > what[one].failed_at]
        assert later == []
    assert bool(spec.sorry) <= (bool(traffic) != (members.keys() >= SORRY.keys()))  # P4
    assert alive(found) == len([one for one in traffic if what[one].up])  # P5
    assert all(place.state != UNKNOWN or what[one].up is None for one, place in found.items())
    assert places(spec, what) == found
