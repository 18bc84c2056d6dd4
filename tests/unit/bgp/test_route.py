"""Every shape in which FRR 8.4 and 10.3 show a prefix, and that another one is an error."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ocfpy.bgp.answer import Answer
from ocfpy.bgp.errors import UnknownAnswer
from ocfpy.bgp.route import Route, read_route

SELF = {"peerId": "0.0.0.0", "routerId": "10.1.0.11"}
OURS: dict[str, Any] = {
    "origin": "IGP", "valid": True, "sourced": True, "local": True, "bestpath": {"overall": True, "selectionReason": "Origin"},
    "lastUpdate": {"epoch": 1795946967, "string": "Sun Nov 29 10:09:27 2026\n"}, "peer": SELF,
}  # fmt: skip
REDISTRIBUTED: dict[str, Any] = {"origin": "incomplete", "valid": True, "sourced": True, "peer": SELF}
AGGREGATED: dict[str, Any] = {"valid": True, "aggregated": True, "local": True, "peer": SELF}
LEARNED: dict[str, Any] = {"valid": True, "peer": {"peerId": "10.1.0.1", "type": "external"}}
TOLD = {"10.1.0.1": {"hostname": "r1"}, "10.1.0.2": {"hostname": "r2"}}
NAMES = ("10.1.0.1", "10.1.0.2")


def route(*paths: object, **more: object) -> Route:
    return read_route(Answer({"prefix": "192.0.2.53/32", "paths": list(paths), **more}, "`show`"))


def test_told_beside_the_paths() -> None:
    assert route(OURS, advertisedTo=TOLD).advertised_to == NAMES


def test_told_within_the_paths() -> None:
    """As soon as one neighbor has addpath-tx-all-paths."""
    assert route({**OURS, "advertisedTo": TOLD, "addpathTxId": 2}).advertised_to == NAMES
    second = {**OURS, "bestpath": {}, "advertisedTo": {"10.1.0.2": {}}}
    assert route({**LEARNED, "bestpath": {"overall": True}, "advertisedTo": TOLD}, second).advertised_to == ("10.1.0.2",)


def test_a_redistributed_prefix_is_not_ours() -> None:
    assert not route(REDISTRIBUTED, advertisedTo=TOLD).exists
    for paths in ((REDISTRIBUTED, OURS), (OURS, REDISTRIBUTED), (OURS, AGGREGATED)):
        found = route(*paths, advertisedTo=TOLD)
        assert (found.exists, found.redistributed, found.advertised_to) == (True, True, NAMES)
    found = route({**REDISTRIBUTED, "removed": True})
    assert (found.redistributed, found.leaving) == (False, True)


def test_a_learned_path_has_its_neighbor() -> None:
    assert route(OURS, LEARNED).learned_from == ("10.1.0.1",)
    assert not route(OURS, LEARNED).redistributed


def test_what_keeps_the_path_here() -> None:
    found = route({**OURS, "suppressed": True, "community": {"string": "no-advertise 65000:1", "list": ["noAdvertise"]}})
    assert (found.suppressed, found.communities, found.changed_at) == (True, ("no-advertise", "65000:1"), 1795946967)


@pytest.mark.parametrize(
    "reply",
    [
        {"prefix": "192.0.2.53/32", "routes": []},
        {"paths": {"1": OURS}},
        {"paths": ["ours"]},
        {"paths": [{"valid": True}]},
        {"paths": [{**OURS, "valid": "yes"}]},
        {"paths": [{**OURS, "bestpath": True}]},
        {"paths": [OURS], "advertisedTo": ["10.1.0.1"]},
    ],
)
def test_a_shape_that_is_not_known_is_no_answer(reply: dict[str, Any]) -> None:
    with pytest.raises(UnknownAnswer, match=r"`show`.*this FRR is not supported"):
        read_route(Answer(reply, "`show`"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["paths", *OURS, "removed", "advertisedTo", "community", "type", "epoch"]), inner),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_any_json_is_read_or_refused(value: object) -> None:
    try:
        read_route(Answer(value, "`show`"))
    except UnknownAnswer:
        pass
