"""What in the configuration of a BGP instance keeps a route where nobody serves any more, or slows its way."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What FRR does not show in JSON is read from the running configuration, which has a line for what is not the default.
IMPORT_CHECK_OFF = "no bgp network import-check"
SUPPRESS_FIB_PENDING = "bgp suppress-fib-pending"
DELAY_TIMER = "bgp route-map delay-timer "

DELAY_TIMER_DEFAULT_S = 5  # RMAP_DEFAULT_UPDATE_TIMER in bgpd.h
HOLD_LIMIT_S = 10
"""A hold time above this is named where there is no BFD: nothing else tells a router that this node has lost power."""


class Instance:
    """A BGP instance as far as it matters here; times in seconds, each list holds names of neighbors."""

    __slots__ = ("_global", "_neighbors", "_own")

    def __init__(self, neighbors: dict[str, Any], running_config: str, vrf: str = "") -> None:
        self._neighbors = {name: of for name, of in neighbors.items() if isinstance(of, dict) and not of.get("adminShutDown")}
        self._global, self._own = _lines(running_config, vrf)

    def hazards(self) -> list[str]:
        """What can leave clients with a node that does not serve, a sentence each."""
        faults = []
        restarters = [name for name in self._neighbors if self._mode(name).startswith("Restart")]
        if restarters:
            faults.append(
                f"graceful restart is on towards {' '.join(restarters)}: they would keep the route for minutes after "
                "this node is gone; take `bgp graceful-restart` out of frr.conf and restart FRR"
            )
        if IMPORT_CHECK_OFF in self._own:
            faults.append(
                f"`{IMPORT_CHECK_OFF}` has bgpd announce an address that is not on this node, at boot for instance: "
                "take the line out of frr.conf"
            )
        return faults

    def delays(self) -> list[str]:
        """What has routers learn of a change later than they could, a sentence each."""
        faults = []
        for name, neighbor in self._neighbors.items():
            mrai_s = neighbor.get("minBtwnAdvertisementRunsTimerMsecs", 0) / 1000
            if mrai_s:
                faults.append(
                    f"{name} hears of a withdrawal up to {mrai_s:g} s late: set `neighbor {name} advertisement-interval 0`"
                )
            # The two ends agree on the shorter one; before they have, this end's is what is known.
            agreed = "" if neighbor.get("bgpState") == "Established" else "Configured"
            hold_s = neighbor.get(f"bgpTimer{agreed}HoldTimeMsecs", 0) / 1000
            if "peerBfdInfo" not in neighbor and not 0 < hold_s <= HOLD_LIMIT_S:
                lasts = f"for {hold_s:g} s" if hold_s else "for ever"
                faults.append(
                    f"{name} would send here {lasts} after a power cut: add `neighbor {name} bfd`, or `timers bgp 3 9`"
                )
        delay_s = self._delay_timer_s()
        if not 0 < delay_s <= DELAY_TIMER_DEFAULT_S:
            when = f"{delay_s} s after it was made" if delay_s else "only after `clear bgp * soft`"
            faults.append(
                f"an edit of a route-map or prefix-list has its effect {when}: take `{DELAY_TIMER}{delay_s}` out of frr.conf"
            )
        if SUPPRESS_FIB_PENDING in self._own:
            faults.append(f"`{SUPPRESS_FIB_PENDING}` holds announcements back for a second: take it out of frr.conf")
        return faults

    def _mode(self, name: str) -> str:
        return str(self._neighbors[name].get("gracefulRestartInfo", {}).get("localGrMode", ""))

    def _delay_timer_s(self) -> int:
        for line in self._global:
            if line.startswith(DELAY_TIMER):
                number = line[len(DELAY_TIMER) :]
                return int(number) if number.isdigit() else DELAY_TIMER_DEFAULT_S
        return DELAY_TIMER_DEFAULT_S


def as_number(running_config: str, vrf: str = "") -> str:
    """The AS number of an instance, as it is configured; nothing when there is no such instance."""
    for line in running_config.splitlines():
        if _begins(line, vrf):
            return line.split()[2]
    return ""


def _begins(line: str, vrf: str) -> bool:
    # router bgp ASN, then nothing, or vrf NAME, or view NAME
    words = line.split()
    return words[:2] == ["router", "bgp"] and len(words) > 2 and words[3:] == (["vrf", vrf] if vrf else [])


def _lines(running_config: str, vrf: str) -> tuple[list[str], list[str]]:
    """The lines outside of any block, and those of this instance's own block."""
    outside: list[str] = []
    own: list[str] = []
    inside = False
    for line in running_config.splitlines():
        if not line.startswith(" "):
            inside = _begins(line, vrf)
            outside.append(line.rstrip())
        elif inside:
            own.append(line.strip())
    return outside, own
