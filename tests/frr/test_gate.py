"""The gate with a real bgpd: what the routers see when a pool dies, returns, and anything in between is killed."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from statistics import median
from typing import Callable

import pytest

from tests.frr.gated import POOL, GateProcess, seconds_until
from tests.frr.harness import Frr, Resource, Site, wait_for

MakeResource = Callable[..., Resource]
V4 = "192.0.2.53/32"
V6 = "2001:db8:53::53/128"
SEEN_S = 10.0
ROUNDS = 30
MANY = 40
ACTIONS = ("monitor", "reload-agent", "start", "migrate_from", "stop")


@pytest.fixture
def gate(site: Site) -> Iterator[GateProcess]:
    process = GateProcess(site.lb)
    process.start()
    yield process
    process.kill()


@pytest.fixture
def gated(gate: GateProcess, resource: MakeResource) -> MakeResource:
    """Makes resources that a pool gates; these are stopped while the gate still runs."""

    def make(prefix: str, **parameters: str) -> Resource:
        return resource(prefix, attribute=POOL, **parameters)

    return make


def at_routers(site: Site, prefix: str, there: bool) -> None:
    wait_for(f"{prefix} at both routers: {there}", lambda: site.r1.has(prefix) == site.r2.has(prefix) == there, SEEN_S)


def configured(node: Frr) -> list[str]:
    return [line.strip() for line in node.show("show running-config").splitlines() if line.startswith("  network ")]


@pytest.mark.parametrize("backend", ["socket", "vtysh"])
@pytest.mark.parametrize("prefix", [V4, V6])
def test_route_goes_with_the_last_backend_and_comes_back(
    site: Site, gate: GateProcess, gated: MakeResource, prefix: str, backend: str
) -> None:
    gate.pool(2)
    vip = gated(prefix, backend=backend)
    assert vip.run("start").code == 0
    at_routers(site, prefix, True)
    gate.pool(0)
    at_routers(site, prefix, False)
    looked = vip.monitor()
    assert looked.code == 190
    assert looked.reason.startswith(f"withdrawn: no live backend of {POOL} since ")
    said = f"withdrew {prefix}: no live backend of {POOL} (the check failed), done after"
    wait_for("the gate to have seen it gone", lambda: gate.logged(said))
    gate.pool(1)
    at_routers(site, prefix, True)
    assert vip.monitor().code == 0
    wait_for("the gate to say so", lambda: len(gate.logged(f"announced {prefix}: ")) == 2)
    assert len(gate.logged(said)) == 1
    stopped = vip.run("stop")
    assert stopped.code == 0, stopped
    at_routers(site, prefix, False)
    assert configured(site.lb) == []


def test_as_fast_as_no_network(site: Site, gate: GateProcess, gated: MakeResource) -> None:
    """From what the pool says until the router has forgotten the route, beside the same with the line typed."""
    gate.pool(1)
    vip = gated(V4)
    assert vip.run("start").code == 0
    typed, by_gate = [], []
    family = ("router bgp", "address-family ipv4 unicast")
    for _ in range(7):
        at_routers(site, V4, True)
        site.lb.configure(*family, f"no network {V4}")
        typed.append(seconds_until("the route to be gone", lambda: not site.r1.paths(V4)))
        site.lb.configure(*family, f"network {V4}")
        at_routers(site, V4, True)
        gate.pool(0)
        by_gate.append(seconds_until("the route to be gone", lambda: not site.r1.paths(V4)))
        gate.pool(1)
    print(f"withdrawn at the router: {median(by_gate):.3f} s by the gate, {median(typed):.3f} s by hand")
    assert median(by_gate) < 3 * median(typed)


@pytest.mark.parametrize("action", ["start", "migrate_from"])
def test_start_behind_a_shut_gate(site: Site, gate: GateProcess, gated: MakeResource, action: str) -> None:
    gate.pool(0)
    vip = gated(V4)
    assert vip.run(action).code == 0
    assert configured(site.lb) == []
    assert vip.monitor().code == 190
    assert vip.run("monitor").code == 190
    assert vip.run("migrate_to").code == 0
    gate.pool(1)
    assert vip.monitor().code == 0
    at_routers(site, V4, True)


def test_route_map_that_denies_it(gate: GateProcess, gated: MakeResource, site: Site) -> None:
    site.lb.configure("route-map NOTHING deny 10")
    try:
        gate.pool(1)
        vip = gated(V4, route_map="NOTHING")
        started = vip.run("start")
        assert started.code == 1
        assert "route-map NOTHING denies it" in started.reason
        assert vip.run("stop").code == 0
        assert configured(site.lb) == []
    finally:
        site.lb.configure("no route-map NOTHING")


def test_pool_that_dies_while_its_route_is_drained(site: Site, gate: GateProcess, gated: MakeResource) -> None:
    gate.pool(1)
    vip = gated(V4, drain_route_map="DRAIN", drain_time="1min")
    assert vip.run("start").code == 0
    at_routers(site, V4, True)
    stop = vip.popen("stop", timeout=60)
    wait_for("the drain", lambda: site.r1.paths(V4)[0].get("community"), SEEN_S)
    gate.pool(0)
    at_routers(site, V4, False)
    gate.pool(1)
    assert stop.poll() is None
    assert configured(site.lb) == []
    os.killpg(stop.pid, signal.SIGKILL)
    stop.communicate()
    vip.parameters["drain_time"] = "1ms"
    assert vip.run("stop").code == 0
    assert configured(site.lb) == []


def test_statement_that_bgpd_lost(site: Site, gate: GateProcess, gated: MakeResource) -> None:
    gate.pool(1)
    vip = gated(V4)
    assert vip.run("start").code == 0
    site.lb.configure("router bgp", "address-family ipv4 unicast", f"no network {V4}")
    assert vip.monitor().code == 0
    at_routers(site, V4, True)
    gate.pool(0)
    at_routers(site, V4, False)
    site.lb.configure("router bgp", "address-family ipv4 unicast", f"network {V4}")
    assert vip.monitor().code == 190
    at_routers(site, V4, False)


def test_bgpd_that_was_restarted(breakable: Site, gate: GateProcess, gated: MakeResource) -> None:
    gate.pool(1)
    vip = gated(V4, min_peers="0")
    assert vip.run("start").code == 0
    breakable.lb.fresh_bgpd()
    assert vip.monitor().code == 0
    at_routers(breakable, V4, True)


def test_hung_bgpd_holds_up_nothing(site: Site, gate: GateProcess, gated: MakeResource) -> None:
    gate.pool(1)
    vip = gated(V4)
    assert vip.run("start").code == 0
    at_routers(site, V4, True)
    with site.lb.hung():
        took_s = gate.pool(0)
        asked_s = [seconds_until("the state", lambda: gate.state(vip.name).startswith("shut ")) for _ in range(10)]
        print(f"pool() took {took_s * 1000:.3f} ms, `state` at most {max(asked_s) * 1000:.1f} ms while bgpd hung")
        wait_for("the gate to say so", lambda: gate.logged(f"cannot withdraw {V4}"))
        assert median(asked_s) < 1.0, "half of what bgpd is given for an answer"
        assert site.r1.has(V4)
    at_routers(site, V4, False)
    assert vip.monitor().code == 190
    assert len(gate.logged(f"cannot withdraw {V4}")) == 1


def test_stop_with_a_gate_that_hangs_or_is_gone(site: Site, gate: GateProcess, gated: MakeResource) -> None:
    gate.pool(1)
    vip = gated(V4)
    for number in (signal.SIGSTOP, signal.SIGKILL):
        assert vip.run("start").code == 0
        at_routers(site, V4, True)
        gate.signal(number)
        stopped = vip.run("stop")
        assert stopped.code == 0, stopped
        at_routers(site, V4, False)
        gate.signal(signal.SIGCONT)
        if number == signal.SIGSTOP:
            gate.pool(0)
            gate.pool(1)
            assert gate.state(vip.name) == "absent"
        assert configured(site.lb) == []


def test_many_at_once(site: Site, gate: GateProcess, on_loopback: Callable[[str], None]) -> None:
    """Forty prefixes of twenty pools that die in the same moment: one conversation with bgpd."""
    pools = [f"healthy-{number}" for number in range(MANY // 2)]
    prefixes = [f"192.0.2.{100 + number}/32" for number in range(MANY // 2)]
    prefixes += [f"2001:db8:53::{100 + number}/128" for number in range(MANY // 2)]
    gate.pool(1, *pools)
    try:
        for number, prefix in enumerate(prefixes):
            on_loopback(prefix)
            said = gate.register(f"many-{number}", prefix, attribute=pools[number // 2])
            assert said.startswith("open "), said
        wait_for("all routes", lambda: all(site.r1.has(prefix) for prefix in prefixes), SEEN_S)
        gate.pool(0, *pools)
        last_s = seconds_until("the last route to be gone", lambda: not any(site.r1.paths(prefix) for prefix in prefixes))
        assert configured(site.lb) == []
        wait_for("the gate to have seen them gone", lambda: len(gate.logged("withdrew ")) == MANY)
        gate.pool(1, *pools)
        back_s = seconds_until("all routes to be back", lambda: all(site.r1.has(prefix) for prefix in prefixes))
        lines = gate.logged("withdrew ")
        print(f"{MANY} routes: the last one gone at the router after {last_s:.3f} s, all back after {back_s:.3f} s")
        assert len(lines) == MANY
    finally:
        gate.pool(0, *pools)
        wait_for("nothing to be left", lambda: configured(site.lb) == [])
        for number in range(MANY):
            gate.unregister(f"many-{number}")


def test_vrf(site: Site, gate: GateProcess) -> None:
    site.lb.configure("router bgp 65099 vrf red", "bgp router-id 10.9.9.9")
    try:
        gate.pool(1)
        for resource, prefix in (("red4", "192.0.2.9/32"), ("red6", "2001:db8:53::9/128")):
            assert gate.register(resource, prefix, vrf="red").startswith("open ")
        assert configured(site.lb) == ["network 192.0.2.9/32", "network 2001:db8:53::9/128"]
        assert not site.lb.paths("192.0.2.9/32"), "it is in the VRF's instance"
        assert gate.register("plain", "192.0.2.9/32").startswith("open ")
        gate.pool(0)
        wait_for("all to be withdrawn", lambda: configured(site.lb) == [])
        for resource in ("red4", "red6", "plain"):
            gate.unregister(resource)
    finally:
        site.lb.configure("no router bgp 65099 vrf red")


def test_killed_anywhere(site: Site, gate: GateProcess, gated: MakeResource) -> None:
    """The daemon or an action is killed at any moment while the pool dies or returns; one monitor then puts it right."""
    dice = random.Random(53)
    gate.pool(1)
    vip = gated(V4, drain_route_map="DRAIN", drain_time="100ms")
    counts: dict[str, int] = {}
    assert vip.run("start").code == 0
    takes_s = {name: vip.run(name, interval=5 if name == "monitor" else 0).seconds for name in ACTIONS}
    assert vip.run("start").code == 0
    for number in range(ROUNDS):
        victim = ("daemon", *ACTIONS)[number % (len(ACTIONS) + 1)]
        if victim == "reload-agent":
            vip.parameters["route_map"] = dice.choice(("", "DRAIN"))
        alive = dice.choice((0, 0, 2))
        action = None if victim == "daemon" else vip.popen(victim, interval=5 if victim == "monitor" else 0)
        if dice.random() < 0.5:
            gate.pool(alive)
        time.sleep(dice.uniform(0, takes_s.get(victim, 0.02)))
        if action is None:
            gate.kill()
        else:
            ended = action.poll() is not None
            if not ended:
                os.killpg(action.pid, signal.SIGKILL)
            action.communicate()
            victim = f"{victim} {'ended' if ended else 'killed'}"
        counts[victim] = counts.get(victim, 0) + 1
        if action is None:
            gate.alive[POOL] = alive
            gate.start()
        else:
            gate.pool(alive)
        what = f"round {number}, {victim}, {alive} alive"
        probed = vip.run("monitor")
        if victim.startswith("stop"):
            # It may have got anywhere: a probe says how far, and the next stop gets to the end.
            assert probed.code in (0, 1, 7, 190), (what, probed)
            assert vip.run("stop").code == 0, what
            assert configured(site.lb) == [], what
            assert vip.run("monitor").code == 7, what
            assert vip.run("start").code == 0, what
        elif victim.startswith(("start", "migrate")) and probed.code == 7:
            assert vip.run("start").code == 0, what
        looked = vip.monitor()
        assert looked.code == (0 if alive else 190), (what, looked)
        assert bool(configured(site.lb)) == bool(alive), (what, configured(site.lb))
    print(counts)
    assert vip.run("stop").code == 0
    assert configured(site.lb) == []
    assert gate.files.read_all() == []
    assert counts["daemon"] >= ROUNDS // 6
    assert sum(count for name, count in counts.items() if name.endswith("killed")) >= ROUNDS // 4
