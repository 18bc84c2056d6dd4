"""The stop of an agent: undo what start recorded, and fail only if something is left, because a failed stop fences the node."""

from __future__ import annotations

from ocfpy.ocf import codes
from ocfpy.ocf.errors import OcfError, ServiceError
from ocfpy.ocf.lifecycle import CANNOT_RUN_HERE, completed, os_reason, wait_until
from ocfpy.ocf.state import AssumedState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.ocf.agent import Agent
    from ocfpy.ocf.context import Context


def stop(agent_class: type[Agent], context: Context) -> int:
    """Undo what start recorded, or what exists without a record, and forget it; return the exit code."""
    agent = agent_class(context, lenient=True)
    claim: dict[str, str] | None
    try:
        record = context.state.read()
    except OSError as error:
        claim = _claim_without_record(agent, error)
    else:
        claim = _claim_of_a_stray(agent) if record is None else completed(agent, record)
    if agent.has_score():
        from ocfpy.ocf.attributes import delete_promotion_score

        delete_promotion_score(context)
    if claim is not None:
        take_down(agent, claim)
        context.log.info("stop: done")
    try:
        context.state.delete()
    except OSError as error:
        # Only the record is left, and a stop that failed because of it would fence the node.
        context.log.error(f"stop: all is stopped, but the record of it stays: {os_reason(error)}")
    return codes.OCF_SUCCESS


def _claim_without_record(agent: Agent, error: OSError) -> dict[str, str]:
    """Return the claim of the parameters, for a record that cannot be read: undo what can be undone.

    Pacemaker stops a resource with the parameters that it was started with. Raises ServiceError if they are unusable.
    """
    context = agent.context
    reason = f"what was started cannot be read: {os_reason(error)}"
    if agent.config_errors:
        raise ServiceError(f"{reason}, and the parameters do not tell either: {'; '.join(agent.config_errors)}")
    try:
        claim = agent.claim()
    except OcfError as fault:
        raise ServiceError(f"{reason}, and the parameters do not tell either: {fault.reason}") from None
    context.log.error(f"stop: {reason}; undoing what the parameters describe")
    context.state = AssumedState(context.state.path, claim)
    return claim


def _claim_of_a_stray(agent: Agent) -> dict[str, str] | None:
    """Return the claim of a service that exists without a record, or None."""
    if agent.config_errors:
        return None
    try:
        claim = agent.claim()
        return None if agent.observe(claim).kind == "stopped" else claim
    except CANNOT_RUN_HERE as error:
        agent.context.log.debug(f"stop: {error.reason}")
        return None


def take_down(agent: Agent, claim: dict[str, str]) -> None:
    """Undo the claim and wait until nothing of it is left. Raises OcfError or OSError."""
    try:
        agent.stop(claim)
    except CANNOT_RUN_HERE as error:
        # observe decides: it finds what a stop without its tools may have left.
        agent.context.log.warning(f"stop: {error.reason}")
    except OSError as error:  # such as a read-only run directory
        if agent.observe(claim).kind != "stopped":
            raise
        agent.context.log.warning(f"stop: {os_reason(error)}")
    try:
        wait_until(agent, claim, lambda status: status.kind == "stopped", f"{agent.name} to be gone")
    except CANNOT_RUN_HERE as error:
        agent.context.log.warning(f"stop: {error.reason}")
