"""What a catalogue changes in a CIB: by service, by resource and by value, with what it does to the clients."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ocfpy.ocf.parameters import SecretParam
from ocfpy.services.cib import Cib, Effective
from ocfpy.services.clients import UNKNOWN, notice
from ocfpy.services.compose import attribute_of
from ocfpy.services.composition import role, service_of, stem
from ocfpy.services.keys import AGENTS, POOL, is_reloadable
from ocfpy.services.scheduler import Forecast, forecast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ocfpy.services.composition import Composition

ADDED, CHANGED, REMOVED = "added", "changed", "removed"
SECRET = "(not shown)"
EFFECTS = {
    "restart": "restarted", "reload": "reloaded", "migrate": "moved", "move": "moved", "start": "started", "stop": "stopped",
}  # fmt: skip
"""The scheduler's verdicts, in the words of the diff."""


@dataclass(frozen=True)
class Change:
    """A value that differs; old or new is empty where there is none."""

    name: str
    old: str
    new: str


@dataclass(frozen=True)
class ResourceDiff:
    """A resource or a constraint. effect is what becomes of a resource that runs, or empty."""

    id: str
    state: str
    changes: tuple[Change, ...] = ()
    effect: str = ""


@dataclass
class ServiceDiff:
    """A service with its resources and constraints that differ; clients is what its clients notice."""

    name: str
    state: str
    resources: list[ResourceDiff] = field(default_factory=list)
    constraints: list[ResourceDiff] = field(default_factory=list)
    clients: str = ""


@dataclass(frozen=True)
class Diff:
    """All changes, and what the scheduler does about them. after is the CIB with the catalogue in it."""

    services: tuple[ServiceDiff, ...]
    forecast: Forecast
    after: Cib

    @property
    def has_changes(self) -> bool:
        """Whether the CIB would change."""
        return bool(self.services)


def diff(before: Cib, composition: Composition) -> Diff:
    """Return what the composition changes. Raises CibError when the change cannot be made."""
    after = before.replaced(composition)
    old, new = before.resources(), after.resources()
    services: dict[str, ServiceDiff] = {}
    everything = {**old, **new}
    for name in everything:
        if old.get(name) != new.get(name):
            _service(services, name, old, new).resources.append(_compare(name, old.get(name), new.get(name)))
    old_constraints, new_constraints = before.constraints(), after.constraints()
    for name in {**old_constraints, **new_constraints}:
        was, becomes = old_constraints.get(name, {}), new_constraints.get(name, {})
        if was != becomes:
            state = CHANGED if was and becomes else ADDED if becomes else REMOVED
            changes = tuple(Change(*change) for change in _differences(was, becomes)) if state == CHANGED else ()
            owner = _owner({**was, **becomes})
            _service(services, owner, old, new).constraints.append(ResourceDiff(name, state, changes))
    if not services:
        return Diff((), Forecast(), before)
    pools = {pool.id: attribute_of(pool) for pool in composition.resources if pool.agent == POOL and pool.id not in old}
    expected = forecast(after, pools)
    for name in {service_of(step.resource) for step in expected.steps if step.resource in everything}:
        services.setdefault(name, ServiceDiff(name, ""))
    for service in services.values():
        service.resources = [_with_effect(resource, expected) for resource in service.resources]
        steps = [step for step in expected.steps if step.resource in everything and service_of(step.resource) == service.name]
        noticed = notice(steps, [role(step.resource) for step in steps], set(old) - set(new))
        service.clients = UNKNOWN if expected.is_blind else noticed
    return Diff(tuple(services.values()), expected, after)


def _owner(constraint: Mapping[str, str]) -> str:
    """The resource that a constraint is for: the one that depends on the other."""
    return constraint.get("then") or constraint["rsc"]


def _service(
    services: dict[str, ServiceDiff], resource: str, old: Mapping[str, object], new: Mapping[str, object]
) -> ServiceDiff:
    name = service_of(resource)
    if name not in services:
        was = any(service_of(other) == name for other in old)
        becomes = any(service_of(other) == name for other in new)
        services[name] = ServiceDiff(name, CHANGED if was and becomes else ADDED if becomes else REMOVED)
    return services[name]


def _compare(name: str, old: Effective | None, new: Effective | None) -> ResourceDiff:
    if old is None or new is None:
        return ResourceDiff(name, ADDED if new else REMOVED)
    changes = []
    if old.agent != new.agent:
        changes.append(Change("agent", old.agent, new.agent))
    changes += [_shown(old.agent, *change) for change in _differences(old.parameters, new.parameters)]
    changes += [Change(f"meta {name}", was, becomes) for name, was, becomes in _differences(old.meta, new.meta)]
    for action in {**old.operations, **new.operations}:
        attributes = _differences(old.operations.get(action, {}), new.operations.get(action, {}))
        changes += [Change(f"op {action} {name}", was, becomes) for name, was, becomes in attributes]
    if (old.clone is None) != (new.clone is None):
        changes.append(Change("clone", "no" if old.clone is None else "yes", "no" if new.clone is None else "yes"))
    elif old.clone is not None and new.clone is not None:
        changes += [Change(f"clone {name}", was, becomes) for name, was, becomes in _differences(old.clone, new.clone)]
    return ResourceDiff(name, CHANGED, tuple(changes), _declared_effect(old, new))


def _differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[tuple[str, str, str]]:
    pairs = [(name, old.get(name, ""), new.get(name, "")) for name in {**old, **new}]
    return [change for change in pairs if change[1] != change[2]]


def _shown(agent: str, name: str, old: str, new: str) -> Change:
    agent_class = AGENTS.get(agent.rpartition(":")[2])
    parameters = agent_class.parameters() if agent_class else []
    if any(isinstance(parameter, SecretParam) for parameter in parameters if parameter.name == name):
        return Change(name, old and SECRET, new and SECRET)
    return Change(name, old, new)


def _declared_effect(old: Effective, new: Effective) -> str:
    """What the agent's declaration says of the change, for a resource that the scheduler does not know to run."""
    if old.agent != new.agent or (old.clone is None) != (new.clone is None):
        return "restarted"
    names = [name for name, _, _ in _differences(old.parameters, new.parameters)]
    if not names:
        return ""
    agent = old.agent.rpartition(":")[2]
    return "reloaded" if all(is_reloadable(agent, name) for name in names) else "restarted"


def _with_effect(resource: ResourceDiff, expected: Forecast) -> ResourceDiff:
    """The effect in the scheduler's words, where it acts; only a resource that it does not act on keeps the declared one."""
    verdict = expected.verdicts.get(stem(resource.id), "")
    is_idle = not expected.steps and resource.state == CHANGED
    effect = EFFECTS.get(verdict, verdict) if verdict else resource.effect if is_idle else ""
    return ResourceDiff(resource.id, resource.state, resource.changes, effect)
