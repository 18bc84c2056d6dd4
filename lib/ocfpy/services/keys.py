"""The keys of a catalogue: the parameters of the agents, and what the catalogue adds to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ocfpy.agents.anycast_vip import AnycastVip
from ocfpy.agents.bgp_announce import BgpAnnounce
from ocfpy.agents.ipvs_pool import IpvsPool
from ocfpy.agents.ipvs_sync import IpvsSync
from ocfpy.ocf.parameters import ListParam

if TYPE_CHECKING:
    from ocfpy.ocf.agent import Agent
    from ocfpy.ocf.parameters import Parameter

POOL, VIP, ANNOUNCE, SYNC = "ipvs-pool", "anycast-vip", "bgp-announce", "ipvs-sync"
ADDRESS = "IPaddr2"
"""The agent of resource-agents that holds the address of a service without an announcement."""

AGENTS: dict[str, type[Agent]] = {POOL: IpvsPool, VIP: AnycastVip, ANNOUNCE: BgpAnnounce, SYNC: IpvsSync}

DERIVED = {
    "ip": "addresses",
    "prefix": "addresses",
}
"""Parameters that the catalogue fills in, and the key that they are made from."""

TOP_KEYS = ("defaults", "sync", "services")
FAMILY_KEYS = {"ipv4": 4, "ipv6": 6}
SERVICE_KEYS = ("addresses", "ports", "families", "active", "prefer")
SHARED_KEYS = ("announce", "operations")
"""Keys of defaults, of a service and of an address family."""


def _parameters(agent: str) -> dict[str, Parameter[Any]]:
    return {parameter.name: parameter for parameter in AGENTS[agent].parameters() if parameter.name not in DERIVED}


PARAMETERS = {agent: _parameters(agent) for agent in AGENTS}
"""By agent, the parameters that can be set in a catalogue."""

FLAT = {**PARAMETERS[VIP], **PARAMETERS[POOL]}
"""The parameters that stand directly in a service: those of the pool and of the address."""

SHARED_PARAMETERS = tuple(
    name for name in {**PARAMETERS[POOL], **PARAMETERS[VIP], **PARAMETERS[ANNOUNCE]}
    if sum(name in PARAMETERS[agent] for agent in (POOL, VIP, ANNOUNCE)) > 1
)  # fmt: skip
"""Parameters that several agents of a service have; a value that stands directly in it is given to each of these agents."""


def is_list(parameter: Parameter[Any]) -> bool:
    """Whether the parameter takes several words, which a catalogue may write as a list."""
    return isinstance(parameter, ListParam)


def is_reloadable(agent: str, name: str) -> bool:
    """Whether the running resource takes a new value of the parameter without a restart."""
    agent_class = AGENTS.get(agent)
    if agent_class is None or not agent_class.can_reload():
        return False
    return any(parameter.reloadable for parameter in agent_class.parameters() if parameter.name == name)
