"""promote, demote, notify and reload: the actions that only some agents have, apart from what every monitor loads."""

from __future__ import annotations

from ocfpy.ocf import codes
from ocfpy.ocf.clone import Notification
from ocfpy.ocf.dispatch import known_claim, require_active, wait_until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.ocf.agent import Agent


def promote(agent: Agent) -> int:
    """Bring a running instance into the promoted role; it may be there already."""
    claim = known_claim(agent)
    if not require_active(agent, claim).promoted:
        agent.promote(claim)
        wait_until(agent, claim, lambda status: status.is_active and status.promoted, f"{agent.name} to be promoted")
    agent.context.log.info("promote: done")
    return codes.OCF_SUCCESS


def demote(agent: Agent) -> int:
    """Bring a promoted instance, healthy or not, back into the unpromoted role; it may be there already."""
    claim = known_claim(agent)
    if agent.observe(claim).promoted:
        agent.demote(claim)
        wait_until(agent, claim, lambda status: not status.promoted, f"{agent.name} to be demoted")
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
    wait_until(agent, claim, lambda status: status.is_active, f"{agent.name} to run after the reload")
    return codes.OCF_SUCCESS
