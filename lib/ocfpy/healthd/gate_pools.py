"""The reports of pools, and the gate's messages about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class PoolState:
    """The last report of a pool: `alive` backends, None if not known; `shut` is the last known state, None before the first.

    since is when the gate opened or shut, in seconds since the epoch; why is the pool's own explanation; gone is set once the
    pool has been removed.
    """

    __slots__ = ("alive", "gone", "shut", "since", "why")

    def __init__(self, alive: int | None, shut: bool | None, since: float, why: str, gone: bool = False) -> None:
        self.alive = alive
        self.shut = shut
        self.since = since
        self.why = why
        self.gone = gone


def shut_words(attribute: str, pool: PoolState) -> str:
    """Return why a gate is shut, for the operator."""
    return f"no pool of this node publishes {attribute} any more" if pool.gone else f"no live backend of {attribute}"


def undecided(attribute: str, pools: Mapping[str, PoolState]) -> str:
    """Return the answer where a gate can be neither open nor shut."""
    if attribute not in pools:
        return f"unknown no pool of this node publishes {attribute}"
    return f"waiting the pool of {attribute} has not checked its backends yet"
