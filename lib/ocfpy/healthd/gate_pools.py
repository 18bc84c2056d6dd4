"""The reports of pools, and the gate's messages about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class PoolState:
    """The last report of a pool: `alive` backends, None if not known; `shut` is the last known state, None before the first.

    since is when the gate opened or shut, in seconds since the epoch; why is the pool's own explanation; gone is set once the
    pool has been removed; short says that the gate is shut although backends are alive, fewer than the quorum.
    """

    __slots__ = ("alive", "gone", "short", "shut", "since", "why")

    def __init__(
        self, alive: int | None, shut: bool | None, since: float, why: str, gone: bool = False, short: bool = False
    ) -> None:
        self.alive = alive
        self.shut = shut
        self.since = since
        self.why = why
        self.gone = gone
        self.short = short


def shut_words(attribute: str, pool: PoolState) -> str:
    """Return why a gate is shut, for the operator."""
    if pool.gone:
        return f"no pool of this node publishes {attribute} any more"
    return too_few(attribute) if pool.short else f"no live backend of {attribute}"


def too_few(attribute: str) -> str:
    """Return the words for a quorum that is lost."""
    return f"too few live backends of {attribute} for its quorum"


def undecided(attribute: str, pools: Mapping[str, PoolState]) -> str:
    """Return the answer where a gate can be neither open nor shut."""
    if attribute not in pools:
        return f"unknown no pool of this node publishes {attribute}"
    return f"waiting the pool of {attribute} has not checked its backends yet"
