"""The parameters of ocf:anycast:bgp-announce, and their validation."""

from __future__ import annotations

from ocfpy.net.prefixes import ALLOWED_PREFIXES_FILE, outside
from ocfpy.ocf.addresses import parse_address
from ocfpy.ocf.agent import Agent
from ocfpy.ocf.parameters import (
    NAME_CHARACTERS,
    AddressParam,
    DurationParam,
    IntParam,
    ListParam,
    PathParam,
    PrefixListParam,
    StringParam,
)

_NAME_SIGNS = "_.-@+=~"
"""Characters of an interface or peer-group name, beside letters and digits; others have a meaning in a vty, or end a word."""

LONGDESC = """\
Announces one host route, /32 or /128, through a running FRR bgpd for as long as the resource is started here,
with a network statement in the running configuration. The agent never writes frr.conf, reads the AS number instead
of guessing it, and never creates a BGP instance; sessions, policies and timers are the operator's
(frr-lb.conf and frr-router.conf among this package's examples show both ends).

The route counts as announced when bgpd answers, its own path to the prefix is valid and best, the address is
on an interface of this node, and at least min_peers established neighbors have been sent it, with a next hop that
is an address of this node. start returns when the update has been sent. stop withdraws the route, waits until the
withdrawal has been sent, and then for settle, so that no router sends to the address any more when it is removed.

The agent waits for a busy bgpd until the timeout; a bgpd that gives no answer for 2 seconds and uses no processor time
hangs. A monitor waits up to 5 seconds for a session that was just lost, and for one that has just come up.

start refuses graceful restart, which would leave the route at the neighbors for minutes after this node has
gone, `no bgp network import-check`, and a prefix that bgpd has from another source (`redistribute`), which stop could
not withdraw. It logs what only slows an announcement or a failover (an advertisement-interval, a long hold time
without BFD, BFD that is not up, ...). The monitor with OCF_CHECK_LEVEL=10 checks all that again, and
reads what each neighbor has really been sent: the route, and nothing outside of the allowed prefixes. If
the route itself is in order it returns 190 (degraded) with the reason.

With attribute the route also depends on a pool: see there. The resource keeps running while the pool has no
live backend here, and its monitor says "withdrawn: no live backend of healthy-POOL since ..." (190, degraded).
Then start and migrate_from succeed without announcing, and the health daemon announces the route when a
backend is alive. If no ipvs-pool of this node publishes the attribute, start fails.

Place it after the address: order and colocation with ocf:anycast:anycast-vip."""


def parse_peer(text: str) -> str:
    """Return a neighbor as bgpd names it: an address in its canonical form, an interface (BGP unnumbered), or a peer-group."""
    if ":" in text or (text.count(".") > 1 and text.replace(".", "").isdigit()):
        return str(parse_address(text))
    if not text or any(not _may_be_in_a_name(c) for c in text):
        raise ValueError(f"{text!r} is neither an address nor the name of an interface or of a peer-group")
    return text


def _may_be_in_a_name(c: str) -> bool:
    return c.isalnum() or c in _NAME_SIGNS or (not c.isascii() and c.isprintable() and not c.isspace())


def _is_address(peer: str) -> bool:
    return ":" in peer or peer.replace(".", "").isdigit()


class AnnounceParameters(Agent):
    """Declares the parameters and validates them together."""

    prefix = AddressParam(
        "Address to announce",
        "The anycast address, with or without its length: 192.0.2.53, 192.0.2.53/32, 2001:db8::53/128. "
        "Only host routes are announced.",
        required=True,
        unique_group=True,
    )
    attribute = StringParam(
        "Node attribute of the pool that gates the route",
        "The node attribute (such as healthy-POOL) of the ipvs-pool whose backends answer for the address. When that pool has "
        "no live backend on this node, its health daemon withdraws the route from bgpd at once, without waiting for the "
        "cluster, and announces it again when a backend is alive and the resource is still started here. Meanwhile the "
        "resource runs, and its monitor returns 190 (degraded). Unset: the route stays until the resource is stopped.",
        charset=f"{NAME_CHARACTERS}#",
        default="",
        reloadable=True,
    )
    allowed_prefixes = PrefixListParam(
        "Anycast subnets",
        "Prefixes, separated by spaces; nothing outside of them is announced. Required here or, one a "
        f"line, in {ALLOWED_PREFIXES_FILE}; if both are given an address has to be in both.",
    )
    min_peers = IntParam(
        "Neighbors that must have the route",
        "The resource fails when fewer established neighbors than this have been sent the route. "
        "With 0 it may run without any session.",
        minimum=0,
        default=1,
        reloadable=True,
    )
    peers = ListParam(
        "Neighbors that count",
        "Neighbors that count for min_peers: by address, by interface for unnumbered BGP, or by peer-group, which stands for "
        "all its members, those of a `bgp listen range` as well. Default: all of the address family.",
        parse=parse_peer,
        reloadable=True,
    )
    route_map = StringParam(
        "Route-map of the announcement",
        "Name of a route-map in frr.conf for the network statement, to set communities or a "
        "metric.",
        charset=NAME_CHARACTERS,
        default="",
        reloadable=True,
    )
    drain_route_map = StringParam(
        "Route-map that makes the route unattractive",
        "Name of a route-map in frr.conf, for example one that sets the community graceful-shutdown. "
        "stop applies it for drain_time before it withdraws the route, so that traffic moves while both "
        "paths exist.",
        charset=NAME_CHARACTERS,
        default="",
        reloadable=True,
    )
    drain_time = DurationParam(
        "Drain time",
        "Time between applying drain_route_map and the withdrawal; cut short when the timeout of stop is "
        "near.",
        default="1s",
        maximum="1h",
        usual="1min",
        reloadable=True,
    )
    settle = DurationParam(
        "Wait after the withdrawal",
        "Time for the routers to stop sending after the withdrawal, before stop returns.",
        default="500ms",
        maximum="10s",
        reloadable=True,
    )
    backend = StringParam(
        "How to talk to bgpd",
        "socket: bgpd's own socket, 0.2 ms a call. vtysh: the command of that name, 30 ms a call. auto: "
        "the socket if it exists.",
        choices=("auto", "socket", "vtysh"),
        default="auto",
    )
    vty_dir = PathParam(
        "Directory of FRR's vty sockets",
        "The directory of bgpd.vty; /run/frr/NAME for an FRR that was started with -N NAME.",
        default="/run/frr",
    )
    vrf = StringParam(
        "VRF",
        "Name of the VRF whose BGP instance announces. Default: the default VRF.",
        charset=NAME_CHARACTERS,
        default="",
    )
    on_hung = StringParam(
        "What stop does with a bgpd that hangs",
        "A bgpd that hangs keeps its sessions up and its routes at the neighbors. kill: stop kills it with "
        "SIGKILL, the neighbors withdraw at once, and FRR's own watchdog starts it again. fail: stop "
        "fails, and Pacemaker fences the node.",
        choices=("kill", "fail"),
        default="kill",
        reloadable=True,
    )

    def check_config(self) -> list[str]:
        """Find parameters that contradict each other."""
        faults = []
        if self.prefix and self.allowed_prefixes:
            faults.append(outside(self.prefix, self.allowed_prefixes, "allowed_prefixes"))
        # A name may be that of a peer-group, which has any number of neighbors.
        if self.peers and all(map(_is_address, self.peers)) and self.min_peers > len(set(self.peers)):
            faults.append(f"min_peers is {self.min_peers}, but peers names only {len(set(self.peers))}")
        return [fault for fault in faults if fault]
