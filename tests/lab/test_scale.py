"""Several services on one pair: their routes go with their last real server and return with the first, without waiting for
Pacemaker, which has all of them to move; and it is told of all of them at once."""
from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import pytest

from tests.lab.testbed import Lab, UmlNode, wait_for
from tests.lab.testbed.scale import Pair

SERVICES = 6
LIMIT = 600.0
"""Seconds for anything to happen, on a machine that may be busy."""
ROUTE_S = 0.7
"""Seconds from the verdict of the node that announces to the route at the router, in a lab whose commands take USUAL_COMMAND."""
USUAL_COMMAND = 0.1
"""Seconds that a node takes to start an interpreter and say so. Where it takes longer, everything else in this lab does, too."""
LAST = 3
"""The last route may take so many times as long: the node works through the verdicts of all services one after the other."""


@pytest.fixture(scope="module")
def pair(served: Lab) -> Iterator[Pair]:
    """Site B with the services, all announced, beside what it serves already; afterwards without them, as it was."""
    served.site_b.cluster.run("crm_resource --cleanup", timeout=60).check()
    served.site_b.cluster.wait_idle()
    pair = Pair(served.site_b, SERVICES)
    mark = pair.load()
    try:
        pair.settle(mark, lambda: all_announced(pair), LIMIT, "all services are announced")
        pair.watch_tables()
        yield pair
    finally:
        pair.unload(LIMIT)


def all_announced(pair: Pair) -> bool:
    return len(pair.announced()) == SERVICES


def none_announced(pair: Pair) -> bool:
    return not pair.announced()


def slowness(node: UmlNode) -> float:
    """How many times longer than usual this lab takes for a command; at least 1."""
    took = []
    for _ in range(5):
        begun = time.monotonic()
        node.run("/usr/bin/python3 -IS -c pass").check()
        took.append(time.monotonic() - begun)
    return max(1.0, statistics.median(took) / USUAL_COMMAND)


def no_failure(pair: Pair, bfd_downs: int) -> bool:
    """Whether the cluster counts no failure, or the network was one: a BFD session went down."""
    return pair.site.cluster.fail_counts() == {} or pair.site.router.bfd_downs() != bfd_downs


def judge(pair: Pair, since: float, where: dict[str, list[str]], alive: bool, limit: float) -> None:
    """Hold the time from what the table of the announcing node says to the route against `limit` seconds, over all services."""
    tables, routes = pair.tables(since), pair.routes(since)
    lags = []
    for name, nodes in where.items():
        seen = min(at for node in nodes for at, count in tables.get((name, node), []) if bool(count) == alive)
        moved = min(at for at, hops in routes[name] if bool(hops) == alive)
        lags.append(moved - seen)
    print(f"routes {'came' if alive else 'went'} after {', '.join(f'{lag:.2f}' for lag in sorted(lags))} s; bar {limit:.2f} s")
    assert statistics.median(lags) <= limit
    assert max(lags) <= LAST * limit


def test_routes_go_and_return_with_the_real_servers_and_pacemaker_follows(pair: Pair) -> None:
    downs = pair.site.router.bfd_downs()
    limit = ROUTE_S * slowness(pair.site.nodes[0])
    where, mark = pair.announced(), pair.mark()
    pair.reals.stop()
    wait_for(lambda: none_announced(pair), LIMIT, "no route is left")
    judge(pair, mark.at, where, False, limit)
    pair.settle(mark, lambda: not pair.running(), LIMIT, "Pacemaker has stopped what announces")
    print(f"dead: {mark.transitions()} transitions")
    mark = pair.mark()
    pair.reals.start()
    pair.settle(mark, lambda: all_announced(pair), LIMIT, "all services are announced again")
    print(f"back: {mark.transitions()} transitions")
    assert no_failure(pair, downs), pair.site.cluster.status()


def test_routes_follow_the_real_servers_although_pacemaker_does_nothing(pair: Pair) -> None:
    cluster, downs = pair.site.cluster, pair.site.router.bfd_downs()
    cluster.run("crm_attribute -n maintenance-mode -v true").check()
    try:
        cluster.wait_idle(LIMIT)
        limit = ROUTE_S * slowness(pair.site.nodes[0])
        where, mark = pair.announced(), pair.mark()
        pair.reals.stop()
        wait_for(lambda: none_announced(pair), LIMIT, "no route is left")
        judge(pair, mark.at, where, False, limit)
        mark = pair.mark()
        pair.reals.start()
        wait_for(lambda: all_announced(pair), LIMIT, "all services are announced again")
        judge(pair, mark.at, where, True, limit)
    finally:
        cluster.run("crm_attribute -n maintenance-mode -D").check()
        cluster.wait_idle(LIMIT)
    assert no_failure(pair, downs), pair.site.cluster.status()
