"""What bgp-announce does when a pool gates its route: register with the health daemon, and ask it about the gate.

The daemon makes the statement, so that an announcement cannot overtake the daemon's own withdrawal. A stop withdraws by
itself, without the daemon.
"""

from __future__ import annotations

import time

from ocfpy.healthd.client import DaemonHangs, NoDaemon, Node, ask
from ocfpy.healthd.gate_files import GateFiles, Registration
from ocfpy.ocf.agent import Status
from ocfpy.ocf.deadline import Deadline
from ocfpy.ocf.errors import DeadlineError, OcfError, ServiceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ocfpy.bgp.route import Route
    from ocfpy.ocf.context import Context

STATE_S = 2.0
"""How long the daemon may take to report the gate's state, which it does at once."""
APPLY_S = 6.0
"""How long the daemon may take to make bgpd agree: longer than it waits for a hung bgpd (ANSWER_S in healthd/gate.py)."""
TELL_S = 1.0
"""How long a stop waits for the daemon, which it does not need."""
ATTRIBUTE_S = 5.0
"""How long a start waits for a pool to publish the attribute: a replaced daemon has not loaded its pools yet."""
LOCK_S = 3.0
"""How long a stop waits until the daemon has finished an announcement; bgpd has two seconds for each line of it."""
SPREAD_S = 3.0
"""How long a new route may take to reach the neighbors."""
GONE_S = 2.0
"""How long a route may take to disappear from bgpd after the gate has shut."""
REPEAT_S = 0.1
UNDECIDED = ("unknown", "waiting")
"""First words of the daemon's answer while a gate is neither open nor shut."""



def replace_daemon(context: Context) -> bool:
    """Replace a daemon that is gone or hangs, with all its pools; return whether there is one now."""
    from ocfpy.healthd.lifecycle import ensure_daemon, has_pools

    node = Node(context.rundir)
    if not has_pools(node):
        return False  # a daemon would have nothing to do
    try:
        ensure_daemon(node, context.deadline, context.log)
    except OcfError as error:
        context.log.warning(f"{context.action}: {error.reason}")
        return False
    return True


class GatedRoute:
    """The registration of one resource, and its requests to the daemon."""

    __slots__ = ("_context", "_files", "_has_replaced", "_key")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._key = context.key
        self._files = GateFiles(context.rundir)
        self._has_replaced = False

    def read(self) -> Registration | None:
        """Return the registration, None when there is none."""
        return self._files.read(self._key)

    def wanted(self, claim: dict[str, str], attribute: str, route_map: str) -> Registration:
        """Return the registration that a start writes."""
        where = {name: claim[name] for name in ("prefix", "vrf", "backend", "vty_dir")}
        return Registration(self._key, attribute=attribute, route_map=route_map, **where)

    def start(self, registration: Registration) -> None:
        """Register, and return once the daemon has announced the route, or its gate is shut.

        Raises ServiceError when no pool here publishes the attribute, or bgpd does not accept the announcement.
        """
        self._write(registration)
        left = self._context.deadline.remaining() / 2
        patience, first_verdict = Deadline(min(ATTRIBUTE_S, left)), Deadline(left)
        while True:
            word, rest = self._apply()
            if word in ("open", "shut"):
                return
            if word in ("failed", "leaving", "absent"):
                raise ServiceError(f"{registration.prefix} is not announced: {rest or 'its registration was removed meanwhile'}")
            wait = first_verdict if word == "waiting" else patience
            if not wait.remaining():
                break
            wait.sleep(REPEAT_S)
        if word == "waiting":
            raise ServiceError(f"{registration.prefix} is not announced: {rest}")
        raise ServiceError(
            f"{rest or f'no pool of this node publishes {registration.attribute}'}: set attribute to that of an ipvs-pool"
            " that runs on this node, and start this resource after it"
        )

    def begin_leaving(self) -> bool:
        """Revoke the permission to announce; return whether there was one.

        Works without the daemon, which reads the file before it announces.
        """
        registration = self.read()
        if registration is None:
            return False
        self._leave(registration, "")
        self._ask("apply", TELL_S)
        return True

    def drain(self, route_map: str) -> bool:
        """Have the daemon set the route-map of a route that is leaving, unless its gate is shut; False if the caller has to."""
        registration = self.read()
        if registration is None:
            return False
        self._leave(registration, route_map)
        word, rest = self._ask("apply", APPLY_S)
        if word == "failed":
            self._context.log.warning(f"stop: no drain: {rest}")
        return bool(word)

    def end_drain(self) -> None:
        """Revoke the permission to drain."""
        registration = self.read()
        if registration is not None and registration.route_map:
            self._leave(registration, "")

    def _leave(self, registration: Registration, route_map: str) -> None:
        try:
            self._write(registration.replace(leaving="yes", route_map=route_map), LOCK_S)
        except OSError as error:
            self._context.log.warning(f"stop: the registration with the health daemon is removed at once: {error.strerror}")
            self._files.delete(self._key)

    def end(self) -> None:
        """Remove the registration, as the last thing of a stop."""
        if self.read() is None:
            return
        self._locked(lambda: self._files.delete(self._key), LOCK_S)
        self._ask("apply", TELL_S)

    def observe(
        self, wanted: Registration | None, route: Route, look: Callable[[], Route], judge: Callable[[Route], Status]
    ) -> Status | None:
        """Return the status that a monitor reports for a gated route; None if the gate has no part in it.

        wanted is the registration that should exist, None without attribute. An action that may change something has the daemon
        correct what differs.
        """
        registration = self.read()
        may_act = not self._context.is_probe and self._context.action != "stop"
        if registration is None and may_act and wanted is not None and route.exists:
            # The attribute was set while the route existed already, and the reload was killed.
            self._write(wanted)
            registration = wanted
        if registration is None or registration.leaving:
            return None
        if wanted is not None and may_act and registration != wanted:
            self._write(wanted)
            word, rest = self._apply()
        else:
            word, rest = self._ask("state", STATE_S)
        if word in ("absent", "") and may_act:
            word, rest = self._apply()
        patience = Deadline(min(ATTRIBUTE_S, self._context.deadline.remaining() / 3) if may_act else 0.0)
        while word in UNDECIDED and patience.remaining():  # a daemon that was just replaced
            patience.sleep(REPEAT_S)
            word, rest = self._ask("state", STATE_S)
        if word == "" and (remembered := self._files.shut_gates().get(registration.attribute)) is not None:
            word, rest = "shut", f"{remembered[0]} {remembered[1]}"
        if word in ("shut", "gone"):
            return self._shut(registration, rest, route, look, judge, may_act)
        status = self._open(word, rest, route, look, judge, may_act)
        if status.kind == "running" and word in ("", *UNDECIDED):
            return Status.degraded(
                f"no gate: {rest or 'the health daemon does not answer'}, so nothing withdraws {registration.prefix} at once"
                f" when {registration.attribute} has no live backend"
            )
        return status

    def _shut(
        self,
        registration: Registration,
        rest: str,
        route: Route,
        look: Callable[[], Route],
        judge: Callable[[Route], Status],
        may_act: bool,
    ) -> Status:
        """Require that there is no route; bgpd's own state decides."""
        since, _, why = rest.partition(" ")
        trouble = "the health daemon does not withdraw it"
        if route.exists and may_act:
            word, said = self._apply()
            if word == "open":  # a backend came back meanwhile
                return self._open(word, said, route, look, judge, may_act)
            trouble = said if word == "failed" else trouble
        patience = Deadline(min(GONE_S, self._context.deadline.remaining() / 2))
        while route.exists:
            if not patience.remaining():
                return Status.failed(f"{registration.prefix} is still announced ({why}): {trouble}")
            patience.sleep(REPEAT_S)
            route = look()
        return Status.degraded(f"withdrawn: {why} since {time.strftime('%H:%M:%S', time.localtime(float(since)))}")

    def _open(
        self, word: str, rest: str, route: Route, look: Callable[[], Route], judge: Callable[[Route], Status], may_act: bool
    ) -> Status:
        """Require the route."""
        is_new = word == "open" and time.time() - float(rest) < SPREAD_S
        if not route.exists and may_act:
            word, rest = self._apply()
            is_new = True
            route = look()
        if not route.exists:
            return Status.stopped(rest if word == "failed" else "")
        status = judge(route)
        patience = Deadline(min(SPREAD_S, self._context.deadline.remaining() / 2) if is_new else 0.0)
        while not status.is_active and patience.remaining():
            patience.sleep(REPEAT_S)
            route = look()
            status = judge(route) if route.exists else Status.stopped()
        return status

    def _write(self, registration: Registration, limit_s: float = 0.0) -> None:
        self._locked(lambda: self._files.write(registration), limit_s)

    def _locked(self, change: Callable[[], None], limit_s: float) -> None:
        """Change the file while the daemon announces nothing; after the limit, change it without waiting any longer."""
        left = self._context.deadline.remaining()
        try:
            with self._files.write_lock(Deadline(min(limit_s or left, left / 2))):
                change()
        except DeadlineError:
            if not limit_s:
                raise
            change()  # the daemon hangs; it reads the file again before it goes on

    def _apply(self) -> tuple[str, str]:
        """Have bgpd agree with the gate; a daemon that is gone or hangs is replaced first, once in an action."""
        word, rest = self._ask("apply", APPLY_S)
        if not word and not self._has_replaced:
            self._has_replaced = True
            if replace_daemon(self._context):
                word, rest = self._ask("apply", APPLY_S)
        return word, rest

    def _ask(self, verb: str, limit_s: float) -> tuple[str, str]:
        """Return the first word of the daemon's answer and the rest; nothing when it is gone or hangs."""
        limit_s = max(0.05, min(limit_s, self._context.deadline.remaining() / 2))
        try:
            answer = ask(Node(self._context.rundir).socket, f"gate {verb} {self._key}", limit_s)
        except (NoDaemon, DaemonHangs):
            return "", ""
        word, _, rest = answer.partition(" ")
        return word, rest
