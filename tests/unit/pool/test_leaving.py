"""A reload that replaces servers: the old ones serve until the new ones are up."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ocfpy.ipvs.model import parse_real_server, parse_virtual
from ocfpy.pool.desired import Desired
from ocfpy.pool.leaving import Handover
from ocfpy.pool.placement import Observation
from ocfpy.pool.spec import PoolSpec

from tests.unit.healthd.samples import DNS, pool
from tests.unit.ipvs.tables import bounded
from tests.unit.pool.test_desired import SORRY, Story

VIRTUAL = parse_virtual(DNS)
A, B, C = "10.0.0.11", "10.0.0.12", "10.0.0.13"


def blue(reals: str = A, **more: Any) -> PoolSpec:
    return pool(reals=reals, **{"drain_timeout": 60.0, **more})


def test_old_servers_keep_their_weight_until_the_first_new_one_is_up() -> None:
    story = Story(blue(f"{A},weight=7 {B}"), up=f"{A} {B}")
    green = blue(f"{C},weight=3 10.0.0.14")
    assert story.step(1, spec=green, unknown=f"{C} 10.0.0.14") == {A: 7, B: 1}
    assert story.desired.for_cluster() == 2
    assert not story.desired.is_handover_stuck(VIRTUAL)
    assert story.step(1, up=f"{A} {B} {C}", unknown="10.0.0.14", busy=f"{A} {B}") == {A: 0, B: 0, C: 3}
    assert story.desired.leaving_servers() == set()
    assert story.step(1, busy="") == {C: 3}


@pytest.mark.parametrize("more", [{"drain_timeout": None}, {"drain_timeout": 0.0}, {"quiesce": False}], ids=str)
def test_it_is_the_same_where_nothing_drains(more: dict[str, Any]) -> None:
    story = Story(blue(**more), up=A)
    assert story.step(1, spec=blue(B, **more), unknown=B) == {A: 1}
    assert story.step(1, up=f"{A} {B}", unknown="")[B] == 1
    assert story.step(1) == {B: 1}


def test_a_server_that_stays_and_is_down_replaces_no_other() -> None:
    story = Story(blue(f"{A} {B}"), up=A)
    assert story.step(1, spec=blue(f"{B} {C}"), unknown=C) == {A: 1, B: 0}
    assert story.step(1, up=f"{A} {C}", unknown="", busy=A) == {A: 0, B: 0, C: 1}


def test_a_server_that_stays_and_is_up_does() -> None:
    story = Story(blue(f"{A} {B}"), up=f"{A} {B}")
    assert story.step(1, spec=blue(f"{B} {C}"), unknown=C, busy=A) == {A: 0, B: 1}


def test_a_changed_port_is_a_new_server() -> None:
    story = Story(blue(f"{A}:53,forward=nat"), up=A)
    story.step(1, spec=blue(f"{A}:5353,forward=nat"), unknown=A)
    weights = {key[1]: real.weight for key, real in story.desired.table[VIRTUAL][1].items()}
    assert weights == {53: 1}


def test_no_new_server_comes_up() -> None:
    story = Story(blue(sorry=SORRY), up=A)
    assert story.step(1, spec=blue(B, sorry=SORRY)) == {A: 1, B: 0}
    assert story.step(900) == {A: 1, B: 0}
    assert story.desired.is_handover_stuck(VIRTUAL)
    assert str(story.desired.handover(VIRTUAL)) == "no new server is up"
    assert story.desired.for_cluster() == 1


def test_an_old_server_that_dies_meanwhile_is_out_and_one_that_comes_back_is_in() -> None:
    story = Story(blue(sorry=SORRY), up=A)
    story.step(1, spec=blue(B, sorry=SORRY))
    assert story.step(1, up="") == {A: 0, B: 0, "10.0.0.99": 1}
    assert story.desired.for_cluster() == 0
    assert story.step(1, up=A, busy="10.0.0.99") == {A: 1, B: 0, "10.0.0.99": 0}


def test_an_old_server_without_traffic_gets_none() -> None:
    story = Story(blue(f"{A} {B}"), up=A)
    assert story.step(1, spec=blue(C), up=f"{A} {B}", unknown=C) == {A: 1, B: 0}


def test_an_old_server_taken_out_by_hand_is_out_at_once() -> None:
    story = Story(blue(f"{A} {B}"), up=f"{A} {B}")
    story.step(1, drained=B, busy=B)
    assert story.step(1, spec=blue(C), unknown=C) == {A: 1, B: 0}
    assert story.step(1, drained=f"{A} {B}", busy=f"{A} {B}") == {A: 0, B: 0}


def test_the_next_reload_comes_before_the_handover() -> None:
    story = Story(blue(f"{A} {B}"), up=f"{A} {B}")
    story.step(1, spec=blue(C), unknown=C)
    assert story.step(1, spec=blue("10.0.0.14"), unknown=f"{C} 10.0.0.14") == {A: 1, B: 1}
    assert story.step(1, spec=blue(f"{A} 10.0.0.14"), busy=B) == {A: 1, B: 0}
    assert story.step(1, busy="", up=f"{A} 10.0.0.14", unknown="") == {A: 1, "10.0.0.14": 1}


@pytest.mark.parametrize("more", [{"quorum": 2}, {"min_up": 2}], ids=str)
def test_as_many_new_servers_are_up_as_quorum_and_min_up_ask_for(more: dict[str, Any]) -> None:
    story = Story(blue(f"{A} {B}", **more), up=f"{A} {B}")
    green = blue(f"{C} 10.0.0.14", **more)
    story.step(1, spec=green, unknown=f"{C} 10.0.0.14")
    assert story.step(1, up=f"{A} {B} {C}", unknown="") == {A: 1, B: 1, C: 1, "10.0.0.14": 0}
    assert story.desired.handover(VIRTUAL) == Handover(1, 2)
    assert str(story.desired.handover(VIRTUAL)) == "only 1 of 2 new servers that it needs are up"
    assert story.desired.for_cluster() == 3
    assert story.step(1, up=f"{A} {B} {C} 10.0.0.14", busy=f"{A} {B}") == {A: 0, B: 0, C: 1, "10.0.0.14": 1}
    assert story.desired.for_cluster() == 2


def test_no_more_are_asked_for_than_there_can_be() -> None:
    story = Story(blue(f"{A} {B}", quorum=2), up=f"{A} {B}")
    assert story.step(1, spec=blue(C, quorum=2), up=f"{A} {B} {C}", busy=f"{A} {B}") == {A: 0, B: 0, C: 1}


def test_weight_0_is_obeyed_once_another_server_is_up() -> None:
    story = Story(blue(), up=A)
    assert story.step(1, spec=blue(f"{A},weight=0 {B}"), unknown=B) == {A: 1}
    assert story.step(1, up=f"{A} {B}", unknown="", busy=A) == {A: 0, B: 1}


def test_and_at_once_where_no_other_server_could_take_over() -> None:
    story = Story(blue(), up=A)
    assert story.step(1, spec=blue(f"{A},weight=0"), busy=A) == {A: 0}


def test_a_service_without_servers_is_what_the_operator_wants() -> None:
    story = Story(blue(sorry=SORRY), up=A)
    empty = blue(sorry=SORRY)
    empty = empty.replace(services=(empty.services[0].replace(reals={}),))
    assert story.step(1, spec=empty, busy=A) == {A: 0, "10.0.0.99": 1}


def test_what_another_daemon_has_left_serves_until_the_new_servers_have_been_checked() -> None:
    left = parse_real_server(f"{C}:53,weight=5")
    spec = blue(f"{A} {B}")
    verdicts: dict[str, bool | None] = {A: None, B: None}
    desired = Desired()
    desired.adopt(spec, {VIRTUAL: (spec.services[0].settings, {left.key: left})})

    def weights(**changes: bool) -> dict[str, int]:
        verdicts.update({{"a": A, "b": B}[name]: up for name, up in changes.items()})
        table = desired.update(spec, lambda _, real: Observation(verdicts.get(str(real.address), True)), 0.0)
        return {str(real.address): real.weight for real in table[VIRTUAL][1].values()}

    assert weights() == {C: 5}
    assert weights(a=False) == {A: 0, C: 5}
    assert desired.for_cluster() == 0, "nothing has said that it is alive"
    assert weights(b=False) == {A: 0, B: 0, C: 0}


def test_a_new_server_has_its_whole_weight_at_once_when_the_old_ones_go() -> None:
    story = Story(blue(f"{A},weight=10", slow_start=30.0), up=A)
    story.step(1, spec=blue(f"{B},weight=10", slow_start=30.0), unknown=B)
    assert story.step(1, up=f"{A} {B}", unknown="", busy=A) == {A: 0, B: 10}


@st.composite
def reloads(draw: st.DrawFn) -> list[tuple[dict[str, int] | None, dict[str, str]]]:
    """Moments: the weights of a new configuration, None without one, and what is known of each of three servers."""
    weights = st.dictionaries(st.sampled_from([A, B, C]), st.sampled_from([0, 10, 10, 10]), min_size=1, max_size=2)
    verdicts = st.fixed_dictionaries({name: st.sampled_from(["up", "up", "down", "unknown", "drained"]) for name in (A, B, C)})
    return draw(st.lists(st.tuples(st.none() | weights, verdicts), min_size=2, max_size=6))


@bounded
@given(
    reloads(),
    st.fixed_dictionaries(
        {
            "quiesce": st.booleans(),
            "drain_timeout": st.sampled_from([None, 0.0, 60.0]),
            "slow_start": st.sampled_from([0.0, 20.0]),
            "sorry": st.sampled_from([{}, SORRY]),
            "min_up": st.integers(0, 2),
            "quorum": st.integers(1, 2),
        }
    ),
)
def test_no_reload_takes_the_last_live_server(moments: list[tuple[dict[str, int] | None, dict[str, str]]], rules: Any) -> None:
    story = Story(blue(f"{A} {B}", **rules), up=f"{A} {B}")
    for weights, verdicts in moments:
        held = {key for key, real in story.desired.table[VIRTUAL][1].items() if real.weight}
        changes = {} if weights is None else {"spec": blue(" ".join(f"{a},weight={w}" for a, w in weights.items()), **rules)}
        known = {word: " ".join(name for name, of in verdicts.items() if of == word) for word in ("up", "unknown", "drained")}
        story.step(1, **changes, **known)
        (service,), after = story.spec.services, story.desired.table[VIRTUAL][1]
        is_live = {key for key in held if verdicts.get(str(key[0])) == "up"}
        others_may_come = any(real.weight and verdicts[str(real.address)] != "drained" for real in service.reals.values())
        if is_live if others_may_come else is_live - service.reals.keys():
            assert [key for key, real in after.items() if real.weight and verdicts.get(str(key[0])) == "up"]
