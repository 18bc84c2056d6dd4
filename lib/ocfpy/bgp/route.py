"""bgpd's state of one prefix: our own path, the neighbors it was sent to, and other paths."""

from __future__ import annotations

from ocfpy.bgp.errors import UnknownAnswer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.bgp.answer import Answer


class Route:
    """bgpd's own path to a prefix, from a `network` statement: whether it exists, is valid and best, and who is sent it.

    exists means that there is a `network` statement in effect; leaving that it has been withdrawn and the peers are about to
    hear of it. advertised_to holds the neighbors that bgpd has sent it to, or will once an advertisement-interval is over.
    suppressed: an aggregate keeps it from the neighbors (FRR 10 says so). communities are those that the statement sets.
    changed_at is when the path was last changed, in seconds since the epoch, 0 if bgpd does not say.
    redistributed: this node originates the prefix from another source as well. learned_from holds the neighbors that sent one.
    """

    __slots__ = (
        "advertised_to", "best", "changed_at", "communities", "exists",
        "learned_from", "leaving", "redistributed", "suppressed", "valid",
    )  # fmt: skip

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
        self.suppressed = False
        self.changed_at = 0.0
        self.communities: tuple[str, ...] = ()
        self.redistributed = False
        self.learned_from: tuple[str, ...] = ()


def read_route(reply: Answer) -> Route:
    """Read `show bgp ... PREFIX json`, {} when there is no such route. Raises UnknownAnswer for another shape than FRR's.

    advertisedTo belongs to the prefix, and is ours when our path is the best one. It stands beside paths or, as soon as one
    neighbor has addpath-tx-all-paths, in each of them (route_vty_out_detail in bgp_route.c).
    """
    route = Route()
    if not len(reply):
        return route
    if "paths" not in reply:
        raise UnknownAnswer(reply.where, "paths", list(reply.names()))
    for path in reply.each("paths"):
        if path.flag("sourced") and path.flag("local") and not path.flag("aggregated"):
            _read_ours(route, path, reply)
        elif path.at("peer").text("type"):  # external, internal, ...: learned from that peer
            route.learned_from += (path.at("peer").text("peerId"),)
        elif path.flag("sourced") or path.flag("local") or "peer" in path:
            if path.flag("removed"):
                route.leaving = True
            else:
                route.redistributed = True
        else:
            raise UnknownAnswer(f"{reply.where}: paths", "a path with its peer", list(path.names()))
    return route


def _read_ours(route: Route, path: Answer, reply: Answer) -> None:
    if path.flag("removed"):
        route.leaving = True
        return
    route.exists = True
    route.valid = path.flag("valid")
    route.best = path.at("bestpath").flag("overall")
    route.changed_at = path.at("lastUpdate").number("epoch")
    route.suppressed = path.flag("suppressed")
    route.communities = tuple(path.at("community").text("string").split())
    told = (*reply.at("advertisedTo").names(), *path.at("advertisedTo").names())
    # advertisedTo beside the paths belongs to the prefix: it is ours only when our path is the one in use.
    route.advertised_to = tuple(dict.fromkeys(told)) if route.best else path.at("advertisedTo").names()
