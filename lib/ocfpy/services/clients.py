"""What the clients of a service notice of what the scheduler does."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ocfpy.services.scheduler import Step

NOTHING = "nothing"
UNKNOWN = "unknown: no node is online in this CIB"
NEW = "the service becomes reachable"
GONE = "the route is withdrawn, clients go to other sites"
TORN = "the address is removed while the route is being withdrawn, requests are lost until the routers know: stop {} first"
BACK = "the route is withdrawn and announced again, sessions through this pair are reset"
UNICAST_GONE = "the address is removed"
UNICAST_BACK = "the address is removed and added again, sessions are reset"
MOVED = "nothing: the other node announces the address before this one withdraws it"


def notice(steps: Sequence[Step], roles: Sequence[str], removed: Collection[str]) -> str:
    """Return the worst thing that the steps of one service do to its clients, in words.

    roles are those of the resources. removed are resources that leave the CIB, and with them the constraints that order
    their stops: Pacemaker stops them all at once.
    """
    torn = {step.resource for step, role in zip(steps, roles) if role.startswith("bgp") and step.action == "stop"} & set(removed)
    if torn:
        return TORN.format(" ".join(sorted(torn)))
    for role, gone, back in (("bgp", GONE, BACK), ("vip", UNICAST_GONE, UNICAST_BACK)):
        actions: dict[str, list[str]] = {}
        for step, name in zip(steps, roles):
            if name.startswith(role):
                actions.setdefault(step.resource, []).append(step.action)
        if actions:
            return max((_fate(done, gone, back) for done in actions.values()), key=_RANK.index)
    return NOTHING


def _fate(actions: Sequence[str], gone: str, back: str) -> str:
    """What becomes of a resource that the scheduler acts on."""
    if "migrate_from" in actions:
        return MOVED
    if "stop" not in actions:
        return NEW if "start" in actions else NOTHING
    return back if "start" in actions else gone


_RANK = (NOTHING, NEW, MOVED, UNICAST_BACK, UNICAST_GONE, BACK, GONE)
"""From the least to the worst."""
