"""Any answer of bgpd about its neighbors is read or refused, and nothing fails in another way."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from ocfpy.agents.bgp_announce_judgement import Judgement
from ocfpy.bgp.announcer import Announcer
from ocfpy.bgp.errors import FrrError
from ocfpy.bgp.route import Route
from ocfpy.ocf.addresses import parse_address

PREFIX = parse_address("192.0.2.53")
KEYS = (
    "ipv4Unicast", "peers", "as", "10.1.0.1", "state", "pfxSnt", "peerState", "bgpState", "addressFamilyInfo", "peerBfdInfo",
    "status",
    "gracefulRestartInfo", "lastResetDueTo", "connectionsDropped", "advertisedRoutes", "192.0.2.53/32", "nextHop", "messageStats",
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["Established", "Idle", "Up", "x"])
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4), max_leaves=12
)


class Anything:
    """Answers with a given document."""

    def __init__(self, summary: object, neighbors: object, sent: object) -> None:
        self.summary, self.neighbors, self.sent = summary, neighbors, sent

    def show(self, command: str) -> str:
        if command == "show running-config":
            return "router bgp 65010\n"
        if "summary" in command:
            return json.dumps(self.summary)
        return json.dumps(self.sent if "advertised-routes" in command else self.neighbors)


@settings(max_examples=100, deadline=None)
@given(JSON, JSON, JSON)
def test_any_json_is_read_or_refused(summary: object, neighbors: object, sent: object) -> None:
    judgement = Judgement(Announcer(Anything(summary, neighbors, sent)), PREFIX, 1, ())  # type: ignore[arg-type]
    route = Route(exists=True, valid=True, best=True)
    for look in (
        lambda: judgement.shortage(route, []),
        lambda: judgement.unsent(["10.1.0.1"]),
        lambda: judgement.cautions(route, True),
        lambda: judgement.without(route, []),
    ):
        try:
            look()
        except FrrError:
            pass
