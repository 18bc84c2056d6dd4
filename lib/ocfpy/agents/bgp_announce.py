"""ocf:anycast:bgp-announce: FRR's bgpd announces an anycast address for as long as the resource runs."""

from __future__ import annotations

from ocfpy import __version__
from ocfpy.agents.bgp_announce_gate import GatedRoute
from ocfpy.agents.bgp_announce_journal import Journal
from ocfpy.agents.bgp_announce_judgement import SENT_LIMIT, Judgement
from ocfpy.agents.bgp_announce_parameters import LONGDESC, AnnounceParameters
from ocfpy.bgp.announcer import Announcer
from ocfpy.bgp.choice import choose
from ocfpy.bgp.errors import BgpdDead, BgpdHung, CommandRefused, UnknownAnswer
from ocfpy.bgp.vty import Vty, listener_pid
from ocfpy.net.loopback import find_address
from ocfpy.net.prefixes import check_allowed, strays
from ocfpy.ocf.addresses import parse_address
from ocfpy.ocf.agent import Action, Status
from ocfpy.ocf.deadline import Deadline
from ocfpy.ocf.errors import ClaimedError, HostError, NotInstalledError, ServiceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocfpy.bgp.announcer import Backend
    from ocfpy.bgp.route import Route
    from ocfpy.ocf.addresses import Address

STOP_RESERVE_S = 2.0  # the most that withdrawing and verifying takes, subtracted from the drain time
LEFTOVER_S = 2.0  # how long a withdrawn prefix may still have another source, for example an address that is being removed
LATE_S = 3.0  # this long before its end a start no longer waits for neighbors above min_peers
RIDE_POLL_S = 0.1
RIDE_RESERVE_S = 1.0  # what a monitor that waits for a session keeps to report why it gave up
STRAYS_NAMED = 4
DEEP = 10  # the check level that checks the instance as well
_BRINGS_UP = ("start", "migrate_from")
_RIDES = ("monitor", "migrate_to", "reload-agent")
"""Actions that wait for a session that is coming up; a start waits as long as its deadline allows."""


class BgpAnnounce(AnnounceParameters):
    """Announced means: bgpd answers, its path is valid and best, the address is local, enough peers were sent it."""

    name = "bgp-announce"
    provider = "anycast"
    version = __version__
    shortdesc = "Announces an anycast address through FRR's bgpd"
    longdesc = LONGDESC

    actions = (
        Action("start", timeout="30s"),
        Action("stop", timeout="30s"),
        Action("monitor", timeout="10s", interval="5s", depth=0),
        Action("monitor", timeout="10s", interval="60s", depth=DEEP),
        Action("migrate_to", timeout="20s"),
        Action("migrate_from", timeout="30s"),
        Action("reload-agent", timeout="20s"),
    )

    example = {"prefix": "192.0.2.53", "attribute": "healthy-pool", "allowed_prefixes": "192.0.2.0/24"}
    see_also = ("ocf_anycast_anycast-vip(7)", "ocf_anycast_ipvs-pool(7)", "anycastctl(8)", "frr(8)")

    _said = False  # start has issued the statement
    _is_reported = False  # start has logged what it found

    def claim(self) -> dict[str, str]:
        """The claim of the statement. draining is set by a stop that has begun: see _drain."""
        return {
            "prefix": self.prefix.cidr,
            "vrf": self.vrf,
            "backend": self.backend,
            "vty_dir": self.vty_dir,
            "draining": "",
        }

    def check_claim(self, claim: dict[str, str]) -> None:
        """Refuse a prefix that another resource announces: the stop of one would withdraw it for both."""
        holder = self._other_holder(claim)
        if holder:
            raise ClaimedError(
                f"resource {holder} already announces {claim['prefix']}: remove one of the two (if there is no such "
                f"resource any more, remove {self.context.rundir}/{self.name}-{holder}.state)"
            )

    def check_host(self) -> None:
        """Reject a configuration that cannot work here; before a start, wait for an FRR that is coming up."""
        check_allowed(self.prefix, self.allowed_prefixes)
        claim = self.claim()
        self._check_installed()
        announcer = self._announcer(claim)
        if self.context.action in _BRINGS_UP:
            self._check_address(self.prefix)
            from ocfpy.agents.bgp_announce_readiness import await_bgpd, await_configuration

            path = self._vty(claim).path
            await_bgpd(announcer, self.prefix, path, self.context.deadline)
            await_configuration(lambda: self._check_configured(announcer), path, self.context.deadline)
        else:
            self._check_configured(announcer)
        self._check_instance(announcer)

    def observe(self, claim: dict[str, str]) -> Status:
        """Check bgpd first, then the address, then the neighbors."""
        prefix = parse_address(claim["prefix"])
        if self._other_holder(claim):
            return Status.stopped()
        announcer = self._announcer(claim)
        try:
            route = announcer.route(prefix)
            status = self._observe_gated(prefix, route, claim, announcer)
            if status is None:
                found = route.exists
                status = self._judge(prefix, route, claim, announcer) if found else self._lost(prefix, route, announcer)
            if status.kind == "failed" and self.context.action == "monitor":
                Journal(self.context).failed(status.reason)
            return status
        except BgpdDead as dead:
            return Status.stopped(dead.reason)  # its sessions and routes are gone with it
        except BgpdHung as hung:
            return Status.failed(f"{hung.reason}; its neighbors may keep the route")

    def _observe_gated(
        self, prefix: Address, route: Route, claim: dict[str, str], announcer: Announcer
    ) -> Status | None:
        """Return the status if a pool gates the route; None when none does, or this start has not got to that yet."""
        if self.context.action in _BRINGS_UP and not self._said:
            return None
        gate = GatedRoute(self.context)
        wanted = gate.wanted(claim, self.attribute, self.route_map) if self.attribute else None
        return gate.observe(
            wanted,
            route,
            lambda: announcer.route(prefix),
            lambda seen: self._judge(prefix, seen, claim, announcer),
        )

    def _lost(self, prefix: Address, route: Route, announcer: Announcer) -> Status:
        """Handle a missing statement. A start repeats the statement: bgpd was restarted, or frr.conf loaded."""
        if self._said:
            try:
                self._check_configured(announcer)
                announcer.announce(prefix, self.route_map)
            except (HostError, CommandRefused) as error:
                return Status.stopped(error.reason)
            return Status.stopped(f"bgpd had lost the announcement of {prefix.cidr}, which was repeated")
        if route.redistributed and self.context.state.read() is not None:
            return Status.failed(self._judgement(prefix, announcer).other_source())
        return Status.stopped()

    def _judge(self, prefix: Address, route: Route, claim: dict[str, str], announcer: Announcer) -> Status:
        """Judge the statement's effect; wait for what passes in a moment."""
        while True:
            status, may_pass = self._look(prefix, route, claim, announcer)
            has_time = self.context.action in _RIDES and self.context.deadline.remaining() > RIDE_RESERVE_S
            if not may_pass or not has_time:
                return status
            self.context.deadline.sleep(RIDE_POLL_S)
            route = announcer.route(prefix)
            if not route.exists:
                return Status.stopped()

    def _look(self, prefix: Address, route: Route, claim: dict[str, str], announcer: Announcer) -> tuple[Status, bool]:
        """Return the status, and whether it may pass in a moment."""
        if self.context.action in _BRINGS_UP and not self._said:
            # A statement found in place may have another route-map; repeating it sets ours, and sends no
            # update if it had ours already.
            return Status.failed("not announced by this start yet"), False
        if claim.get("draining"):
            return Status.failed(f"a stop was interrupted while {prefix.cidr} was being drained"), False
        if not find_address(prefix):
            if self.context.is_probe and not route.valid and self.context.state.read() is None:
                # `write memory` has saved it, on this node or in a template: it announces nothing, and was not started here.
                return Status.stopped(), False
            return Status.failed(_not_here(prefix)), False
        if not route.valid:
            return Status.failed(f"bgpd does not use its path to {prefix.cidr}: check zebra and the interface"), False
        judgement = self._judgement(prefix, announcer)
        if not route.best:
            return Status.failed(judgement.not_best(route)), False
        told = judgement.told(route)
        if len(told) < self.min_peers:
            shortage = judgement.shortage(route, told)
            if not shortage.may_pass:
                Journal(self.context).seen(prefix.cidr, told, lambda: shortage.sentences)
            return Status.failed(judgement.too_few(told, shortage.sentences)), shortage.may_pass
        if self.context.action in _BRINGS_UP:
            return self._look_at_start(prefix, route, told, judgement), False
        if self.context.action == "monitor":
            Journal(self.context).seen(prefix.cidr, told, lambda: judgement.shortage(route, told).sentences)
        return self._look_deep(prefix, route, told, judgement) if self.depth == DEEP else (Status.running(), False)

    def _look_at_start(self, prefix: Address, route: Route, told: list[str], judgement: Judgement) -> Status:
        """Check that the route was sent, not only queued, with a next hop here. ServiceError for what waiting cannot mend."""
        wrong = judgement.misdirected(told)
        if wrong:
            raise ServiceError(wrong)
        late = judgement.unsent(told)
        if late and (len(told) - len(late) < self.min_peers or self.context.deadline.remaining() > LATE_S):
            return Status.failed(f"{', '.join(late)}: {prefix.cidr} is not on its way")
        if not self._is_reported:
            self._is_reported = True
            self._warn([*late, *judgement.instance().delays(), *judgement.cautions(route, self._is_bfdd_running())])
            Journal(self.context).announced(prefix.cidr, told)
        return Status.running()

    def _look_deep(self, prefix: Address, route: Route, told: list[str], judgement: Judgement) -> tuple[Status, bool]:
        """Check what each neighbor was really sent; then report what does no harm to this route, or not yet."""
        wrong = judgement.misdirected(told)
        if wrong:
            return Status.failed(wrong), False
        late = judgement.unsent(told)
        if len(told) - len(late) < self.min_peers:
            reason = f"{', '.join(late)}: bgpd claims to advertise {prefix.cidr}, but has not sent it"
            return Status.failed(reason), judgement.is_fresh(route, told)
        faults = [f"{sentence}: {prefix.cidr} is not advertised there" for sentence in judgement.without(route, told)]
        faults += late
        for name in told:
            count = judgement.count_sent(name)
            if count > SENT_LIMIT:
                faults.append(f"{name} is sent {count} prefixes: its export policy lets too much out")
            else:
                faults += self._strays(name, judgement.sent(name))
        faults += judgement.instance().hazards() + judgement.cautions(route, self._is_bfdd_running())
        return (Status.degraded("; ".join(faults)) if faults else Status.running()), False

    def _strays(self, peer: str, sent: Iterable[str]) -> list[str]:
        found = strays(list(sent), self.allowed_prefixes)
        if not found:
            return []
        named = " ".join(found[:STRAYS_NAMED]) + (" ..." if found[STRAYS_NAMED:] else "")
        return [f"{peer} is sent {named}, outside the allowed prefixes: correct the export policy in frr.conf"]

    def start(self, claim: dict[str, str]) -> None:
        """Make the statement; the library then waits until observe agrees."""
        gate = GatedRoute(self.context)
        if self.attribute:
            gate.start(gate.wanted(claim, self.attribute, self.route_map))
            self._said = True
            return
        gate.end()  # the attribute may just have been removed
        announcer = self._announcer(claim)
        announcer.announce(self.prefix, self.route_map)
        self._said = True
        if not announcer.route(self.prefix).exists:
            announcer.withdraw(self.prefix)
            raise ServiceError(
                f"bgpd accepted the announcement of {self.prefix.cidr} but has no path for it: {self._why()}"
            )

    def _why(self) -> str:
        return f"route-map {self.route_map} denies it" if self.route_map else "see bgpd's log"

    def reload_agent(self, claim: dict[str, str]) -> None:
        """Repeat the statement with the new route-map; bgpd knows nothing of the other parameters."""
        self._check_configured(self._announcer(claim))
        self.start(claim)

    def stop(self, claim: dict[str, str]) -> None:
        """Drain, withdraw, wait until the route is gone, and let the routers catch up."""
        prefix = parse_address(claim["prefix"])
        announcer = self._announcer(claim)
        gate = GatedRoute(self.context)
        is_gated = gate.begin_leaving()
        was_withdrawn = False
        told: tuple[str, ...] = ()
        drained_s = 0.0
        try:
            was_withdrawn = is_gated and _is_gone(announcer, prefix)
            told, drained_s = self._drain(prefix, announcer, claim)
            gate.end_drain()
            announcer.withdraw(prefix)
            self.context.deadline.poll(lambda: _is_gone(announcer, prefix), f"bgpd to withdraw {prefix.cidr}")
            self._check_leftover(prefix, announcer)
        except BgpdDead as dead:
            self.context.log.info(f"stop: nothing to withdraw: {dead.reason}")
            gate.end()
            return
        except BgpdHung as hung:
            self._end_hung(prefix, claim, hung)
        gate.end()
        if not was_withdrawn:  # the gate withdrew it, and no router has sent here since
            self.context.deadline.sleep(self.settle)
        Journal(self.context).withdrawn(prefix.cidr, told, drained_s, claim)

    def _check_leftover(self, prefix: Address, announcer: Announcer) -> None:
        """Raise ServiceError if this node still announces the prefix."""
        patience = Deadline(min(LEFTOVER_S, self.context.deadline.remaining()))
        while announcer.route(prefix).redistributed:
            if not patience.remaining():
                raise ServiceError(self._judgement(prefix, announcer).other_source())
            patience.sleep(RIDE_POLL_S)

    def _drain(self, prefix: Address, announcer: Announcer, claim: dict[str, str]) -> tuple[tuple[str, ...], float]:
        """Make the route unattractive for a while. Return the neighbors that have it, and for how many seconds.

        The state file records it, because a stop that is killed during the drain must not look like a healthy resource; if
        it cannot be written, there is no drain.
        """
        try:
            told = announcer.route(prefix).advertised_to
        except UnknownAnswer as error:
            self.context.log.warning(f"stop: no drain: {error.reason}")
            return (), 0.0
        if not self.drain_route_map:
            return told, 0.0
        if not told:
            self.context.log.info(f"stop: no drain: no neighbor has {prefix.cidr}")
            return told, 0.0
        try:
            self.context.state.write({**claim, "draining": "yes"})
        except OSError as error:
            self.context.log.warning(f"stop: no drain: {self.context.state.path}: {error.strerror}")
            return told, 0.0
        try:
            if not GatedRoute(self.context).drain(self.drain_route_map):
                announcer.announce(prefix, self.drain_route_map)
        except CommandRefused as refusal:
            self.context.log.warning(f"stop: no drain: {refusal.reason}")
            return told, 0.0
        left = self.context.deadline.remaining() - self.settle - STOP_RESERVE_S
        drained_s = max(0.0, min(self.drain_time, left))
        self.context.deadline.sleep(drained_s)
        return told, drained_s

    def _end_hung(self, prefix: Address, claim: dict[str, str], hung: BgpdHung) -> None:
        if self.on_hung != "kill":
            raise ServiceError(f"{hung.reason}, so {prefix.cidr} stays announced: on_hung={self.on_hung} leaves bgpd alone")
        from ocfpy.bgp.kill import kill_bgpd

        pid = kill_bgpd(self._vty(claim))
        self.context.log.error(f"stop: killed bgpd ({pid}): {hung.reason}")

    def _other_holder(self, claim: dict[str, str]) -> str:
        """Return another resource that has started with the same prefix, while this one has not."""
        where = ("prefix", "vrf", "vty_dir")
        own = self.context.state.read()
        if own is not None and all(own.get(key, claim[key]) == claim[key] for key in where):
            return ""
        for resource, record in self.context.other_claims(self.name):
            if all(record.get(key) == claim[key] for key in where):
                return resource
        return ""

    def _check_installed(self) -> None:
        from ocfpy.ocf.process import have_binary

        if not have_binary("vtysh") and (self.backend == "vtysh" or not self._vty(self.claim()).exists()):
            raise NotInstalledError(
                f"FRR is not installed (no vtysh, no bgpd in {self.vty_dir}): install package frr"
            )

    def _check_configured(self, announcer: Announcer) -> None:
        announcer.asn()
        for name in (self.route_map, self.drain_route_map):
            if name and not announcer.has_route_map(name):
                raise HostError(f"bgpd has no route-map {name}: add it to frr.conf")

    def _check_address(self, prefix: Address) -> None:
        """Require the BGP instance: without it nothing is announced, and it does not appear while the cluster waits."""
        if not find_address(prefix):
            raise ServiceError(_not_here(prefix))

    def _check_instance(self, announcer: Announcer) -> None:
        """Refuse what would keep the route at the routers; a start logs the rest when the sessions have been checked."""
        judgement = self._judgement(self.prefix, announcer)
        hazards = judgement.instance().hazards()
        if announcer.route(self.prefix).redistributed:
            hazards.append(judgement.other_source())
        if hazards:
            raise HostError("; ".join(hazards))
        if self.context.action not in _BRINGS_UP:
            self._warn(judgement.instance().delays())

    def _warn(self, sentences: Iterable[str]) -> None:
        for sentence in sentences:
            self.context.log.warning(f"{self.context.action}: {sentence}")

    def _judgement(self, prefix: Address, announcer: Announcer) -> Judgement:
        return Judgement(announcer, prefix, self.min_peers, self.peers)

    def _is_bfdd_running(self) -> bool:
        return bool(listener_pid(f"{self.vty_dir}/bfdd.vty"))

    def _announcer(self, claim: dict[str, str]) -> Announcer:
        return Announcer(self._backend(claim), claim["vrf"])

    def _backend(self, claim: dict[str, str]) -> Backend:
        return choose(claim["backend"], self._vty(claim), self.context.deadline)

    def _vty(self, claim: dict[str, str]) -> Vty:
        return Vty(f"{claim['vty_dir']}/bgpd.vty", self.context.deadline)


def _not_here(prefix: Address) -> str:
    return f"{prefix} is not on this node: start ocf:anycast:anycast-vip with it first"


def _is_gone(announcer: Announcer, prefix: Address) -> bool:
    route = announcer.route(prefix)
    return not route.exists and not route.leaving
