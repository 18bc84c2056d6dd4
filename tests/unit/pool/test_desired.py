"""From one wanted table to the next: drains, slow starts, quorum, and never an empty moment."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from ocfpy.ipvs.model import RealServer, Table, by_key, parse_real_server, parse_virtual
from ocfpy.ipvs.plan import ADD, DELETE, plan
from ocfpy.pool.desired import NEVER, Busy, Desired
from ocfpy.pool.placement import Observation
from ocfpy.pool.spec import PoolSpec, ServiceSpec

from tests.unit.healthd.samples import DNS, WEB, pool
from tests.unit.ipvs.tables import bounded

SORRY = by_key([parse_real_server("10.0.0.99:53")])
VIRTUAL = parse_virtual(DNS)


class Story:
    """A pool in time. `up`, `unknown` (without a verdict), `drained` and `busy` are addresses."""

    def __init__(self, spec: PoolSpec, up: str = "10.0.0.11 10.0.0.12") -> None:
        self.spec, self.up = spec, up
        self.drained, self.busy = "", ""
        self.now = 0.0
        self.unknown = ""
        self.desired = Desired()
        self.step()
        self.desired.settled = True

    def see(self, service: ServiceSpec, real: RealServer) -> Observation:
        address = str(real.address)
        up = None if address in self.unknown.split() else address in self.up.split()
        return Observation(up, drained=address in self.drained.split() or not real.weight)

    def step(self, seconds: float = 0.0, **changes: Any) -> dict[str, int]:
        """The weights of the first service, so many seconds later."""
        before = self.spec
        for name, value in changes.items():
            setattr(self, name, value)
        if self.spec is not before:
            self.desired.adopt(self.spec, {}, before)
        self.now += seconds
        busy = {where: Busy(clients=int(str(where[1][0]) in self.busy.split())) for where in self.desired.draining}
        self.desired.end_drains(busy, self.now)
        table = self.desired.update(self.spec, self.see, self.now)
        return {str(real.address): real.weight for real in table[self.spec.virtual[0]][1].values()}


def test_a_drained_server_goes_when_its_connections_have_ended() -> None:
    story = Story(pool(drain_timeout=60.0))
    assert story.step(drained="10.0.0.11", busy="10.0.0.11") == {"10.0.0.11": 0, "10.0.0.12": 1}
    assert story.step(30) == {"10.0.0.11": 0, "10.0.0.12": 1}
    assert story.step(1, busy="") == {"10.0.0.12": 1}
    assert story.step(1) == {"10.0.0.12": 1}
    assert story.step(1, drained="") == {"10.0.0.11": 1, "10.0.0.12": 1}


def test_or_when_it_takes_too_long() -> None:
    story = Story(pool(drain_timeout=60.0))
    story.step(drained="10.0.0.11", busy="10.0.0.11")
    assert story.desired.next_change(story.now) == 60.0
    assert story.step(59) == {"10.0.0.11": 0, "10.0.0.12": 1}
    assert story.step(1) == {"10.0.0.12": 1}


def test_another_drain_timeout_is_for_those_that_drain_already() -> None:
    story = Story(pool(drain_timeout=600.0))
    story.step(drained="10.0.0.11", busy="10.0.0.11")
    assert story.step(30, spec=pool(drain_timeout=60.0)) == {"10.0.0.11": 0, "10.0.0.12": 1}
    assert story.desired.next_change(story.now) == 60.0
    assert story.step(30) == {"10.0.0.12": 1}


def test_what_keeps_a_server_is_said() -> None:
    story = Story(pool(drain_timeout=60.0))
    story.step(drained="10.0.0.11", busy="10.0.0.11")
    story.step(1)
    (drain,) = story.desired.draining.values()
    assert str(drain.busy) == "1 persistent client"
    assert list(map(str, (Busy(), Busy(1), Busy(3, 2)))) == [
        "0 connections", "1 connection", "3 connections and 2 persistent clients",
    ]  # fmt: skip


def test_or_at_once() -> None:
    assert Story(pool(drain_timeout=0.0)).step(drained="10.0.0.11", busy="10.0.0.11") == {"10.0.0.12": 1}


def test_a_drain_that_is_called_off_is_over() -> None:
    story = Story(pool(drain_timeout=60.0))
    story.step(drained="10.0.0.11", busy="10.0.0.11")
    assert story.step(30, drained="") == {"10.0.0.11": 1, "10.0.0.12": 1}
    story.step(30, drained="10.0.0.11")
    assert story.step(59) == {"10.0.0.11": 0, "10.0.0.12": 1}, "it begins anew"


def test_weight_0_and_removed_from_the_configuration_drain_alike() -> None:
    story = Story(pool(drain_timeout=60.0))
    less = pool(reals="10.0.0.12", drain_timeout=60.0)
    assert story.step(spec=less, busy="10.0.0.11") == {"10.0.0.11": 0, "10.0.0.12": 1}
    assert story.step(1, busy="") == {"10.0.0.12": 1}
    story.step(1, spec=pool(drain_timeout=60.0))
    zero = pool(reals="10.0.0.11,weight=0 10.0.0.12", drain_timeout=60.0)
    assert story.step(1, spec=zero, busy="10.0.0.11") == {"10.0.0.11": 0, "10.0.0.12": 1}
    assert story.step(1, busy="") == {"10.0.0.12": 1}


def test_what_a_daemon_of_before_has_left_drains() -> None:
    left = parse_real_server("10.0.0.13:53,weight=5")
    spec = pool(drain_timeout=60.0)
    desired = Desired()
    settings = spec.services[0].settings
    desired.adopt(spec, {VIRTUAL: (settings, by_key([left])), parse_virtual(WEB): (settings, {})})
    table = desired.update(spec, lambda *_: Observation(True), 0.0)
    assert list(table) == [VIRTUAL]
    assert table[VIRTUAL][1][left.key].weight == 0
    assert list(desired.draining) == [(VIRTUAL, left.key)]


def test_where_nothing_drains_who_leaves_is_gone() -> None:
    story = Story(pool())
    assert story.step(spec=pool(reals="10.0.0.12"), busy="10.0.0.11") == {"10.0.0.12": 1}


def test_a_failed_server_does_not_drain() -> None:
    story = Story(pool(drain_timeout=60.0, quiesce=False))
    assert story.step(up="10.0.0.12", busy="10.0.0.11") == {"10.0.0.12": 1}


def test_a_sorry_server_drains_when_a_real_server_is_back() -> None:
    story = Story(pool(drain_timeout=60.0, sorry=SORRY), up="")
    assert story.step() == {"10.0.0.11": 0, "10.0.0.12": 0, "10.0.0.99": 1}
    assert story.step(1, up="10.0.0.11", busy="10.0.0.99") == {"10.0.0.11": 1, "10.0.0.12": 0, "10.0.0.99": 0}
    assert story.step(1, busy="") == {"10.0.0.11": 1, "10.0.0.12": 0}


SLOW = "10.0.0.11,weight=10 10.0.0.12,weight=10"


def test_who_is_back_starts_slowly() -> None:
    story = Story(pool(reals=SLOW, slow_start=30.0))
    story.step(1, up="10.0.0.12")
    assert story.step(1, up="10.0.0.11 10.0.0.12") == {"10.0.0.11": 1, "10.0.0.12": 10}
    assert story.desired.next_change(story.now) == story.now + 3
    assert story.step(3) == {"10.0.0.11": 2, "10.0.0.12": 10}
    assert story.step(24) == {"10.0.0.11": 10, "10.0.0.12": 10}
    story.step(3)
    assert story.desired.next_change(story.now) == NEVER


def test_no_server_starts_slowly_without_another_one() -> None:
    story = Story(pool(reals=SLOW, slow_start=30.0))
    story.step(1, up="")
    assert story.step(1, up="10.0.0.11") == {"10.0.0.11": 10, "10.0.0.12": 0}
    assert story.step(1, up="10.0.0.11 10.0.0.12") == {"10.0.0.11": 10, "10.0.0.12": 1}


def test_nor_beside_servers_that_are_down_but_pooled() -> None:
    story = Story(pool(reals=SLOW, slow_start=30.0, min_up=1))
    story.step(1, up="")
    assert story.step(1, up="10.0.0.12")["10.0.0.12"] == 10


def test_a_new_server_starts_slowly_but_none_at_the_start_of_the_pool() -> None:
    story = Story(pool(reals=SLOW, slow_start=30.0))
    assert story.step() == {"10.0.0.11": 10, "10.0.0.12": 10}
    more = pool(reals=f"{SLOW} 10.0.0.13,weight=10", slow_start=30.0)
    assert story.step(1, spec=more, up="10.0.0.11 10.0.0.12 10.0.0.13")["10.0.0.13"] == 1


def test_servers_beside_adopted_ones_begin_at_once_at_the_start_of_the_pool() -> None:
    spec = pool(reals=SLOW, slow_start=30.0)
    (service,) = spec.services
    desired = Desired()
    first = next(iter(service.reals.values()))
    desired.adopt(spec, {VIRTUAL: (service.settings, {first.key: first})})
    table = desired.update(spec, lambda *_: Observation(True), 0.0)
    assert [real.weight for real in table[VIRTUAL][1].values()] == [10, 10]


def test_the_next_change_is_the_nearest_of_drains_and_slow_starts() -> None:
    three = f"{SLOW} 10.0.0.13,weight=10"
    story = Story(pool(reals=three, slow_start=30.0, drain_timeout=60.0), up="10.0.0.12 10.0.0.13")
    story.step(1, up="10.0.0.11 10.0.0.12 10.0.0.13", drained="10.0.0.12", busy="10.0.0.12")
    assert story.desired.next_change(story.now) == story.now + 3, "the slow start's"
    story.step(27)
    story.step(3, busy="10.0.0.12")
    assert story.desired.next_change(story.now) == 61.0, "the drain's"


def test_a_quorum_is_as_it_was_while_adopted_servers_have_no_verdict() -> None:
    """Each counts once: one that is up and one that may be are two."""
    reals = "10.0.0.11 10.0.0.12 10.0.0.13"
    for quorum, is_lost in ((2, False), (3, True)):
        spec = pool(reals=reals, quorum=quorum)
        (service,) = spec.services
        desired = Desired()
        adopted = list(service.reals.values())[:2]
        desired.adopt(spec, {VIRTUAL: (service.settings, by_key(adopted))})
        verdicts = {"10.0.0.11": True, "10.0.0.12": None, "10.0.0.13": False}
        desired.update(spec, lambda _, real, verdicts=verdicts: Observation(verdicts[str(real.address)]), 0.0)  # type: ignore[misc]
        assert (VIRTUAL in desired.without_quorum) == is_lost


def test_the_cluster_is_told_of_the_weakest_service_and_of_lost_quorums() -> None:
    reals = "10.0.0.11 10.0.0.12 10.0.0.13"
    story = Story(pool(f"{DNS} {WEB}", reals, quorum=2, quorum_up=3), up=reals)
    told = []
    for up in (reals, "10.0.0.11 10.0.0.12", "10.0.0.11", "10.0.0.11 10.0.0.12", reals):
        story.step(1, up=up)
        told.append(story.desired.for_cluster())
    assert told == [3, 2, 0, 0, 3]


def test_a_quorum_that_was_lost_stays_lost_over_a_restart() -> None:
    spec = pool(quorum=1, quorum_up=2)
    desired = Desired()
    desired.without_quorum.add(VIRTUAL)
    desired.update(spec, lambda _, real: Observation(str(real.address) == "10.0.0.11"), 0.0)
    assert desired.for_cluster() == 0


# Never an empty moment.

ADDRESSES = [f"10.0.0.{n}" for n in (11, 12, 13, 14)]


@st.composite
def specs(draw: st.DrawFn) -> PoolSpec:
    """One service with any servers and rules."""
    reals = draw(st.lists(st.sampled_from(ADDRESSES), min_size=1, unique=True))
    sorry = draw(st.booleans())
    return pool(
        reals=" ".join(f"{real},weight={draw(st.sampled_from([0, 1, 10, 10]))}" for real in reals),
        quiesce=draw(st.booleans()),
        sorry=SORRY if sorry else {},
        min_up=0 if sorry else draw(st.integers(0, len(reals))),
        drain_timeout=draw(st.sampled_from([None, 0.0, 20.0])),
        slow_start=draw(st.sampled_from([0.0, 20.0])),
    )


def carried_out(table: Table, changes: list[Any]) -> list[Table]:
    """The table after every single change."""
    states = []
    for change in changes:
        table = {virtual: (settings, dict(reals)) for virtual, (settings, reals) in table.items()}
        settings, reals = table.get(change.virtual, (None, {}))
        if change.real is None and change.verb == DELETE:
            del table[change.virtual]
        elif change.real is None:
            assert (change.verb == ADD) == (settings is None)
            table[change.virtual] = change.settings, reals
        elif change.verb == DELETE:
            del reals[change.real.key]
        else:
            assert (change.verb == ADD) == (change.real.key not in reals)
            reals[change.real.key] = change.real
        states.append(table)
    return states


def has_traffic(table: Table) -> bool:
    return VIRTUAL in table and any(real.weight for real in table[VIRTUAL][1].values())


SUBSETS = st.lists(st.sampled_from(ADDRESSES), unique=True).map(" ".join)


MOMENTS = st.tuples(SUBSETS, SUBSETS, SUBSETS, SUBSETS, st.sampled_from([0.0, 1.0, 7.0, 30.0]))


@bounded
@given(st.data(), st.lists(MOMENTS, max_size=8))
def test_any_sequence_of_events(data: st.DataObject, events: list[tuple[str, str, str, str, float]]) -> None:
    story = Story(data.draw(specs()), up=data.draw(SUBSETS))
    before = story.desired.table
    for up, unknown, drained, busy, seconds in events:
        changes = {"spec": data.draw(specs())} if data.draw(st.booleans()) else {}
        held = {key: real for key, real in before[VIRTUAL][1].items() if real.weight}
        story.step(seconds, up=up, unknown=unknown, drained=drained, busy=busy, **changes)
        after = story.desired.table
        states = carried_out(before, plan(before, after, set(before)))
        assert (states[-1] if states else before) == after
        if has_traffic(before) and has_traffic(after):
            assert all(map(has_traffic, states))  # T1
        (service,) = story.spec.services
        if service.drain_timeout:
            for key in held.keys() - after[VIRTUAL][1].keys():  # T0
                assert str(key[0]) in ADDRESSES
                assert str(key[0]) not in up.split()
                assert key in service.reals or key in story.desired.leaving.get(VIRTUAL, {})
        assert all(after[VIRTUAL][1][key].weight == 0 for _, key in story.desired.draining)
        assert len(story.desired.draining) == 0 or service.drain_timeout
        before = after
