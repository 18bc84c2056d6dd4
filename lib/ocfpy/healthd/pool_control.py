"""Requests of a pool's start, stop and reload-agent to the health daemon, and what they do without a daemon."""

from __future__ import annotations

import os

from ocfpy.healthd import cleanup
from ocfpy.healthd.client import FAILED, RUNNING, STOPPED, DaemonHangs, NoDaemon, ask
from ocfpy.healthd.legacy import end_old_daemon
from ocfpy.healthd.lifecycle import Silence, ensure_daemon, has_pools, listens, take_lock
from ocfpy.healthd.orphans import UIDS, kill_orphans
from ocfpy.ipvs.model import parse_virtual
from ocfpy.ocf import codes
from ocfpy.ocf.errors import OcfError, ServiceError
from ocfpy.pool.spec import virtual_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ocfpy.healthd.client import Paths
    from ocfpy.ocf.context import Log
    from ocfpy.ocf.deadline import Deadline
    from ocfpy.ocf.state import StateFile
    from ocfpy.pool.spec import PoolSpec

PING_S = 1.0
"""How long the daemon may take to answer a stop's first question: to mistake a busy daemon for a hung one does no harm then."""
ATTEMPTS = 3
"""How often a start begins again because the daemon has just ended with its last pool."""
STOP_TIMEOUT_S = 5.0
"""How long the daemon may take to clean up before the agent does it."""


def start(paths: Paths, spec: PoolSpec, deadline: Deadline, log: Log) -> None:
    """Have the daemon run the pool; return when every real server has its first verdict. Raises OcfError, DeadlineError."""
    # What a start or a dead daemon put in place, and had not removed yet.
    former = tuple(map(parse_virtual, dict.fromkeys([*virtual_in(paths.spec), *virtual_in(paths.wanted)])))
    what = _patience("the first verdict on every real server", spec, deadline)
    for attempt in range(ATTEMPTS):
        ensure_daemon(paths.node, deadline, log)
        spec.replace(former=former).write(paths.wanted)
        try:
            return _request(paths, "add", what, deadline)
        except NoDaemon:
            log.info(f"the health daemon ended before it took over the pool (attempt {attempt + 1} of {ATTEMPTS})")
    raise ServiceError("the health daemon ended each time before it took over the pool: see the system log")


def reload(
    state: StateFile,
    claim: dict[str, str],
    paths: Paths,
    spec: PoolSpec,
    check_host: Callable[[], None],
    deadline: Deadline,
    log: Log,
) -> None:
    """Have the daemon apply `spec`; return when it is in force. Raises OcfError, DeadlineError."""
    before = virtual_in(paths.spec)
    state.update(transitional(paths, claim))
    try:
        check_host()
    except OcfError:
        # The claim already lists services that will not be ours: a stop would remove what may be another pool's.
        _record(state, claim, before or claim["virtual"].split())
        raise
    ensure_daemon(paths.node, deadline, log)
    spec.write(paths.wanted)
    try:
        _request(paths, "reload", _patience("the health daemon to apply the new configuration", spec, deadline), deadline)
    except NoDaemon:
        raise ServiceError("the health daemon ended during the reload: see the system log") from None
    _record(state, claim, claim["virtual"].split())


def transitional(paths: Paths, claim: dict[str, str]) -> dict[str, str]:
    """Return the claim together with the services that the daemon has not removed yet: a stop has to know of them."""
    words = dict.fromkeys([*claim["virtual"].split(), *virtual_in(paths.spec)])
    return {**claim, "virtual": " ".join(words)}


def stop(paths: Paths, claim: dict[str, str], deadline: Deadline, log: Log) -> None:
    """Remove the pool: by the daemon or, if that is gone, hangs or fails, without it. Raises OcfError, DeadlineError."""
    # Before the request to the daemon, which removes the files first.
    known = [*virtual_in(paths.spec), *virtual_in(paths.wanted)]
    if not _stopped_by_daemon(paths, deadline, log):
        words = dict.fromkeys([*claim.get("virtual", "").split(), *known])
        end_old_daemon(paths, log)  # of version 0.1.0: it would add again what is removed
        _forget(paths, deadline, log)
        virtual = [parse_virtual(word) for word in words]
        cleanup.clean_up(virtual, claim.get("attribute", ""), deadline, log)
        if has_pools(paths.node):
            _restart_for_others(paths, deadline, log)
        _shut_gate(paths, claim.get("attribute", ""), deadline)
    cleanup.close_paths(paths)  # a daemon does not know of paths that it could not open completely
    cleanup.remove_files(paths)


def _stopped_by_daemon(paths: Paths, deadline: Deadline, log: Log) -> bool:
    if not listens(paths.node, min(PING_S, deadline.remaining() / 4), log):
        return False
    try:
        answer = ask(paths.node.socket, f"remove {paths.key}", min(STOP_TIMEOUT_S, deadline.remaining() / 2))
    except (NoDaemon, DaemonHangs):
        return False
    if answer.startswith(FAILED):
        log.warning(f"the health daemon could not clean up: {answer.partition(' ')[2]}")
    return answer == STOPPED


def _forget(paths: Paths, deadline: Deadline, log: Log) -> None:
    """Make sure that no daemon runs the pool, or will adopt it."""
    silence = Silence()

    def done() -> bool:
        lock = take_lock(paths.node)
        if lock is not None:
            cleanup.remove_files(paths)
            cleanup.unlink(paths.node.alive)
            kill_orphans(paths.node.directory)
            cleanup.unlink(f"{paths.node.directory}/{UIDS}")
            os.close(lock)
            return True
        if not listens(paths.node, min(PING_S, deadline.remaining() / 4), log, silence):
            return False
        try:
            # A daemon that another action has just started may have adopted the pool. When it answers, it has given it up.
            ask(paths.node.socket, f"remove {paths.key}", min(STOP_TIMEOUT_S, deadline.remaining() / 2))
            return True
        except (NoDaemon, DaemonHangs):
            return False

    deadline.poll(done, f"the end of the health daemon that holds {paths.node.lock}")


def _restart_for_others(paths: Paths, deadline: Deadline, log: Log) -> None:
    """Start a daemon for the remaining pools; if that fails, their monitors do it or report the reason."""
    try:
        ensure_daemon(paths.node, deadline, log)
    except OcfError as error:
        log.warning(f"the other pools of this node have no health daemon: {error.reason}")


def _shut_gate(paths: Paths, attribute: str, deadline: Deadline) -> None:
    """Have a daemon that never knew the pool, or only its name, withdraw the routes that depend on it."""
    if attribute:
        try:
            ask(paths.node.socket, f"gate forget {attribute}", min(PING_S, deadline.remaining() / 4))
        except (NoDaemon, DaemonHangs):
            pass  # without a daemon no route waits for a pool


def _request(paths: Paths, verb: str, what: str, deadline: Deadline) -> None:
    """Send a request that takes its time. Raises OcfError with the daemon's reason, NoDaemon, DeadlineError."""
    deadline.check(what)
    try:
        answer = ask(paths.node.socket, f"{verb} {paths.key}", deadline.remaining())
    except DaemonHangs:
        raise deadline.error(what) from None
    word, _, rest = answer.partition(" ")
    if word == RUNNING:
        return
    code, _, reason = rest.partition(" ")
    error = OcfError(reason if word == FAILED and code.isdigit() else answer)
    error.code = int(code) if word == FAILED and code.isdigit() else codes.OCF_ERR_GENERIC
    raise error


def _patience(what: str, spec: PoolSpec, deadline: Deadline) -> str:
    """Return the step's name, with advice if the checks may take longer than the operation."""
    longest_s = spec.first_verdict_s
    if longest_s <= deadline.seconds:
        return what
    return f"{what}, which takes up to {longest_s:g} s with this check_timeout and fall: raise the operation's timeout"


def _record(state: StateFile, claim: dict[str, str], virtual: Iterable[str]) -> None:
    state.update({**claim, "virtual": " ".join(virtual)})
