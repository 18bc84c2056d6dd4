"""Rules for the actions of every agent: which claim they are about, and waiting until observe agrees."""

from __future__ import annotations

from ocfpy.ocf.errors import ClaimedError, ConfigError, DeadlineError, HostError, NotInstalledError, ServiceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ocfpy.ocf.agent import Agent, Status
    from ocfpy.ocf.deadline import Deadline

CLAIM_POLL_S = 0.05
"""Interval at which a start that waits for another resource to stop tries again."""

# Errors that make an action impossible: nothing can be running where it cannot run.
CANNOT_RUN_HERE = (ConfigError, HostError, NotInstalledError)


class StrictClaim(dict[str, str]):
    """A recorded claim that cannot be completed: a missing key is a fault of the configuration."""

    __slots__ = ()

    def __missing__(self, key: str) -> str:
        raise ConfigError(f"the record of the start has no {key}")


def completed(agent: Agent, record: dict[str, str]) -> dict[str, str]:
    """Return the recorded claim completed: it may have been written by an older version, or be empty."""
    if not agent.config_errors:
        try:
            return {**agent.claim(), **record}
        except CANNOT_RUN_HERE as error:
            agent.context.log.debug(f"{agent.context.action}: {error.reason}")
    return StrictClaim(record)


def known_claim(agent: Agent) -> dict[str, str]:
    """Return what start recorded, or what it would record: a service may be older than its record."""
    return {**agent.claim(), **(agent.context.state.read() or {})}


def require_active(agent: Agent, claim: dict[str, str]) -> Status:
    """Return what observe found, if the service runs. Raises ServiceError."""
    status = agent.observe(claim)
    if not status.is_active:
        raise ServiceError(f"{agent.name} is not running here{_because(status)}")
    return status


def wait_until(agent: Agent, claim: dict[str, str], wanted: Callable[[Status], bool], what: str) -> Status:
    """Return what observe found, when it is as wanted. Raises DeadlineError with what it found last."""
    seen: list[Status] = []

    def look() -> bool:
        seen[:] = [agent.observe(claim)]
        return wanted(seen[0])

    try:
        agent.context.deadline.poll(look, what)
    except DeadlineError:
        if not seen:
            raise
        # The cause comes first: crm_mon cuts long reasons.
        cause = seen[0].reason or f"{agent.name} is {seen[0].kind}"
        waited = f"timed out after {agent.context.deadline.seconds:.1f} s waiting for {what}"
        raise DeadlineError(f"{cause} ({waited})") from None
    return seen[0]


def await_unclaimed(
    agent: Agent, claim: dict[str, str], patience: Deadline, record: Callable[[], None] | None = None
) -> None:
    """Return once no other resource holds what is claimed. Raises ClaimedError, with the holder, when the time is over.

    `record` is called under the lock of the agent type, before another start can claim the same.
    """
    is_said = False
    while True:
        try:
            if record is None:
                return agent.check_claim(claim)
            with agent.context.lock(agent.name):
                agent.check_claim(claim)
                return record()
        except ClaimedError as held:
            left = patience.remaining()
            if not patience.seconds:
                raise
            if not left:
                raise ClaimedError(f"{held.reason} (waited {patience.seconds:.1f} s for it to stop)") from None
            if not is_said:
                agent.context.log.info(f"{agent.context.action}: {held.reason}: waiting for it to stop")
                is_said = True
            patience.sleep(min(CLAIM_POLL_S, left))


def _because(status: Status) -> str:
    return f": {status.reason}" if status.reason else ""


def os_reason(error: OSError) -> str:
    """Return the system's error with the file that it is about."""
    return f"{error.filename}: {error.strerror}" if error.filename else str(error)
