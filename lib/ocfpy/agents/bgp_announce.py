"""ocf:anycast:bgp-announce: FRR's bgpd announces an anycast address for as long as the resource runs."""

from __future__ import annotations

from ocfpy import __version__
from ocfpy.agents.bgp_announce_gate import GatedRoute
from ocfpy.agents.bgp_announce_parameters import AnnounceParameters
from ocfpy.bgp.announcer import Announcer
from ocfpy.bgp.choice import choose
from ocfpy.bgp.errors import BgpdDead, BgpdHung, CommandRefused
from ocfpy.bgp.vty import Vty
from ocfpy.net.loopback import find_address
from ocfpy.net.prefixes import check_allowed, strays
from ocfpy.ocf.addresses import parse_address
from ocfpy.ocf.agent import Action, Status
from ocfpy.ocf.deadline import POLL_S, Deadline
from ocfpy.ocf.errors import DeadlineError, HostError, NotInstalledError, ServiceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.bgp.announcer import Backend, Peer, Route
    from ocfpy.ocf.addresses import Address

STOP_RESERVE_S = 2.0  # what withdrawing and looking takes at most, kept back from the drain time
LOAD_LIMIT_S = 3.0  # vtysh -b takes a few tenths of a second
SENT_LIMIT = 1000  # prefixes; to read a full table takes longer than bgpd is given, and no load balancer sends one
STRAYS_NAMED = 4
DEEP = 10  # the check level at which the instance is looked at as well
_BRINGS_UP = ("start", "migrate_from")


class BgpAnnounce(AnnounceParameters):
    """Announced: bgpd answers, its path is valid and best, the address is local, enough peers were told."""

    name = "bgp-announce"
    provider = "anycast"
    version = __version__
    shortdesc = "Announces an anycast address by FRR's bgpd"
    longdesc = """\
Announces one host route, /32 or /128, through a running FRR bgpd for as long as the resource is started here:
by a network statement in the running configuration. frr.conf is never written, the AS number is read and
never guessed, and a BGP instance is never created; sessions, policies and timers are the operator's
(frr-lb.conf and frr-router.conf among this package's examples show both ends).

The route counts as announced when bgpd answers within 2 seconds, holds its own path to the prefix valid and
best, the address is on an interface of this node, and at least min_peers established neighbors have been sent
it. start returns when all of that is so. stop withdraws the route, waits until it has gone out, and then some
(settle), so that the address can be removed when nobody sends to it any more.

start refuses graceful restart, which would leave the route at the neighbors for minutes after this node has
gone, and `no bgp network import-check`. What only makes a withdrawal slow (an advertisement-interval, a long
hold time without BFD, ...) it writes to the log. The monitor with OCF_CHECK_LEVEL=10 looks at all that again, and
reads what each neighbor has really been sent: the route, and nothing outside of the allowed prefixes. Where
the route itself is in order it says 190 (degraded), and why.

Place it after the address: order and colocation with ocf:anycast:anycast-vip."""

    actions = (
        Action("start", timeout="30s"),
        Action("stop", timeout="30s"),
        Action("monitor", timeout="10s", interval="5s", depth=0),
        Action("monitor", timeout="10s", interval="60s", depth=DEEP),
        Action("migrate_to", timeout="20s"),
        Action("migrate_from", timeout="30s"),
        Action("reload-agent", timeout="20s"),
    )

    example = {"prefix": "192.0.2.53", "allowed_prefixes": "192.0.2.0/24"}
    see_also = ("ocf_anycast_anycast-vip(7)", "anycastctl(8)", "frr(8)")

    _said = False  # start has issued the statement

    def claim(self) -> dict[str, str]:
        """Where the statement is. draining is set by a stop that has begun: see _drain."""
        return {
            "prefix": self.prefix.cidr,
            "vrf": self.vrf,
            "backend": self.backend,
            "vty_dir": self.vty_dir,
            "draining": "",
        }

    def check_claim(self, claim: dict[str, str]) -> None:
        """One resource announces a prefix: the stop of one would withdraw it for both."""
        holder = self._other_holder(claim)
        if holder:
            raise HostError(
                f"resource {holder} already announces {claim['prefix']}: remove one of the two (if there is no such "
                f"resource any more, remove {self.context.rundir}/{self.name}-{holder}.state)"
            )

    def check_host(self) -> None:
        """Refuse what would be wrong here; before a start, wait for an FRR that is just coming up."""
        check_allowed(self.prefix, self.allowed_prefixes)
        claim = self.claim()
        self._check_installed()
        announcer = self._announcer(claim)
        if self.context.action in _BRINGS_UP:
            self._await_bgpd(announcer, claim)
            self._await_configuration(announcer)
        else:
            self._check_configured(announcer)
        self._check_instance(announcer)

    def observe(self, claim: dict[str, str]) -> Status:
        """Look at bgpd first, then at the address, then at who was told."""
        prefix = parse_address(claim["prefix"])
        if self._other_holder(claim):
            return Status.stopped()
        announcer = self._announcer(claim)
        try:
            route = announcer.route(prefix)
            gated = self._observe_gated(prefix, route, claim, announcer)
            if gated is not None:
                return gated
            if not route.exists:
                return Status.stopped()
            return self._judge(prefix, route, claim, announcer)
        except BgpdDead as dead:
            return Status.stopped(dead.reason)  # and so are its sessions and its routes
        except BgpdHung as hung:
            return Status.failed(f"{hung.reason}; its neighbors may keep the route")

    def _observe_gated(
        self, prefix: Address, route: Route, claim: dict[str, str], announcer: Announcer
    ) -> Status | None:
        """What there is to say when a pool gates the route; None when none does, or this start has not got to that yet."""
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

    def _judge(self, prefix: Address, route: Route, claim: dict[str, str], announcer: Announcer) -> Status:
        """A statement is there: does it have the effect that is wanted?"""
        if self.context.action in _BRINGS_UP and not self._said:
            # A statement found in place may have another route-map; said once more it gets ours, and no
            # update is sent when it had it already.
            return Status.failed("not announced by this start yet")
        if claim.get("draining"):
            return Status.failed(f"a stop was interrupted while {prefix.cidr} was being drained")
        if not find_address(prefix):
            return Status.failed(f"{prefix} is not on this node: start ocf:anycast:anycast-vip with it first")
        if not route.valid:
            return Status.failed(
                f"bgpd does not use its path to {prefix.cidr}: does zebra run, is the interface up?"
            )
        if not route.best:
            return Status.failed(
                f"bgpd prefers a path to {prefix.cidr} from a neighbor: refuse these prefixes inbound"
            )
        told = [peer for peer in route.advertised_to if not self.peers or peer in self.peers]
        if len(told) < self.min_peers:
            return Status.failed(self._too_few(prefix, told, announcer))
        return self._judge_deep(prefix, told, announcer) if self.depth == DEEP else Status.running()

    def _judge_deep(self, prefix: Address, told: list[str], announcer: Announcer) -> Status:
        """What each neighbor was really sent; then what does no harm to this route, or not yet."""
        faults = []
        for peer in self._counted(prefix, announcer):
            if peer.name not in told:
                if not peer.state.endswith("(Admin)"):  # shut down on purpose
                    faults.append(f"{prefix.cidr} is not advertised to {peer}")
            elif peer.prefixes_sent > SENT_LIMIT:
                faults.append(f"{peer.name} is sent {peer.prefixes_sent} prefixes: its export policy lets out too much")
            else:
                sent = announcer.sent(prefix, peer.name)
                if prefix.cidr not in sent:
                    return Status.failed(f"bgpd says it advertises {prefix.cidr} to {peer.name}, and has not sent it")
                faults += self._strays(peer.name, sent)
        faults += announcer.instance().hazards()
        return Status.degraded("; ".join(faults)) if faults else Status.running()

    def _strays(self, peer: str, sent: tuple[str, ...]) -> list[str]:
        found = strays(sent, self.allowed_prefixes)
        if not found:
            return []
        named = " ".join(found[:STRAYS_NAMED]) + (" ..." if found[STRAYS_NAMED:] else "")
        return [f"{peer} is sent {named}, outside the allowed prefixes: correct the export policy in frr.conf"]

    def start(self, claim: dict[str, str]) -> None:
        """The statement; the library then waits until observe agrees."""
        gate = GatedRoute(self.context)
        if self.attribute:
            gate.start(gate.wanted(claim, self.attribute, self.route_map))
            self._said = True
            return
        gate.end()  # the attribute may just have been taken away
        announcer = self._announcer(claim)
        announcer.announce(self.prefix, self.route_map)
        self._said = True
        if not announcer.route(self.prefix).exists:
            announcer.withdraw(self.prefix)
            raise ServiceError(
                f"bgpd took the announcement of {self.prefix.cidr} and made no path of it: {self._why()}"
            )

    def _why(self) -> str:
        return f"route-map {self.route_map} denies it" if self.route_map else "see bgpd's log"

    def reload_agent(self, claim: dict[str, str]) -> None:
        """The same statement with the new route-map; of the other parameters bgpd knows nothing."""
        self._check_configured(self._announcer(claim))
        self.start(claim)

    def stop(self, claim: dict[str, str]) -> None:
        """Drain, withdraw, wait until it is gone, and let the routers catch up."""
        prefix = parse_address(claim["prefix"])
        announcer = self._announcer(claim)
        gate = GatedRoute(self.context)
        gate.begin_leaving()
        try:
            self._drain(prefix, announcer, claim)
            gate.end_drain()
            announcer.withdraw(prefix)
            self.context.deadline.poll(lambda: _is_gone(announcer, prefix), f"bgpd to withdraw {prefix.cidr}")
        except BgpdDead as dead:
            self.context.log.info(f"stop: nothing to withdraw: {dead.reason}")
            gate.end()
            return
        except BgpdHung as hung:
            self._end_hung(prefix, claim, hung)
        gate.end()
        self.context.deadline.sleep(self.settle)

    def _drain(self, prefix: Address, announcer: Announcer, claim: dict[str, str]) -> None:
        """Make the route unattractive for a while.

        The state file says so, for a stop that is cut off here must not look like a healthy resource; where
        it cannot say so, there is no drain.
        """
        if not self.drain_route_map or not announcer.route(prefix).advertised_to:
            return
        try:
            self.context.state.write({**claim, "draining": "yes"})
        except OSError as error:
            self.context.log.warning(f"stop: no drain: {self.context.state.path}: {error.strerror}")
            return
        try:
            if not GatedRoute(self.context).drain(self.drain_route_map):
                announcer.announce(prefix, self.drain_route_map)
        except CommandRefused as refusal:
            self.context.log.warning(f"stop: no drain: {refusal.reason}")
            return
        left = self.context.deadline.remaining() - self.settle - STOP_RESERVE_S
        self.context.deadline.sleep(max(0.0, min(self.drain_time, left)))

    def _end_hung(self, prefix: Address, claim: dict[str, str], hung: BgpdHung) -> None:
        if self.on_hung != "kill":
            raise ServiceError(f"{hung.reason}, so {prefix.cidr} stays announced; on_hung is {self.on_hung}")
        from ocfpy.bgp.hung import kill_bgpd

        pid = kill_bgpd(self._vty(claim))
        self.context.log.error(f"stop: killed bgpd ({pid}): {hung.reason}")

    def _other_holder(self, claim: dict[str, str]) -> str:
        """Another resource that has started with the same prefix, while this one has not."""
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

    def _await_bgpd(self, announcer: Announcer, claim: dict[str, str]) -> None:
        """It may be coming up, at boot or after a crash; DeadlineError when it does not."""
        what = f"bgpd to run ({self._vty(claim).path}): systemctl start frr, and bgpd=yes in /etc/frr/daemons"
        self.context.deadline.poll(lambda: _runs(announcer, self.prefix), what)

    def _await_configuration(self, announcer: Announcer) -> None:
        """A bgpd that has just been started answers before frr.conf has been read into it."""
        patience = Deadline(min(LOAD_LIMIT_S, self.context.deadline.remaining()))
        while True:
            try:
                return self._check_configured(announcer)
            except HostError:
                if not patience.remaining():
                    raise
            patience.sleep(POLL_S)

    def _check_configured(self, announcer: Announcer) -> None:
        announcer.asn()
        for name in (self.route_map, self.drain_route_map):
            if name and not announcer.has_route_map(name):
                raise HostError(f"bgpd has no route-map {name}: add it to frr.conf")

    def _check_instance(self, announcer: Announcer) -> None:
        """Refuse what would keep the route at the routers; have the log say what makes them slow."""
        instance = announcer.instance()
        hazards = instance.hazards()
        if hazards:
            raise HostError("; ".join(hazards))
        for delay in instance.delays():
            self.context.log.warning(f"{self.context.action}: {delay}")

    def _counted(self, prefix: Address, announcer: Announcer) -> list[Peer]:
        return [peer for peer in announcer.peers(prefix) if not self.peers or peer.name in self.peers]

    def _too_few(self, prefix: Address, told: list[str], announcer: Announcer) -> str:
        """Who was not told, and why as far as bgpd knows."""
        counted = self._counted(prefix, announcer)
        missing = [str(peer) for peer in counted if peer.name not in told]
        missing += [f"{name} unknown" for name in self.peers if name not in [peer.name for peer in counted]]
        reason = f"{prefix.cidr} is advertised to {len(told)} of the {self.min_peers} peers that it takes"
        if not missing:
            return f"{reason}: bgpd has no neighbor for IPv{prefix.family} besides"
        advice = ""
        if any(peer.state == "Established" and peer.name not in told for peer in counted):
            advice += "; an established one without it has an export policy that denies it"
        if any(peer.hit_max_prefix for peer in counted):
            advice += "; raise the maximum-prefix of who ended the session, or announce less"
        return f"{reason}: {', '.join(missing)}{advice}"

    def _announcer(self, claim: dict[str, str]) -> Announcer:
        return Announcer(self._backend(claim), claim["vrf"])

    def _backend(self, claim: dict[str, str]) -> Backend:
        return choose(claim["backend"], self._vty(claim), self.context.deadline)

    def _vty(self, claim: dict[str, str]) -> Vty:
        return Vty(f"{claim['vty_dir']}/bgpd.vty", self.context.deadline)


def _runs(announcer: Announcer, prefix: Address) -> bool:
    try:
        announcer.route(prefix)
    except (BgpdDead, DeadlineError):  # the time that is left is the caller's to judge
        return False
    return True


def _is_gone(announcer: Announcer, prefix: Address) -> bool:
    route = announcer.route(prefix)
    return not route.exists and not route.leaving
