"""What bgpd says about one prefix, and the two commands that change it.

The JSON keys used here are the same in FRR 8.4.4 and 10.3 (both tried); a key that is missing reads as false.
Never `show bgp ipv4 neighbors graceful-restart json`: bgpd 8.4.4 crashes on it.
"""

from __future__ import annotations

from ocfpy.bgp.errors import CommandRefused, FrrError
from ocfpy.bgp.reply import parse
from ocfpy.ocf.errors import HostError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol, TypeVar

    from ocfpy.bgp.instance import Instance
    from ocfpy.ocf.addresses import Address

    T = TypeVar("T")

    class Backend(Protocol):
        """A way to bgpd: ocfpy.bgp.vty.Vty or ocfpy.bgp.vtysh.Vtysh."""

        def show(self, command: str) -> str:
            """The text of a show command."""

        def configure(self, lines: Iterable[str]) -> None:
            """Lines of configuration, in order, until one is refused."""

        def configure_each(self, statements: Iterable[tuple[tuple[str, ...], str]]) -> dict[str, CommandRefused]:
            """Statements, each with the lines that lead to its place; those that were refused."""


# What bgpd says, in bgp_vty.c and bgp_route.c, when ...
_NO_STATEMENT = "Can't find static route"  # `no network` of what is not there
_NO_INSTANCE = ("No BGP process", "BGP instance not found", "View/Vrf is unknown")
_NOTHING_THERE = (_NO_STATEMENT, *_NO_INSTANCE)
_WHICH_INSTANCE = "specify ASN"  # `router bgp` alone, and there are several
# How a session has ended of which there is more to say, and who ended it: peer_down_str in bgp_fsm.c.
_ENDED_BY = {"BGP Notification received": "it ended the session", "BGP Notification send": "this node ended the session"}
_TOO_MANY = "Maximum Number of Prefixes"  # bgp_notify_cease_msg in bgp_debug.c; RFC 4486, subcode 1


class Route:
    """bgpd's own path to a prefix: is there one, is it valid, is it the best, who was told.

    exists means that there is a `network` statement in effect; leaving that it has been withdrawn and the
    peers are about to hear of it.
    """

    __slots__ = ("advertised_to", "best", "exists", "leaving", "valid")

    def __init__(
        self,
        exists: bool = False,
        leaving: bool = False,
        valid: bool = False,
        best: bool = False,
        advertised_to: tuple[str, ...] = (),
    ) -> None:
        self.exists = exists
        self.leaving = leaving
        self.valid = valid
        self.best = best
        self.advertised_to = advertised_to


class Peer:
    """A neighbour: state as bgpd names it (Established, Active, Idle (Admin), ...), policy_missing when RFC 8212
    blocks it, prefixes_sent as a number; ended says who ended the session that it had last, and why, as far as a
    BGP message said so.
    """

    __slots__ = ("ended", "name", "policy_missing", "prefixes_sent", "state")

    def __init__(
        self, name: str, state: str, policy_missing: bool, prefixes_sent: int = 0, ended: str = ""
    ) -> None:
        self.name = name
        self.state = state
        self.policy_missing = policy_missing
        self.prefixes_sent = prefixes_sent
        self.ended = ended

    @property
    def hit_max_prefix(self) -> bool:
        """Whether the session ended because one of its two ends was sent more prefixes than its maximum-prefix."""
        return _TOO_MANY in self.ended

    def __str__(self) -> str:
        policy = " without an export policy (RFC 8212)" if self.policy_missing else ""
        return f"{self.name} {self.state}{policy}{f' ({self.ended})' if self.ended else ''}"


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
        """What bgpd has for the prefix; paths learned from others do not count."""
        try:
            reply = self._show(f"show bgp{self._of_vrf} {_family(prefix)} unicast {prefix.cidr} json")
        except CommandRefused as refusal:
            if _says(refusal, *_NO_INSTANCE):
                return Route()
            raise
        leaving = False
        for path in reply.get("paths", ()):
            if not (path.get("local") and path.get("sourced")):
                continue
            if path.get("removed"):
                leaving = True
                continue
            best = bool(path.get("bestpath", {}).get("overall"))
            # advertisedTo is that of the prefix: it is ours only when our path is the one in use.
            peers = tuple(reply.get("advertisedTo", ())) if best else ()
            return Route(exists=True, valid=bool(path.get("valid")), best=best, advertised_to=peers)
        return Route(leaving=leaving)

    def peers(self, prefix: Address) -> list[Peer]:
        """The neighbours that are activated for the family of the prefix."""
        known = self._summary().get(f"{_family(prefix)}Unicast", {}).get("peers", {})
        ended = self._ended() if any(peer.get("state") != "Established" for peer in known.values()) else {}
        return [
            Peer(
                name,
                str(peer.get("state", "?")),
                peer.get("peerState") == "Policy",
                peer.get("pfxSnt", 0),
                ended.get(name, ""),
            )
            for name, peer in known.items()
        ]

    def _ended(self) -> dict[str, str]:
        """Why neighbors have no session any more, by name."""
        neighbors = self._show(f"show bgp{self._of_vrf} neighbors json")
        return {
            name: f"{_ENDED_BY[of['lastResetDueTo']]}: {of['lastNotificationReason']}"
            for name, of in neighbors.items()
            if isinstance(of, dict)
            and of.get("bgpState") != "Established"
            and of.get("lastResetDueTo") in _ENDED_BY
            and of.get("lastNotificationReason")
        }

    def asn(self) -> str:
        """The AS number of the instance, as `router bgp` takes it. HostError when there is no such instance."""
        for family in self._summary().values():
            if isinstance(family, dict) and family.get("as"):
                return str(family["as"])
        where = f"VRF {self._vrf}" if self._vrf else "the default VRF"
        raise HostError(
            f"bgpd has no BGP instance with a neighbor in {where}: configure `router bgp` in frr.conf"
        )

    def instance(self) -> Instance:
        """How the instance is configured, as far as that can keep a route alive or slow it."""
        from ocfpy.bgp.instance import Instance

        neighbors = self._show(f"show bgp{self._of_vrf} neighbors json")
        return Instance(neighbors, self._backend.show("show running-config"), self._vrf)

    def sent(self, prefix: Address, peer: str) -> tuple[str, ...]:
        """The prefixes, of the family of this one, that the peer has really been sent (Adj-RIB-Out)."""
        command = f"show bgp{self._of_vrf} {_family(prefix)} unicast neighbors {peer} advertised-routes json"
        return tuple(self._show(command).get("advertisedRoutes", ()))

    def has_route_map(self, name: str) -> bool:
        """Whether bgpd knows the route-map; a statement that names another one is a withdrawal."""
        reply = self._show(f"show route-map {name} json")
        return name in reply.get("BGP", reply)  # 8.4 has one level more

    def announce(self, prefix: Address, route_map: str = "") -> None:
        """`network`; said again with another route-map, or none, it changes that without a withdrawal."""
        self._statement(prefix, _announcement(prefix, route_map))

    def withdraw(self, prefix: Address) -> None:
        """`no network`, whatever route-map the statement has; fine when there is none."""
        try:
            self._statement(prefix, _withdrawal(prefix))
        except CommandRefused as refusal:
            if not _says(refusal, *_NOTHING_THERE):
                raise

    def change(self, withdrawn: Iterable[Address], announced: Iterable[tuple[Address, str]] = ()) -> dict[str, CommandRefused]:
        """Withdraw prefixes and announce others, each with its route-map or "", in one configuration session.

        Return what bgpd refused, by prefix; a withdrawal of what is not there is not among that.
        """
        lines = {_withdrawal(prefix): prefix for prefix in withdrawn}
        lines.update({_announcement(prefix, route_map): prefix for prefix, route_map in announced})
        # One family after the other: each turn from one to the other takes two lines.
        ordered = sorted(lines, key=lambda line: lines[line].family)

        def configure(router: str) -> dict[str, CommandRefused]:
            return self._backend.configure_each(((router, _unicast(lines[line])), line) for line in ordered)

        refused = self._in_instance(configure)
        return {lines[line].cidr: refusal for line, refusal in refused.items() if not _says(refusal, *_NOTHING_THERE)}

    def _statement(self, prefix: Address, line: str) -> None:
        self._in_instance(lambda router: self._backend.configure((router, _unicast(prefix), line)))

    def _in_instance(self, configure: Callable[[str], T]) -> T:
        """Have it configured, behind the line that leads to the instance."""
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
        """`router bgp` with the AS number; what has no neighbor any more must be withdrawn all the same."""
        try:
            asn = self.asn()
        except HostError:
            from ocfpy.bgp.instance import as_number

            asn = as_number(self._backend.show("show running-config"), self._vrf)
            if not asn:
                raise
        return f"router bgp {asn}{self._of_vrf}"

    def _summary(self) -> dict[str, Any]:
        """By address family; nothing when there is no instance, which bgpd answers with {} and a warning."""
        try:
            return self._show(f"show bgp{self._of_vrf} summary json")
        except CommandRefused:
            return {}

    def _show(self, command: str) -> dict[str, Any]:
        reply = self._backend.show(command)
        try:
            value = parse(reply)
        except ValueError as error:
            raise FrrError(f"bgpd's answer to `{command}` cannot be read: {error}") from None
        return value if isinstance(value, dict) else {}


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
