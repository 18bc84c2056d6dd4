"""promote, demote, notify, reload and the promotion score: actions of few agents, apart from what every monitor loads."""

from __future__ import annotations

from ocfpy.ocf import attributes, codes
from ocfpy.ocf.clone import Notification
from ocfpy.ocf.lifecycle import known_claim, require_active, wait_until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.ocf.agent import Agent, Status


def promote(agent: Agent) -> int:
    """Bring a running instance into the promoted role; it may have it already."""
    claim = known_claim(agent)
    if not require_active(agent, claim).promoted:
        agent.promote(claim)
        wait_until(agent, claim, lambda seen: seen.is_active and seen.promoted, f"{agent.name} to be promoted")
    agent.context.log.info("promote: done")
    return codes.OCF_SUCCESS


def demote(agent: Agent) -> int:
    """Bring a promoted instance, healthy or not, back into the unpromoted role; it may have it already."""
    claim = known_claim(agent)
    if agent.observe(claim).promoted:
        agent.demote(claim)
        wait_until(agent, claim, lambda seen: not seen.promoted, f"{agent.name} to be demoted")
    require_active(agent, claim)
    agent.context.log.info("demote: done")
    return codes.OCF_SUCCESS


def notify(agent: Agent) -> int:
    """Tell a running instance what happens to the clone."""
    agent.notify(Notification(agent.context.meta))
    return codes.OCF_SUCCESS


def reload(agent: Agent) -> int:
    """Have the service itself read its configuration again."""
    claim = known_claim(agent)
    require_active(agent, claim)
    agent.reload(claim)
    wait_until(agent, claim, lambda seen: seen.is_active, f"{agent.name} to run after the reload")
    return codes.OCF_SUCCESS


def publish_score(agent: Agent, status: Status) -> None:
    """Publish this instance's score, none when stopped; a failure is only logged.

    Not in promote and demote: another score aborts the transition that they are part of (seen with Pacemaker 3.0.0), and
    resources ordered after a promotion wait for the next one. The monitor that Pacemaker runs right after each publishes it.
    """
    score = None if status.kind == "stopped" else agent.promotion_score(status)
    if score is None:
        attributes.delete_promotion_score(agent.context)
    else:
        attributes.set_promotion_score(agent.context, score)
