"""What became of a stream's requests: pure arithmetic over its log."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """One request: its kind ("dns4", "dns6", "http4", "http6"), when it left and was answered (time.time(); None: lost)."""

    kind: str
    sent: float
    answered: float | None
    server: str | None
    error: str | None

    @property
    def site(self) -> str | None:
        """Site of the real server that answered: "a" of "rs-a1"."""
        return self.server.split("-")[1][0] if self.server else None


ROUND_TRIP_S = 0.25
"""Seconds that a request of the lab's clients is under way at most; usually a few milliseconds."""


@dataclass(frozen=True)
class Report:
    """The account of the requests sent between two moments."""

    requests: Sequence[Request]
    since: float
    until: float

    @property
    def sent(self) -> int:
        """Requests whose fate is known."""
        return len(self.requests)

    @property
    def lost_requests(self) -> list[Request]:
        """Those without a good answer within the stream's timeout."""
        return [request for request in self.requests if request.answered is None]

    @property
    def lost(self) -> int:
        """Number of those."""
        return len(self.lost_requests)

    @property
    def cut_by_a_move(self) -> list[Request]:
        """Lost requests whose TCP connection was open when its route moved to another site.

        The new site does not know the connection and resets it; no anycast can do otherwise.
        """
        reset = [request for request in self.lost_requests if "ConnectionReset" in (request.error or "")]
        return [request for request in reset if self._moved_at(request)]

    def _moved_at(self, request: Request) -> bool:
        """Whether another site answers this kind of request right after it than right before it, and at once."""
        same = [other for other in self.requests if other.kind == request.kind and other.site]
        before = max((other for other in same if other.sent < request.sent), key=lambda other: other.sent, default=None)
        after = min((other for other in same if other.sent > request.sent), key=lambda other: other.sent, default=None)
        if before is None or after is None or before.site == after.site:
            return False
        return request.sent - before.sent < ROUND_TRIP_S and after.sent - request.sent < ROUND_TRIP_S

    @property
    def by_kind(self) -> dict[str, int]:
        """Requests lost, by kind; every kind that was sent is there."""
        counts = dict.fromkeys(sorted({request.kind for request in self.requests}), 0)
        counts.update(Counter(request.kind for request in self.lost_requests))
        return counts

    @property
    def by_site(self) -> dict[str, int]:
        """Answers by site."""
        return dict(Counter(request.site for request in self.requests if request.site))

    @property
    def by_server(self) -> dict[str, int]:
        """Answers by real server."""
        return dict(Counter(request.server for request in self.requests if request.server))

    @property
    def errors(self) -> dict[str, int]:
        """Lost requests by what was said."""
        return dict(Counter(request.error for request in self.lost_requests if request.error))

    @property
    def gap(self) -> float:
        """Seconds: the longest stretch in which one kind had no request answered, by send time; the worst kind counts."""
        worst = 0.0
        for kind in {request.kind for request in self.requests}:
            good = sorted(request.sent for request in self.requests if request.kind == kind and request.answered)
            edges = [self.since, *good, self.until]
            worst = max([worst, *(later - earlier for earlier, later in zip(edges, edges[1:]))])
        return worst

    def __str__(self) -> str:
        return (
            f"{self.sent} sent, {self.lost} lost {self.by_kind}, longest gap {self.gap:.3f} s, "
            f"answered by {self.by_server}, errors {self.errors}"
        )


def account(requests: Sequence[Request], since: float | None, until: float | None) -> Report:
    """Report over the requests sent in [since, until); without bounds, from the first to the last."""
    mine = [
        request for request in requests
        if (since is None or request.sent >= since) and (until is None or request.sent < until)
    ]
    times = [request.sent for request in mine]
    first, last = (min(times), max(times)) if times else (0.0, 0.0)
    return Report(mine, first if since is None else min(since, first or since), last if until is None else min(last, until))
