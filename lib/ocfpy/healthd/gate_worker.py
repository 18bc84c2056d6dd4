"""Makes one bgpd agree with the gate, in its own thread, so that a bgpd that hangs delays nothing else."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Callable

from ocfpy.bgp.announcer import Announcer
from ocfpy.bgp.choice import choose
from ocfpy.bgp.errors import BgpdDead
from ocfpy.bgp.vty import Vty
from ocfpy.healthd.gate_files import GateFiles, Registration
from ocfpy.healthd.gate_pools import PoolState, shut_words, undecided
from ocfpy.ocf.deadline import Deadline
from ocfpy.ocf.errors import HostError, OcfError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ocfpy.bgp.announcer import Backend
    from ocfpy.ocf.context import Log

Answer = Callable[[str], None]
Connect = Callable[[Registration, Deadline], "Backend"]

BGPD_S = 5.0
"""How long one conversation with a bgpd may take; without an answer to a command it ends after two seconds (bgp/vty.py)."""
VERIFY_S = 2.0
"""After this time an accepted statement must show its effect; it does within milliseconds."""
VERIFY_POLL_S = 0.01
RETRY_S = 0.2
RETRY_MAX_S = 5.0
"""Pauses before a bgpd that refused, hung or is gone is tried again: doubled each time, up to the second."""
WITHDRAWN = "withdrawn"
ANNOUNCED = "announced"
LEAVING = "leaving"
UNKNOWN = "unknown"
"""States of an announcement in snapshot()."""
_WITHDRAW = "withdraw"
_ANNOUNCE = "announce"


class Announcement:
    """One gated announcement; only the worker's thread changes it.

    sent is the last statement that bgpd accepted, None when not known; verified says that it had its effect. tried is the last
    statement offered, and begun when it was first offered.
    """

    def __init__(self, registration: Registration, now: float) -> None:
        self.registration = registration
        self.sent: str | None = None
        self.sent_at = 0.0
        self.verified = False
        self.drains = False
        self.state = UNKNOWN
        self.since = now
        self.error = ""
        self.retry_at = 0.0
        self.tries = 0
        self.tried: str | None = None
        self.begun = 0.0
        self.answers: list[Answer] = []


class BgpdWorker:
    """The announcements of one bgpd. Its methods return at once, from any thread; the work is done in its own thread.

    pools holds the reports of pools by attribute; others change it.
    """

    def __init__(
        self, files: GateFiles, pools: Mapping[str, PoolState], log: Log, connect: Connect, wall: Callable[[], float]
    ) -> None:
        self._files = files
        self._pools = pools
        self._log = log
        self._connect = connect
        self._wall = wall
        self._announcements: dict[str, Announcement] = {}
        self._changed = threading.Condition()
        self._inbox: list[tuple[str, Registration | None, Answer | None]] = []
        self._has_news = False
        self._is_busy = False
        self._closed = False
        self._faults = 0
        """How many turns in a row have ended in a fault."""
        self._thread: threading.Thread | None = None

    def put(self, registration: Registration, answer: Answer | None = None) -> None:
        """Take a new or changed registration, and make bgpd agree with it; then call answer, in the thread."""
        self._post((registration.resource, registration, answer))

    def drop(self, resource: str) -> None:
        """Forget a registration, and leave bgpd unchanged."""
        self._post((resource, None, None))

    def wake(self) -> None:
        """Read the pools' reports again."""
        self._post(None)

    def close(self) -> None:
        """End the thread after its current work; bgpd stays unchanged."""
        self._closed = True
        self._post(None)

    def snapshot(self) -> list[Announcement]:
        """Return the announcements as they are now."""
        return list(self._announcements.values())

    def find(self, resource: str) -> Announcement | None:
        """Return one announcement."""
        return self._announcements.get(resource)

    def is_settled(self) -> bool:
        """Return whether bgpd is known to agree with everything that the pools reported."""
        with self._changed:
            if self._has_news or self._is_busy:
                return False
            return not any(self._is_unfinished(one) for one in self.snapshot())

    def _post(self, item: tuple[str, Registration | None, Answer | None] | None) -> None:
        with self._changed:
            if item is not None:
                self._inbox.append(item)
            self._has_news = True
            self._changed.notify()
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="gate", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._closed:
            with self._changed:
                self._changed.wait_for(lambda: self._has_news, self._pause())
                self._has_news = False
                self._is_busy = True
                inbox, self._inbox = self._inbox, []
            try:
                for resource, registration, answer in inbox:
                    self._take(resource, registration, answer)
                self._turn()
                self._faults = 0
            except Exception as error:
                # A fault in one turn must not end the thread that withdraws routes.
                self._faults += 1
                self._fail({*self._unfinished(), *self._unverified()}, f"{type(error).__name__}: {error}")
            self._is_busy = False

    def _take(self, resource: str, registration: Registration | None, answer: Answer | None) -> None:
        announcement = self._announcements.get(resource)
        if registration is None:
            self._forget(resource)
            return
        if announcement is None:
            announcement = self._announcements[resource] = Announcement(registration, self._wall())
        if answer is not None:
            # Send it again, even if bgpd should have it: an operator, or a restart, may have changed it.
            announcement.answers.append(answer)
            announcement.sent = None
            announcement.verified = False
            announcement.tried = None
            announcement.drains = bool(registration.leaving and registration.route_map)
        announcement.registration = registration

    def _forget(self, resource: str) -> None:
        announcement = self._announcements.pop(resource, None)
        if announcement is not None:
            self._answer(announcement, "absent")

    def _turn(self) -> None:
        """Withdraw, then announce, then verify the effect."""
        self._withdraw_due()
        self._announce_due()
        for announcement in self._unverified():
            if self._has_news:
                return
            self._verify(announcement)
        for announcement in self._announcements.values():
            if announcement.answers and self._wanted(announcement) is None:
                self._answer(announcement, self._undecided(announcement))

    def _wanted(self, announcement: Announcement) -> str | None:
        """Return the statement that bgpd should have accepted; None to leave it as it is."""
        registration = announcement.registration
        pool = self._pools.get(registration.attribute)
        if pool is None or pool.alive is None:
            return None
        if not pool.alive:
            return _WITHDRAW
        if registration.leaving and not announcement.drains:
            return None
        return f"{_ANNOUNCE} {registration.route_map}"

    def _due(self, withdrawals: bool) -> dict[str, list[Announcement]]:
        """Return what to send now, by VRF: the withdrawals, or the others."""
        found: dict[str, list[Announcement]] = {}
        now = time.monotonic()
        for announcement in list(self._announcements.values()):
            wanted = self._wanted(announcement)
            if wanted is None or wanted == announcement.sent or (wanted == _WITHDRAW) != withdrawals:
                continue
            if wanted != announcement.tried:
                announcement.tried, announcement.tries, announcement.retry_at = wanted, 0, 0.0
                announcement.begun = now
            # The wanted statement may have changed once the file has been read again.
            if announcement.retry_at <= now and self._is_registered(announcement) and self._wanted(announcement) == wanted:
                found.setdefault(announcement.registration.vrf, []).append(announcement)
        return found

    def _is_registered(self, announcement: Announcement) -> bool:
        """Read the file again: an agent that could not tell the daemon may have changed or removed it."""
        resource = announcement.registration.resource
        current = self._files.read(resource)
        if current is None:
            self._forget(resource)
            return False
        announcement.drains &= bool(current.leaving and current.route_map)
        announcement.registration = current
        return True

    def _withdraw_due(self) -> None:
        for due in self._due(withdrawals=True).values():
            announcer = self._announcer(due[0])
            try:
                refused = announcer.change([one.registration.address for one in due])
            except (BgpdDead, HostError):
                refused = {}  # no bgpd, or no instance: a route may exist all the same, which is verified
            except OcfError as error:
                self._fail(due, error.reason)
                continue
            self._sent(due, _WITHDRAW, {prefix: refusal.reason for prefix, refusal in refused.items()})

    def _announce_due(self) -> None:
        due = self._due(withdrawals=False)
        if not due:
            return
        try:
            with self._files.read_lock():
                # Again, because the files may have changed before the lock was taken.
                for of_vrf in self._due(withdrawals=False).values():
                    self._announce(of_vrf)
        except (OcfError, OSError) as error:
            self._fail([one for of_vrf in due.values() for one in of_vrf], str(error))

    def _announce(self, due: list[Announcement]) -> None:
        announcer = self._announcer(due[0])
        try:
            for one in [one for one in due if one.drains and not announcer.route(one.registration.address).exists]:
                one.drains = False  # nothing to drain
                due.remove(one)
            if due:
                wanted = [(one.registration.address, one.registration.route_map) for one in due]
                refused = announcer.change((), wanted)
                self._sent(due, _ANNOUNCE, {prefix: refusal.reason for prefix, refusal in refused.items()})
        except OcfError as error:
            self._fail(due, error.reason)

    def _sent(self, due: Iterable[Announcement], kind: str, refused: Mapping[str, str]) -> None:
        now = time.monotonic()
        for one in due:
            reason = refused.get(one.registration.address.cidr)
            if reason is not None:
                self._fail([one], reason)
                continue
            one.sent = kind if kind == _WITHDRAW else f"{kind} {one.registration.route_map}"
            one.sent_at, one.verified = now, False
            one.drains &= kind != _WITHDRAW  # a drain that the death of the pool has ended is not resumed

    def _unverified(self) -> list[Announcement]:
        return [one for one in self._announcements.values() if one.sent is not None and not one.verified]

    def _unfinished(self) -> list[Announcement]:
        return [one for one in self._announcements.values() if self._is_unfinished(one)]

    def _is_unfinished(self, announcement: Announcement) -> bool:
        wanted = self._wanted(announcement)
        return wanted is not None and (wanted != announcement.sent or not announcement.verified)

    def _verify(self, announcement: Announcement) -> None:
        """Verify that the path is gone, or present: bgpd's answer to the statement does not tell."""
        withdrawn = announcement.sent == _WITHDRAW
        prefix = announcement.registration.address
        try:
            route = self._announcer(announcement).route(prefix)
            agrees = not route.exists and not route.leaving if withdrawn else route.exists
        except BgpdDead as dead:
            agrees = withdrawn
            if not agrees:
                return self._fail([announcement], dead.reason)
        except OcfError as error:
            return self._fail([announcement], error.reason)
        if agrees:
            return self._settle(announcement, WITHDRAWN if withdrawn else LEAVING if announcement.drains else ANNOUNCED)
        if time.monotonic() - announcement.sent_at > VERIFY_S:
            did = "still has a path" if withdrawn else "has no path"
            return self._fail([announcement], f"bgpd accepted the statement but {did} to {prefix.cidr}{_advice(announcement)}")
        return None

    def _settle(self, announcement: Announcement, state: str) -> None:
        announcement.verified = True
        announcement.error = ""
        announcement.tries = 0
        took_s = time.monotonic() - announcement.begun
        if state != announcement.state:
            announcement.state, announcement.since = state, self._wall()
            self._log.info(self._what_happened(announcement, took_s))
        self._answer(announcement, self._decided(announcement))

    def _what_happened(self, announcement: Announcement, took_s: float) -> str:
        registration = announcement.registration
        # The agent may have named the attribute of a pool that is not here, after bgpd was told.
        pool = self._pools.get(registration.attribute) or PoolState(None, None, 0.0, "", gone=True)
        took = f", done after {took_s * 1000:.0f} ms"
        if announcement.state == WITHDRAWN:
            why = f" ({pool.why})" if pool.why else ""
            return f"withdrew {registration.prefix}: {shut_words(registration.attribute, pool)}{why}{took}"
        if announcement.state == LEAVING:
            return f"drains {registration.prefix} by route-map {registration.route_map}{took}"
        backends = "1 live backend" if pool.alive == 1 else f"{pool.alive} live backends"
        return f"announced {registration.prefix}: {backends} of {registration.attribute}{took}"

    def _decided(self, announcement: Announcement) -> str:
        pool = self._pools.get(announcement.registration.attribute)
        if pool is None:
            return self._undecided(announcement)
        if announcement.state == WITHDRAWN:
            word = "gone" if pool.gone else "shut"
            return f"{word} {pool.since:.3f} {shut_words(announcement.registration.attribute, pool)}"
        return "leaving" if announcement.state == LEAVING else f"open {announcement.since:.3f}"

    def _undecided(self, announcement: Announcement) -> str:
        registration = announcement.registration
        if registration.leaving:
            return "leaving"
        pool = self._pools.get(registration.attribute)
        if pool is not None and pool.shut:  # shut by the previous daemon; the pool has not reported yet
            return f"shut {pool.since:.3f} {shut_words(registration.attribute, pool)}"
        return undecided(registration.attribute, self._pools)

    def _fail(self, due: Iterable[Announcement], reason: str) -> None:
        """Schedule a retry; each reason is logged once."""
        reason = one_line(reason)
        for one in due:
            one.sent, one.verified = None, False
            one.retry_at = time.monotonic() + _retry_s(one.tries)
            one.tries += 1
            one.drains = False  # the stop that asked for it goes on without
            if reason != one.error:
                one.error = reason
                registration = one.registration
                verb = "withdraw" if one.tried == _WITHDRAW else "announce"
                self._log.error(f"cannot {verb} {registration.prefix} ({registration.attribute}), retrying: {reason}")
            self._answer(one, f"failed {reason}")

    def _answer(self, announcement: Announcement, words: str) -> None:
        answers, announcement.answers = announcement.answers, []
        for answer in answers:
            answer(words)

    def _pause(self) -> float | None:
        """Seconds until something has to be done; None while nothing changes."""
        least = _retry_s(self._faults - 1) if self._faults else 0.0
        if self._unverified():
            return max(least, VERIFY_POLL_S)
        now = time.monotonic()
        waits = [one.retry_at - now for one in self._announcements.values() if self._wanted(one) not in (None, one.sent)]
        return max(least, min(waits)) if waits else None

    def _announcer(self, announcement: Announcement) -> Announcer:
        registration = announcement.registration
        return Announcer(self._connect(registration, Deadline(BGPD_S)), registration.vrf)


def connect(registration: Registration, deadline: Deadline) -> Backend:
    """Return the connection to bgpd that an announcement uses."""
    return choose(registration.backend, Vty(f"{registration.vty_dir}/bgpd.vty", deadline), deadline)


def _retry_s(tries: int) -> float:
    """The pause after so many failures before the last one."""
    return min(RETRY_S * 2.0 ** min(tries, 16), RETRY_MAX_S)  # bounded, because a float cannot hold 2**1024


def _advice(announcement: Announcement) -> str:
    if announcement.sent == _WITHDRAW:
        return ""
    route_map = announcement.registration.route_map
    return f": route-map {route_map} denies it" if route_map else ": see bgpd's log"
