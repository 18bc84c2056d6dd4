"""Judges an announcement: which neighbors have it, why others do not, and whether the next hop they got leads here."""

from __future__ import annotations

import time

from ocfpy.bgp.neighbor import ESTABLISHED
from ocfpy.net.loopback import find_address
from ocfpy.ocf.addresses import parse_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocfpy.bgp.announcer import Announcer, Peer
    from ocfpy.bgp.instance import Instance
    from ocfpy.bgp.neighbor import Neighbor
    from ocfpy.bgp.route import Route
    from ocfpy.ocf.addresses import Address

SENT_LIMIT = 1000  # prefixes; reading a full table takes longer than bgpd is given, and no load balancer sends one
UPDATE_S = 5.0
"""How long bgpd may take to send a prefix over a new session: it gathers peers first (coalesce-time, 1 s)."""
PATH_S = 2.0
"""How long bgpd may take to send a new path; it gathers updates for 50 ms, and rounds the time of the change to a second."""
RECONNECT_S = 2.0
"""How long a lost session takes to come back, beside the retry timer: BFD and the exchange of OPEN messages."""
RECONNECT_MAX_S = 5.0
"""The longest wait for a lost session; another node may have one."""
_COMING_UP = ("OpenSent", "OpenConfirm")
_KEPT_HERE = {"no-advertise": "no neighbor", "no-export": "no neighbor of another AS", "local-AS": "no neighbor of another AS"}
_UNSPECIFIED = ("", "0.0.0.0", "::")
_LINK_LOCAL = "fe80:"


class Shortage:
    """Neighbors without the prefix: a sentence for each, and whether enough of them may have it in a moment."""

    __slots__ = ("may_pass", "sentences")

    def __init__(self, sentences: list[str], may_pass: bool) -> None:
        self.sentences = sentences
        self.may_pass = may_pass


class Judgement:
    """Judges one prefix in one BGP instance. min_peers and peers are the agent's parameters of these names."""

    def __init__(self, announcer: Announcer, prefix: Address, min_peers: int, peers: Sequence[str]) -> None:
        self._announcer = announcer
        self._prefix = prefix
        self._min_peers = min_peers
        self._wanted = tuple(peers)
        self._neighbors: dict[str, Neighbor] | None = None
        self._instance: Instance | None = None
        self._peers: list[Peer] | None = None
        self._sent: dict[str, dict[str, str]] = {}

    def neighbors(self) -> dict[str, Neighbor]:
        """All neighbors, read once."""
        if self._neighbors is None:
            self._neighbors = self._announcer.neighbors()
        return self._neighbors

    def instance(self) -> Instance:
        """The configuration of the instance that concerns the neighbors that count, read once."""
        if self._instance is None:
            self._instance = self._announcer.instance(self.concerned())
        return self._instance

    def concerned(self) -> list[Neighbor]:
        """The neighbors that count and exchange prefixes of the family."""
        family = self._prefix.family
        return [one for one in self.neighbors().values() if one.is_activated(family) and self._counts(one.name)]

    def told(self, route: Route) -> list[str]:
        """The neighbors that count and that bgpd has sent the prefix, or will."""
        return [name for name in route.advertised_to if self._counts(name)]

    def peers(self) -> list[Peer]:
        """The neighbors that count, read once."""
        if self._peers is None:
            self._peers = [peer for peer in self._announcer.peers(self._prefix) if self._counts(peer.name)]
        return self._peers

    def count_sent(self, name: str) -> int:
        """How many prefixes of the family a neighbor has been sent, as far as bgpd counts them."""
        return next((peer.prefixes_sent for peer in self.peers() if peer.name == name), 0)

    def sent(self, name: str) -> dict[str, str]:
        """What a neighbor has been sent, with its next hops; {} for a neighbor with a full table, which takes seconds to read."""
        if name not in self._sent:
            self._sent[name] = {} if self.count_sent(name) > SENT_LIMIT else self._announcer.sent(self._prefix, name)
        return self._sent[name]

    def unsent(self, told: Sequence[str]) -> list[str]:
        """A sentence for each of them that it was not sent to yet. A neighbor with a full table is assumed to have it."""
        late = [name for name in told if self.count_sent(name) <= SENT_LIMIT and not self._has_left(name)]
        return [f"{name} has not been sent it yet{self._interval(name)}" for name in late]

    def without(self, route: Route, told: Sequence[str]) -> list[str]:
        """A sentence for each neighbor that does not have the prefix and was not shut down on purpose."""
        return [self._why_not(peer, route) for peer in self.peers() if peer.name not in told and not peer.is_shut_down]

    def shortage(self, route: Route, told: Sequence[str]) -> Shortage:
        """Why the neighbors that are not among those told do not have it."""
        missing = [peer for peer in self.peers() if peer.name not in told]
        sentences = [self._why_not(peer, route) for peer in missing]
        known = {peer.name for peer in self.peers()} | {one.group for one in self.neighbors().values() if one.group}
        sentences += [self._unknown(name) for name in self._wanted if name not in known]
        if any(peer.hit_max_prefix for peer in missing):
            sentences[-1] += "; raise the maximum-prefix of the router that ended the session, or announce less"
        coming = sum(self._may_come(peer, route) for peer in missing)
        return Shortage(sentences, bool(coming) and len(told) + coming >= self._min_peers)

    def too_few(self, told: Sequence[str], sentences: Sequence[str]) -> str:
        """The reason, with the cause first."""
        cause = ", ".join(sentences) or f"bgpd has no other IPv{self._prefix.family} neighbor"
        return f"{cause}: {self._prefix.cidr} is advertised to {len(told)} peers, min_peers is {self._min_peers}"

    def misdirected(self, told: Sequence[str]) -> str:
        """The sentence for a neighbor that is sent a next hop which is no address of this node, or ""."""
        for name in told:
            neighbor = self.neighbors().get(name)
            sent = self.sent(name).get(self._prefix.cidr, "")
            hop = sent if sent not in _UNSPECIFIED else neighbor.next_hop(self._prefix.family) if neighbor else ""
            if hop and (hop.startswith(_LINK_LOCAL) or not find_address(parse_address(hop))):
                what = "only a link-local address, which is no next hop over IPv4" if hop.startswith(_LINK_LOCAL) else (
                "which is no address of this node"
                )
                return (
                    f"{name} is sent the next hop {hop}, {what}: announce {self._prefix.cidr} over an "
                    f"IPv{self._prefix.family} session, or give the interface of this one an IPv{self._prefix.family} address "
                    "(for IPv4 also: capability extended-nexthop)"
                )
        return ""

    def other_source(self) -> str:
        """The sentence for a prefix that this node also originates by another statement than ours."""
        lines = self.instance().redistributed(self._prefix)
        source = f"`{'`, `'.join(lines)}`" if lines else "another statement than ours"
        return (
            f"bgpd announces {self._prefix.cidr} by {source} as well, which no stop could withdraw: remove that from frr.conf, "
            "or have its route-map deny the anycast subnets"
        )

    def not_best(self, route: Route) -> str:
        """The sentence for a path of ours that bgpd does not prefer."""
        if route.redistributed:
            return self.other_source()
        of = f"from {' '.join(route.learned_from)}" if route.learned_from else "from a neighbor"
        return f"bgpd prefers a path {of} to {self._prefix.cidr}: refuse these prefixes inbound"

    def cautions(self, route: Route, is_bfdd_running: bool) -> list[str]:
        """Warnings about what does no harm yet."""
        found = self.instance().cautions(is_bfdd_running)
        if route.redistributed:
            found.insert(0, self.other_source())
        if route.learned_from:
            found.append(
                f"{' '.join(route.learned_from)} sends a path to {self._prefix.cidr}, which this node would pass on when its own "
                "is withdrawn: refuse these prefixes inbound"
            )
        if not self.instance().has_router_id:
            found.append(
                f"no `bgp router-id` is set (in use: {self._announcer.router_id() or 'none'}): FRR picks an address of the "
                "loopback, so the anycast address may become that of several nodes; set it in frr.conf"
            )
        return found

    def is_fresh(self, route: Route, told: Sequence[str]) -> bool:
        """Whether bgpd may not have sent the path yet, to one of these neighbors at least."""
        return any(self._is_fresh(neighbor, route) for name in told if (neighbor := self.neighbors().get(name)))

    def _has_left(self, name: str) -> bool:
        """Adj-RIB-Out is per update-group: a member of it may have to wait for an advertisement-interval."""
        neighbor = self.neighbors().get(name)
        return self._prefix.cidr in self.sent(name) and (neighbor is None or not neighbor.queued(self._prefix.family))

    def _unknown(self, name: str) -> str:
        return f"peer-group {name} has no neighbor" if self.instance().has_group(name) else f"bgpd has no neighbor {name}"

    def _counts(self, name: str) -> bool:
        if not self._wanted or name in self._wanted:
            return True
        neighbor = self.neighbors().get(name)
        return neighbor is not None and neighbor.group in self._wanted

    def _interval(self, name: str) -> str:
        neighbor = self.neighbors().get(name)
        seconds = neighbor.interval_s if neighbor else 0
        return f" (`advertisement-interval {seconds:g}` delays it)" if seconds else ""

    def _why_not(self, peer: Peer, route: Route) -> str:
        """Why a neighbor lacks the prefix, as far as bgpd knows: never guessed from the state of the session."""
        neighbor = self.neighbors().get(peer.name)
        if peer.state != ESTABLISHED or peer.policy_missing or neighbor is None:
            return str(peer)
        line = self.instance().summarised_by(self._prefix)
        if line or route.suppressed:
            return f"{peer.name} is sent only the summary of `{line or 'aggregate-address ... summary-only'}`"
        limit, count = neighbor.export_limit(self._prefix.family)
        if limit and count >= limit:
            return f"{peer.name} is sent no more than its maximum-prefix-out of {limit}"
        for community, whom in _KEPT_HERE.items():
            if community in route.communities:
                return f"{peer.name}: the announcement's community {community} sends it to {whom}"
        policies = neighbor.policies(self._prefix.family)
        if self._is_fresh(neighbor, route):
            policy = f"; its export policy is {policies}" if policies else ""
            return f"{peer.name} Established for {neighbor.up_s:.0f} s, but not sent yet{self._interval(peer.name)}{policy}"
        if policies:
            return f"{peer.name} has an export policy ({policies}) that denies it"
        return f"{peer.name} Established for {neighbor.up_s:.0f} s, but not sent: see bgpd's log"

    def _may_come(self, peer: Peer, route: Route) -> bool:
        """Whether it may pass in a moment: a session is coming up or back, or has not sent everything yet."""
        neighbor = self.neighbors().get(peer.name)
        if neighbor is None or peer.is_shut_down or peer.hit_max_prefix or peer.policy_missing:
            return False
        if peer.state != ESTABLISHED:
            back_s = min(RECONNECT_S + neighbor.retry_s, RECONNECT_MAX_S)
            return peer.state in _COMING_UP or (neighbor.lost > 0 and 0 <= neighbor.down_s < back_s)
        limit, count = neighbor.export_limit(self._prefix.family)
        if route.suppressed or (limit and count >= limit) or self.instance().summarised_by(self._prefix):
            return False
        return self._is_fresh(neighbor, route)

    def _is_fresh(self, neighbor: Neighbor, route: Route) -> bool:
        """Whether the session has just come up, or the path has just changed: bgpd gathers updates before it sends them."""
        is_new = 0 <= time.time() - route.changed_at < PATH_S + neighbor.interval_s
        return is_new or neighbor.up_s < UPDATE_S + neighbor.interval_s
