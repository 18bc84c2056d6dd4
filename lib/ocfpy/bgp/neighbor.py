"""One neighbor of `show bgp neighbors json`: its session, BFD, what may keep a prefix from it, and the next hop it is sent."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.bgp.answer import Answer

ESTABLISHED = "Established"
BFD_UP = "Up"
# Ends of a session about which bgpd says more, and who ended it: peer_down_str in bgp_fsm.c.
_ENDED_BY = {"BGP Notification received": "it ended the session", "BGP Notification send": "this node ended the session"}
_AGREED = "advertisedAndReceived"  # a capability that both ends have
_BFD_DOWN = "BFD down"  # "BFD down received", the same without a notification
# What bgpd calls the filters of an address family in bgp_show_peer_afi (bgp_vty.c).
_OUT_FILTERS = (
    ("route-map", "routeMapForOutgoingAdvertisements"),
    ("prefix-list", "outgoingUpdatePrefixFilterList"),
    ("distribute-list", "outgoingUpdateNetworkFilterList"),
    ("filter-list", "outgoingUpdateAsPathFilterList"),
    ("unsuppress-map", "selectiveUnsuppressRouteMap"),
    ("advertise-map", "advertiseMap"),
)


class Neighbor:
    """A neighbor; families are those it is activated for, times are in seconds.

    bfd is the state of its BFD session in bgpd, "" without BFD. lost counts the sessions that ended.
    """

    def __init__(self, name: str, answer: Answer) -> None:
        self.name = name
        self._answer = answer
        self.group = answer.text("peerGroup")
        self.state = answer.text("bgpState")
        self.is_shut_down = "adminShutDown" in answer
        self.up_s = answer.seconds("bgpTimerUpMsec")
        self.down_s = answer.seconds("lastResetTimerMsecs") if answer.text("lastResetDueTo") else -1.0
        self.retry_s = answer.number("connectRetryTimer")
        self.lost = int(answer.number("connectionsDropped"))
        self.interval_s = answer.seconds("minBtwnAdvertisementRunsTimerMsecs")
        # The two ends agree on the shorter one; before that only this end's is known.
        self.hold_s = answer.seconds(f"bgpTimer{'' if self.is_established else 'Configured'}HoldTimeMsecs")
        self.bfd = answer.at("peerBfdInfo").text("status") or ("?" if "peerBfdInfo" in answer else "")
        self.restarts_gracefully = answer.at("gracefulRestartInfo").text("localGrMode").startswith("Restart")

    @property
    def is_established(self) -> bool:
        """Whether its session is up."""
        return self.state == ESTABLISHED

    def is_activated(self, family: int) -> bool:
        """Whether prefixes of the address family, 4 or 6, are exchanged with it."""
        return _unicast(family) in self._answer.at("addressFamilyInfo")

    def last_reset(self) -> str:
        """Why it has no session any more, as far as a BGP message or BFD said so; "" while it has one."""
        if self.is_established:
            return ""
        cause = self._answer.text("lastResetDueTo")
        said = self._answer.text("lastNotificationReason")
        if _BFD_DOWN in cause and self.lost:
            words = cause
        elif cause in _ENDED_BY and said:
            words = f"{_ENDED_BY[cause]}: {said}"
        else:
            words = ""
        if words and "BFD" not in words:
            return words  # then a BFD session that is down as well is a consequence
        if self.bfd and self.bfd != BFD_UP:
            words += f"{'; ' if words else ''}its BFD session is {self.bfd}"
        return f"{words}; sessions lost so far: {self.lost}" if words and self.lost else words

    def policies(self, family: int) -> str:
        """The export filters of the address family by kind and name, as `route-map ANYCAST-OUT`."""
        info = self._answer.at("addressFamilyInfo").at(_unicast(family))
        return ", ".join(f"{kind} {info.text(key)}" for kind, key in _OUT_FILTERS if info.text(key))

    def export_limit(self, family: int) -> tuple[int, int]:
        """maximum-prefix-out, 0 for none, and how many prefixes it has been sent."""
        info = self._answer.at("addressFamilyInfo").at(_unicast(family))
        return int(info.number("prefixOutAllowedMax")), int(info.number("sentPrefixCounter"))

    def queued(self, family: int) -> int:
        """How many packets wait for it: those of its update-group, held back by its advertisement-interval, and its own."""
        info = self._answer.at("addressFamilyInfo").at(_unicast(family))
        return int(info.number("packetQueueLength") + self._answer.at("messageStats").number("depthOutq"))

    def next_hop(self, family: int) -> str:
        """The next hop of this node's routes; "" when it is an address of the session itself, which is one of this node.

        Of the other family than the session's it is one that bgpd found on the interface: or, without any, the router-id
        for IPv4 and a link-local address for IPv6 (bgp_nexthop_set in bgp_network.c).
        """
        if (":" in self._answer.text("hostLocal")) == (family == 6):
            return ""
        if family == 4 and self._answer.at("neighborCapabilities").text("extendedNexthop") == _AGREED:
            return ""
        return self._answer.text("nexthop" if family == 4 else "nexthopGlobal")


def _unicast(family: int) -> str:
    return f"ipv{family}Unicast"
