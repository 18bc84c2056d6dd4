"""The six events of the story: what is done to the lab, what must follow, and the bar that each is held to."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Callable

from tests.lab.testbed import VIP4, VIP6, Lab, LabError, wait_for
from tests.lab.testbed.client import Stream
from tests.lab.testbed.cluster import Cluster
from tests.lab.testbed.report import Report
from tests.lab.testbed.uml import UmlNode

SETTLED = 60.0
"""Seconds that a scene waits for the lab to be whole again; generous, nothing is measured in it."""

QUIET = 2.0
"""Seconds of ordinary traffic recorded before and after each event."""

CHECK_BAR = 1.0
"""Seconds on top of the check's detection time when all backends of a site die."""

MAY_BE_DISTURBED = 5
"""Plays of a scene that may be spoiled by a host that cannot carry the lab."""

POWER_BAR = 1.5
"""Seconds without an answer after a power cut with BFD on, the other site taking over."""


@dataclass
class Outcome:
    """What a scene came to; times in seconds, None where the event has no such moment."""

    key: str
    title: str
    paper: str
    bar: str
    begin: float = 0.0
    end: float = 0.0
    whole: float = 0.0
    """When what the event had broken was back (time.time())."""
    at: float = 0.0
    """When the event was brought about (time.time())."""
    detected: float | None = None
    """From the event until the load balancer's own table showed it."""
    route_moved: float | None = None
    """From the event until the core router's route pointed to the other site."""
    sent: int = 0
    lost: int = 0
    gap: float = 0.0
    lost_late: int = 0
    """Requests lost although they were sent after the detection."""
    disturbed: int = 0
    """How often the scene was played before, and a BFD session went down that no event of ours took down."""
    lost_coming_back: int = 0
    """Requests lost while what had been broken was brought back."""
    passed: bool = False
    why: str = ""


@dataclass
class Stage:
    """The lab and its clients, and where a scene tells what it does."""

    lab: Lab
    stream: Stream
    say: Callable[[str], None]

    @property
    def active(self) -> UmlNode:
        """The node of site A that holds the IPv4 address."""
        return self.lab.node(self.lab.site_a.cluster.wait_active("vip4", limit=SETTLED))

    def alive(self, node: UmlNode) -> int:
        """Real servers with a weight above 0 in the node's table, over all services."""
        table = node.run("cat /proc/net/ip_vs", timeout=20).check().out
        rows = [line.split() for line in table.splitlines() if line.strip().startswith("->")]
        return sum(1 for row in rows if len(row) > 3 and row[3].isdigit() and int(row[3]) > 0)

    def has_alive(self, node: UmlNode, count: int) -> bool:
        """Whether just so many are; LabError, which tells how many, when not: for wait_for."""
        alive = self.alive(node)
        if alive != count:
            raise LabError(f"{alive} of {count} real servers have a weight on {node.name}")
        return True

    def wait_home(self) -> None:
        """Until both addresses are routed to site A again."""
        for vip in (VIP4, VIP6):
            self.lab.core.wait_route(vip, "router-a", limit=SETTLED)

    def wait_pair(self) -> None:
        """Until both nodes of site A are online, the pool runs on both and nothing is moving."""
        self.lab.site_a.cluster.wait_online(limit=2 * SETTLED)
        whole = len(self.lab.site_a.backends) * self.services
        for node in self.lab.site_a.nodes:
            wait_for(partial(self.has_alive, node, whole), 2 * SETTLED, f"the whole pool on {node.name}")

    @property
    def bfd_downs(self) -> int:
        """How often BFD sessions of the sites' routers have gone down so far."""
        return sum(site.router.bfd_downs() for site in self.lab.sites)

    @property
    def services(self) -> int:
        """Virtual services of the pool: rows of the table that are not destinations, without the heading."""
        table = self.lab.site_b.nodes[0].run("cat /proc/net/ip_vs", timeout=20).check().out
        return sum(1 for line in table.splitlines()[3:] if line and not line.strip().startswith("->"))

    def route_moved(self, since: float, away_from: str = "router-a") -> float | None:
        """Seconds from `since` until the last prefix left that router, None when none did."""
        moved = [e.at for e in self.lab.core.events if e.at >= since and e.next_hops and away_from not in e.next_hops]
        return max(moved) - since if moved else None


@dataclass(frozen=True)
class Scene:
    """One event: `play` does it and fills in the moments, `judge` says what is wrong with the result ("" = nothing)."""

    key: str
    title: str
    paper: str
    bar: str
    play: Callable[[Stage, Outcome], None]
    judge: Callable[[Outcome], str]
    restore: Callable[[Stage], None] = lambda stage: None
    keeps_sessions: bool = False
    """Whether no BFD session has any reason to go down: if one does, this host was too busy to carry the lab."""


def run(scene: Scene, stage: Stage) -> Outcome:
    """Play one scene and account for it; again where the lab itself failed meanwhile, see `keeps_sessions`."""
    disturbed = 0
    while True:
        downs = stage.bfd_downs
        outcome = play_once(scene, stage)
        outcome.disturbed = disturbed
        if outcome.passed or not scene.keeps_sessions or stage.bfd_downs == downs or disturbed == MAY_BE_DISTURBED:
            return outcome
        disturbed += 1
        stage.say(f"{outcome.why}; a BFD session went down, because this host is too busy: played again")
        stage.wait_home()
        stage.wait_pair()


def play_once(scene: Scene, stage: Stage) -> Outcome:
    """Play one scene and account for it; the restoration afterwards is not part of the account."""
    outcome = Outcome(scene.key, scene.title, scene.paper, scene.bar, begin=time.time())
    time.sleep(QUIET)
    outcome.at = time.time()
    scene.play(stage, outcome)
    time.sleep(QUIET)
    outcome.end = time.time()
    scene.restore(stage)
    outcome.whole = time.time()
    stage.stream.settle(outcome.whole)
    charge(outcome, stage.stream.report(since=outcome.begin, until=outcome.end))
    outcome.lost_coming_back = stage.stream.report(since=outcome.end, until=outcome.whole).lost
    outcome.why = scene.judge(outcome)
    outcome.passed = not outcome.why
    return outcome


def charge(outcome: Outcome, report: Report) -> None:
    """Enter what the clients saw into the outcome."""
    outcome.sent, outcome.lost, outcome.gap = report.sent, report.lost, report.gap
    known = outcome.at + (outcome.detected or 0.0)
    outcome.lost_late = sum(1 for r in report.requests if r.answered is None and r.sent > known)


# -- the events ---------------------------------------------------------------------------------------------------


def one_backend(stage: Stage, outcome: Outcome) -> None:
    node, victim = stage.active, stage.lab.site_a.backends[0]
    before = stage.alive(node)
    stage.say(f"killing every service of real server {victim.name}")
    outcome.at = time.time()
    victim.stop()
    dead = stage.services
    wait_for(partial(stage.has_alive, node, before - dead), SETTLED, f"{victim.name} at weight 0", every=0.02)
    outcome.detected = time.time() - outcome.at


def one_backend_back(stage: Stage) -> None:
    stage.say("starting it again")
    stage.lab.site_a.backends[0].start()
    stage.wait_pair()


def all_backends(stage: Stage, outcome: Outcome) -> None:
    node = stage.active
    stage.say("killing every service of every real server of site A")
    outcome.at = time.time()
    stage.lab.site_a.backends.stop()
    wait_for(partial(stage.has_alive, node, 0), SETTLED, "the whole pool at weight 0", every=0.02)
    outcome.detected = time.time() - outcome.at
    for vip in (VIP4, VIP6):
        stage.lab.core.wait_route(vip, "router-b", limit=SETTLED)
    outcome.route_moved = stage.route_moved(outcome.at)


def all_backends_back(stage: Stage) -> None:
    stage.say("all backends of site A come back; so must the route, by itself")
    stage.lab.site_a.backends.start()
    stage.wait_home()
    stage.wait_pair()


def has_left(cluster: Cluster, resource: str, node: str) -> bool:
    """Whether the resource is active on another node than this one, and only there."""
    return cluster.who_is_active(resource) not in (None, node)


def move_away(stage: Stage, outcome: Outcome, command: str) -> str:
    """Give the crm command and wait until the other node of the pair holds both addresses."""
    old = stage.active.name
    stage.say(f"crm {command.format(old=old)}")
    outcome.at = time.time()
    stage.lab.site_a.cluster.crm(command.format(old=old), timeout=SETTLED)
    cluster = stage.lab.site_a.cluster
    for resource in ("vip4", "vip6", "bgp4", "bgp6"):
        wait_for(partial(has_left, cluster, resource, old), SETTLED, f"{resource} off {old}")
    (announcer,) = {node.name for node in stage.lab.site_a.nodes} - {old}
    for vip in (VIP4, VIP6):
        stage.lab.site_a.router.wait_route(vip, announcer, limit=SETTLED)
    outcome.route_moved = time.time() - outcome.at
    return old


def standby(stage: Stage, outcome: Outcome) -> None:
    old = move_away(stage, outcome, "node standby {old}")
    stage.say(f"crm node online {old}")
    stage.lab.site_a.cluster.crm(f"node online {old}", timeout=SETTLED)
    stage.wait_pair()


def move(stage: Stage, outcome: Outcome) -> None:
    move_away(stage, outcome, "resource move vip4 force")
    stage.lab.site_a.cluster.crm("resource clear vip4", timeout=SETTLED)


def power_cut(stage: Stage, outcome: Outcome) -> None:
    victim = stage.active
    stage.say(f"power cut of {victim.name}, which announces")
    outcome.at = time.time()
    victim.power_off()
    for vip in (VIP4, VIP6):
        stage.lab.core.wait_route(vip, "router-b", limit=SETTLED)
    outcome.route_moved = stage.route_moved(outcome.at)
    stage.say("the peer node takes over and site A announces again")
    stage.wait_home()


def power_back(stage: Stage) -> None:
    for node in stage.lab.site_a.nodes:
        if not node.powered:
            stage.say(f"power on {node.name}")
            node.power_on()
    stage.wait_home()
    stage.wait_pair()


def dark(stage: Stage, outcome: Outcome) -> None:
    stage.say("site A goes dark: uplink cut silently, both nodes without power")
    outcome.at = time.time()
    stage.lab.site_a.dark()
    for vip in (VIP4, VIP6):
        stage.lab.core.wait_route(vip, "router-b", limit=SETTLED)
    outcome.route_moved = stage.route_moved(outcome.at)


# -- the bars -----------------------------------------------------------------------------------------------------


def nothing_lost(outcome: Outcome) -> str:
    return f"{outcome.lost} requests lost" if outcome.lost else ""


def nothing_lost_late(outcome: Outcome) -> str:
    return f"{outcome.lost_late} requests lost after the detection" if outcome.lost_late else ""


def gap_after_detection(outcome: Outcome) -> str:
    limit = (outcome.detected or 0.0) + CHECK_BAR
    return f"gap {outcome.gap:.2f} s > {limit:.2f} s" if outcome.gap > limit else ""


def gap_of_power_loss(outcome: Outcome) -> str:
    return f"gap {outcome.gap:.2f} s > {POWER_BAR} s" if outcome.gap > POWER_BAR else ""


STORY = (
    Scene(
        "a", "one backend dies", "-", "only requests on it until detected", one_backend, nothing_lost_late,
        one_backend_back,
    ),
    Scene(
        "b", "all backends of site A die", "check time + < 1 s", "gap <= detection + 1 s", all_backends,
        gap_after_detection, all_backends_back,
    ),
    Scene("c", "standby of the active node, and back", "< 1 s", "nothing lost", standby, nothing_lost, keeps_sessions=True),
    Scene("d", "resource move", "< 1 s", "nothing lost", move, nothing_lost, keeps_sessions=True),
    Scene("e", "power cut of the active node", "30 s + < 1 s", "gap <= 1.5 s", power_cut, gap_of_power_loss, power_back),
    Scene("f", "the whole of site A dark", "30 s + < 1 s", "gap <= 1.5 s", dark, gap_of_power_loss),
)
