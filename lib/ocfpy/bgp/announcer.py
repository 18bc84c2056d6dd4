"""Reads bgpd's state of one prefix, and runs the two commands that change it.

The JSON keys used here are those of FRR 8.4.4 and 10.3 (both tried); a missing key reads as false, a value of another type is
an error. Never run `show bgp ipv4 neighbors graceful-restart json`: bgpd 8.4.4 crashes on it.
"""

from __future__ import annotations

from ocfpy.bgp.answer import Answer
from ocfpy.bgp.errors import CommandRefused, FrrError
from ocfpy.bgp.json_reply import parse
from ocfpy.bgp.neighbor import Neighbor
from ocfpy.bgp.route import Route, read_route
from ocfpy.ocf.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Protocol, TypeVar

    from ocfpy.bgp.instance import Instance
    from ocfpy.ocf.addresses import Address

    T = TypeVar("T")

    class Backend(Protocol):
        """A connection to bgpd: ocfpy.bgp.vty.Vty or ocfpy.bgp.vtysh.Vtysh."""

        def show(self, command: str) -> str:
            """Return the text of a show command."""

        def configure(self, lines: Iterable[str]) -> None:
            """Run lines of configuration, in order, until one is refused."""

        def configure_each(self, statements: Iterable[tuple[tuple[str, ...], str]]) -> dict[str, CommandRefused]:
            """Run statements, each with the lines that lead to its place; return the refused ones."""


# What bgpd says, in bgp_vty.c and bgp_route.c, when ...
_NO_STATEMENT = "Can't find static route"  # `no network` without a statement
_NO_INSTANCE = ("No BGP process", "BGP instance not found", "View/Vrf is unknown")
_NOTHING_THERE = (_NO_STATEMENT, *_NO_INSTANCE)
_WHICH_INSTANCE = "specify ASN"  # `router bgp` alone, and there are several
_TOO_MANY = "Maximum Number of Prefixes"  # bgp_notify_cease_msg in bgp_debug.c; RFC 4486, subcode 1
_ROUTE_MAP_LEVELS = ("BGP", "bgpd")  # what stands around a route-map's name: in FRR 8.4, and in what vtysh of FRR 10 prints


class Peer:
    """A neighbor: state as bgpd names it (Established, Active, Idle (Admin), ...), policy_missing when RFC 8212
    blocks it, prefixes_sent as a number; last_reset says which end closed the last session, and why, as far as a
    BGP message or BFD said so.
    """

    __slots__ = ("last_reset", "name", "policy_missing", "prefixes_sent", "state")

    def __init__(
        self, name: str, state: str, policy_missing: bool, prefixes_sent: int = 0, last_reset: str = ""
    ) -> None:
        self.name = name
        self.state = state
        self.policy_missing = policy_missing
        self.prefixes_sent = prefixes_sent
        self.last_reset = last_reset

    @property
    def is_shut_down(self) -> bool:
        """Whether it was shut down on purpose."""
        return self.state.endswith("(Admin)")

    @property
    def hit_max_prefix(self) -> bool:
        """Whether the session ended because one of its two ends was sent more prefixes than its maximum-prefix."""
        return _TOO_MANY in self.last_reset

    def __str__(self) -> str:
        policy = " without an export policy (RFC 8212)" if self.policy_missing else ""
        return f"{self.name} {self.state}{policy}{f' ({self.last_reset})' if self.last_reset else ''}"


class Announcer:
    """One BGP instance, the default one or that of a VRF. It is never created and never saved.

    Every method may raise the errors of the backend: CommandRefused, BgpdHung, BgpdDead.
    """

    __slots__ = ("_backend", "_of_vrf", "_vrf")

    def __init__(self, backend: Backend, vrf: str = "") -> None:
        self._backend = backend
        self._vrf = vrf
        self._of_vrf = f" vrf {vrf}" if vrf else ""

    def route(self, prefix: Address) -> Route:
        """Return bgpd's state of the prefix. Raises UnknownAnswer for a form that FRR 8.4 to 10.3 do not use."""
        command = f"show bgp{self._of_vrf} {_family(prefix)} unicast {prefix.cidr} json"
        try:
            reply = self._show(command)
            if reply.text("warning"):  # vtysh has no status for it
                raise CommandRefused(command, 1, reply.text("warning"))
            return read_route(reply)
        except CommandRefused as refusal:
            if _says(refusal, *_NO_INSTANCE):
                return Route()
            raise

    def peers(self, prefix: Address) -> list[Peer]:
        """The neighbors that are activated for the family of the prefix."""
        known = dict(self._summary().at(f"{_family(prefix)}Unicast").at("peers").objects())
        neighbors = self.neighbors() if any(peer.text("state") != "Established" for peer in known.values()) else {}
        return [
            Peer(
                name,
                peer.text("state") or "?",
                peer.text("peerState") == "Policy",
                int(peer.number("pfxSnt")),
                neighbors[name].last_reset() if name in neighbors else "",
            )
            for name, peer in known.items()
        ]

    def neighbors(self) -> dict[str, Neighbor]:
        """All neighbors of the instance, by the name that bgpd gives them."""
        reply = self._show(f"show bgp{self._of_vrf} neighbors json")
        return {name: Neighbor(name, answer) for name, answer in reply.objects()}

    def router_id(self) -> str:
        """The router-id in use; "" if the instance has no neighbor that would show it."""
        return next((found for _, family in self._summary().objects() if (found := family.text("routerId"))), "")

    def asn(self) -> str:
        """The AS number of the instance, as `router bgp` takes it. Raises HostError when there is no such instance."""
        for _, family in self._summary().objects():
            if family.number("as"):
                return str(int(family.number("as")))
        from ocfpy.bgp.instance import as_number

        # The summary is empty while there is no neighbor: `bgp listen range`, and no router has connected yet.
        number = as_number(self._backend.show("show running-config"), self._vrf)
        if not number:
            where = f"VRF {self._vrf}" if self._vrf else "the default VRF"
            raise HostError(f"bgpd has no BGP instance in {where}: configure `router bgp` in frr.conf")
        return number

    def instance(self, neighbors: Sequence[Neighbor] = ()) -> Instance:
        """The configuration of the instance, as far as it can keep a route alive or slow it on its way to these neighbors."""
        from ocfpy.bgp.instance import Instance

        return Instance(neighbors, self._backend.show("show running-config"), self._vrf)

    def sent(self, prefix: Address, peer: str) -> dict[str, str]:
        """The prefixes, of this one's family, that the peer has really been sent (Adj-RIB-Out), with their next hops.

        A next hop of 0.0.0.0 or :: is replaced as the update is written: see Neighbor.next_hop.
        """
        command = f"show bgp{self._of_vrf} {_family(prefix)} unicast neighbors {peer} advertised-routes json"
        routes = self._show(command).at("advertisedRoutes").objects()
        return {name: one.text("nextHopGlobal") or one.text("nextHop") for name, one in routes}

    def has_route_map(self, name: str) -> bool:
        """Return whether bgpd knows the route-map; a statement with an unknown route-map is a withdrawal.

        FRR 8.4 answers {"BGP": {NAME: ...}}, FRR 10 {NAME: ...} and its vtysh {"bgpd": {NAME: ...}}. A route-map counts how often
        it was invoked, and a level around it does not: one may be called BGP.
        """
        return _has_route_map(self._show(f"show route-map {name} json"), name)

    def announce(self, prefix: Address, route_map: str = "") -> None:
        """Run `network`; repeated with another route-map, or none, it changes that without a withdrawal."""
        self._statement(prefix, _announcement(prefix, route_map))

    def withdraw(self, prefix: Address) -> None:
        """Run `no network`, with any route-map in the statement; a missing statement is no error."""
        try:
            self._statement(prefix, _withdrawal(prefix))
        except CommandRefused as refusal:
            if not _says(refusal, *_NOTHING_THERE):
                raise

    def change(self, withdrawn: Iterable[Address], announced: Iterable[tuple[Address, str]] = ()) -> dict[str, CommandRefused]:
        """Withdraw prefixes and announce others, each with its route-map or "", in one configuration session.

        Return what bgpd refused, by prefix; a withdrawal of a missing statement is not among that.
        """
        lines = {_withdrawal(prefix): prefix for prefix in withdrawn}
        lines.update({_announcement(prefix, route_map): prefix for prefix, route_map in announced})
        # One family after the other: each turn from one to the other takes two lines.
        ordered = sorted(lines, key=lambda line: lines[line].family)

        def configure(router: str) -> dict[str, CommandRefused]:
            refused = self._backend.configure_each(((router, _unicast(lines[line])), line) for line in ordered)
            for refusal in refused.values():
                if _says(refusal, _WHICH_INSTANCE):  # vtysh does not say which line it was
                    raise refusal
            return refused

        try:
            refused = self._in_instance(configure)
        except CommandRefused as refusal:
            if any(line.startswith("network") for line in lines) or not _says(refusal, *_NO_INSTANCE):
                raise
            return {}
        return {lines[line].cidr: refusal for line, refusal in refused.items() if not _says(refusal, *_NOTHING_THERE)}

    def _statement(self, prefix: Address, line: str) -> None:
        self._in_instance(lambda router: self._backend.configure((router, _unicast(prefix), line)))

    def _in_instance(self, configure: Callable[[str], T]) -> T:
        """Configure lines, behind the line that leads to the instance."""
        if self._vrf:
            return configure(self._router())
        try:
            # Without the AS number it never creates an instance.
            return configure("router bgp")
        except CommandRefused as refusal:
            if not _says(refusal, _WHICH_INSTANCE):
                raise
            return configure(self._router())

    def _router(self) -> str:
        """`router bgp` with the AS number; a prefix without any neighbor left must be withdrawn all the same."""
        return f"router bgp {self.asn()}{self._of_vrf}"

    def _summary(self) -> Answer:
        """The summary by address family; empty when there is no instance, which bgpd answers with {} and a warning."""
        command = f"show bgp{self._of_vrf} summary json"
        try:
            return self._show(command)
        except CommandRefused:
            return Answer({}, f"`{command}`")

    def _show(self, command: str) -> Answer:
        reply = self._backend.show(command)
        try:
            value = parse(reply)
        except ValueError as error:
            raise FrrError(f"bgpd's answer to `{command}` cannot be read: {error}") from None
        return Answer(value, f"`{command}`")


def _has_route_map(reply: Answer, name: str) -> bool:
    return any(
        (key == name and (key not in _ROUTE_MAP_LEVELS or "invoked" in inner))
        or (key in _ROUTE_MAP_LEVELS and _has_route_map(inner, name))
        for key, inner in reply.objects()
    )


def _says(refusal: CommandRefused, *phrases: str) -> bool:
    return any(phrase in refusal.text for phrase in phrases)


def _family(prefix: Address) -> str:
    return f"ipv{prefix.family}"


def _unicast(prefix: Address) -> str:
    return f"address-family {_family(prefix)} unicast"


def _announcement(prefix: Address, route_map: str) -> str:
    return f"network {prefix.cidr}" + (f" route-map {route_map}" if route_map else "")


def _withdrawal(prefix: Address) -> str:
    return f"no network {prefix.cidr}"
