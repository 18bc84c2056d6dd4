"""When a check is due: at the same instants of the wall clock on every node.

Both nodes of a pair check the same real servers. If each began when its daemon happened to start, one of them would see a death
up to a whole interval before the other, and Pacemaker would move the address to a node whose servers are just as dead. So a
check is due whenever (time - phase) is a multiple of the interval, and the phase is a hash of what is checked: nodes agree
without talking to each other (as far as NTP keeps their clocks together), and different checks spread over the interval.
"""

from __future__ import annotations

from zlib import crc32

SLOT_S = 0.1
"""Distance of the instants at which checks begin. To wake for a single check costs several times what the check itself costs, so
checks of a large pool begin several at a time; a hundred connections at once do no harm."""


def phase(identity: str, interval: float) -> float:
    """Return the seconds after each multiple of `interval` (since the epoch) at which the check `identity` is due.

    The result is a multiple of SLOT_S: so the daemon wakes for several checks at once.
    """
    return crc32(identity.encode()) % max(1, int(interval / SLOT_S)) * SLOT_S


def delay_until_due(started: float, now: float, interval: float, offset: float) -> float:
    """Return the seconds from `now` to the next check; the last one began at `started` (both wall clock).

    0 when the last check took so long that the next is overdue. Never more than 1.5 intervals: a clock that is set back does not
    suspend the checks.
    """
    # Half an interval is the least distance between two checks: timers may fire a little early, and that must not count the same
    # instant twice.
    earliest = started + interval / 2
    due = earliest + (offset - earliest) % interval
    return min(max(due - now, 0.0), 1.5 * interval)


def delay_until_retry(started: float, now: float, retry_interval: float) -> float:
    """Return the same for a check whose result contradicts the verdict: the next one begins `retry_interval` after it began.

    The nodes of a pair still agree: the check began at the same instant on both, with the same result.
    """
    return min(max(started + retry_interval - now, 0.0), retry_interval)
