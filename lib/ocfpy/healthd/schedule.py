"""When a check is due: at the same instants of the wall clock on every node.

Both nodes of a pair check the same real servers. If each began when its daemon happened to start, one of them
would see a death up to a whole interval before the other, and Pacemaker would move the address to a node
whose servers are just as dead. So the instants of a check are those at which (time - phase) is a multiple of
the interval, and the phase comes from what is checked: nodes agree without talking to each other (as far as
NTP keeps their clocks together), and different checks spread over the interval.
"""

from __future__ import annotations

from zlib import crc32

SLOT_S = 0.1
"""The instants at which checks are begun are so far apart. To wake for a single check costs several times what the check itself
costs, so those of a large pool go several at a time; and a hundred connections at once hurt nobody."""


def phase(identity: str, interval: float) -> float:
    """Seconds after each multiple of `interval` (since the epoch) at which the check `identity` is due.

    A multiple of SLOT_S: where there are many checks, the daemon wakes for several of them at once.
    """
    return crc32(identity.encode()) % max(1, int(interval / SLOT_S)) * SLOT_S


def delay_until_due(started: float, now: float, interval: float, offset: float) -> float:
    """Seconds from `now` to the next check, the last one having started at `started` (both wall clock,
    seconds).

    0 when the last check took so long that the next is overdue. Never more than 1.5 intervals: a clock that
    is set back does not suspend the checks.
    """
    # Half an interval is the least distance between two checks: timers may fire a little early, and that must
    # not count the same instant twice.
    earliest = started + interval / 2
    due = earliest + (offset - earliest) % interval
    return min(max(due - now, 0.0), 1.5 * interval)


def delay_until_retry(started: float, now: float, retry_interval: float) -> float:
    """The same for a check that follows one which contradicts what is believed: so many seconds after its beginning.

    The nodes of a pair still agree: that one began at the same instant on both, and said the same.
    """
    return min(max(started + retry_interval - now, 0.0), retry_interval)
