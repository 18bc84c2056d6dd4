"""Finds settings of a BGP instance that keep a route alive on a node that does not serve it, or delay or bend its path."""

from __future__ import annotations

from ocfpy.bgp.neighbor import BFD_UP
from ocfpy.ocf.addresses import parse_prefix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocfpy.bgp.neighbor import Neighbor
    from ocfpy.ocf.addresses import Address

# FRR shows these settings only in the running configuration, which has a line for each that is not the default.
IMPORT_CHECK_OFF = "no bgp network import-check"
SUPPRESS_FIB_PENDING = "bgp suppress-fib-pending"
DELAY_TIMER = "bgp route-map delay-timer "
GRACEFUL_SHUTDOWN = "bgp graceful-shutdown"
ROUTER_ID = "bgp router-id "
AGGREGATE = "aggregate-address"
SUMMARY_ONLY = "summary-only"
REDISTRIBUTE = "redistribute"

DELAY_TIMER_DEFAULT_S = 5  # RMAP_DEFAULT_UPDATE_TIMER in bgpd.h
HOLD_LIMIT_S = 10
"""A longer hold time without BFD is reported: nothing else tells a router that this node has lost power."""
BFD_SETTLES_S = 5.0
"""Age at which a session's BFD session is judged; BFD comes up about a second after BGP."""


class Instance:
    """The settings of a BGP instance that concern the given neighbors; times in seconds."""

    __slots__ = ("_global", "_neighbors", "_own")

    def __init__(self, neighbors: Sequence[Neighbor], running_config: str, vrf: str = "") -> None:
        self._neighbors = [one for one in neighbors if not one.is_shut_down]
        self._global, self._own = _lines(running_config, vrf)

    def hazards(self) -> list[str]:
        """What can leave clients with a node that does not serve, a sentence each."""
        faults = []
        restarters = [one.name for one in self._neighbors if one.restarts_gracefully]
        if restarters:
            faults.append(
                f"graceful restart is on towards {' '.join(restarters)}: they would keep the route for minutes after "
                "this node is gone; remove `bgp graceful-restart` from frr.conf and restart FRR"
            )
        if self._has(IMPORT_CHECK_OFF):
            faults.append(
                f"`{IMPORT_CHECK_OFF}` has bgpd announce an address that is not on this node, at boot for instance: "
                "remove the line from frr.conf"
            )
        return faults

    def cautions(self, is_bfdd_running: bool) -> list[str]:
        """What protects or serves clients less than it seems to, a sentence each."""
        faults = []
        for one in self._neighbors:
            if one.bfd and one.is_established and one.up_s >= BFD_SETTLES_S and not (is_bfdd_running and one.bfd == BFD_UP):
                state = f"is {one.bfd}" if is_bfdd_running else "is not at work: bfdd does not run here"
                faults.append(
                    f"BFD towards {one.name} {state}; until it is up {one.name} would send here {_for(one.hold_s)} after a "
                    "power cut: start bfdd on both ends, configure BFD on both, see `show bfd peers`"
                )
        if GRACEFUL_SHUTDOWN in self._global or self._has(GRACEFUL_SHUTDOWN):
            faults.append(
                f"`{GRACEFUL_SHUTDOWN}` is on, so routers use this node only when there is no other: enter "
                f"`no {GRACEFUL_SHUTDOWN}` when the maintenance is over"
            )
        return faults

    @property
    def has_router_id(self) -> bool:
        """Whether the instance has a router-id of its own."""
        return any(line.startswith(ROUTER_ID) for _, line in self._own)

    def delays(self) -> list[str]:
        """What delays changes on their way to routers, a sentence each."""
        faults = []
        for one in self._neighbors:
            if one.interval_s:
                faults.append(
                    f"{one.name} is sent an announcement up to {one.interval_s:g} s late (a withdrawal at once): set "
                    f"`neighbor {one.name} advertisement-interval 0`"
                )
            if not one.bfd and not 0 < one.hold_s <= HOLD_LIMIT_S:
                faults.append(
                    f"{one.name} would send here {_for(one.hold_s)} after a power cut: add `neighbor {one.name} bfd`, "
                    "or `timers bgp 3 9`"
                )
        delay_s = self._delay_timer_s()
        if not 0 < delay_s <= DELAY_TIMER_DEFAULT_S:
            when = f"{delay_s} s after it was made" if delay_s else "only after `clear bgp * soft`"
            faults.append(
                f"an edit of a route-map or prefix-list takes effect {when}: remove `{DELAY_TIMER}{delay_s}` from frr.conf"
            )
        if self._has(SUPPRESS_FIB_PENDING):
            faults.append(f"`{SUPPRESS_FIB_PENDING}` delays announcements by a second: remove it from frr.conf")
        return faults

    def has_group(self, name: str) -> bool:
        """Whether this peer-group exists, with neighbors or without."""
        return self._has(f"neighbor {name} peer-group")

    def summarised_by(self, prefix: Address) -> str:
        """The `aggregate-address ... summary-only` that keeps the prefix from all neighbors, or ""."""
        for _, line in self._own:
            words = line.split()
            if words[:1] == [AGGREGATE] and SUMMARY_ONLY in words:
                try:
                    is_within = parse_prefix(words[1]).contains(prefix)
                except ValueError:
                    continue
                if is_within:
                    return line
        return ""

    def redistributed(self, prefix: Address) -> list[str]:
        """The `redistribute` lines of the family of the prefix."""
        family = f"ipv{prefix.family} unicast"
        return [line for place, line in self._own if place == family and line.startswith(f"{REDISTRIBUTE} ")]

    def _has(self, wanted: str) -> bool:
        return any(line == wanted for _, line in self._own)

    def _delay_timer_s(self) -> int:
        for line in self._global:
            if line.startswith(DELAY_TIMER):
                number = line[len(DELAY_TIMER) :]
                return int(number) if number.isdigit() else DELAY_TIMER_DEFAULT_S
        return DELAY_TIMER_DEFAULT_S


def as_number(running_config: str, vrf: str = "") -> str:
    """The configured AS number of an instance; empty when there is no such instance."""
    for line in running_config.splitlines():
        if _begins(line, vrf):
            return line.split()[2]
    return ""


def _for(hold_s: float) -> str:
    return f"for {hold_s:g} s" if hold_s else "for ever"


def _begins(line: str, vrf: str) -> bool:
    # router bgp ASN, then nothing, or vrf NAME, or view NAME
    words = line.split()
    return words[:2] == ["router", "bgp"] and len(words) > 2 and words[3:] == (["vrf", vrf] if vrf else [])


def _lines(running_config: str, vrf: str) -> tuple[list[str], list[tuple[str, str]]]:
    """The lines outside of any block; and those of this instance's own block, each behind its address family, or ""."""
    outside: list[str] = []
    own: list[tuple[str, str]] = []
    inside = False
    family = ""
    for line in running_config.splitlines():
        text = line.strip()
        if not line.startswith(" "):
            inside = _begins(line, vrf)
            family = ""
            outside.append(text)
        elif inside and text.startswith("address-family "):
            family = text.partition(" ")[2]
        elif inside and text == "exit-address-family":
            family = ""
        elif inside:
            own.append((family, text))
    return outside, own
