"""The CIB that a catalogue describes: resources, constraints, templates and the tag, as typed data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Union

from ocfpy.services.keys import ADDRESS, ANNOUNCE, POOL, SYNC, VIP

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ocfpy.services.problems import Position

TAG = "catalogue"
"""The tag of all resources and templates that the catalogue made."""
ROLES = {POOL: "pool", VIP: "vip", ANNOUNCE: "bgp", SYNC: "sync", ADDRESS: "address"}
"""What the ids of an agent's template and resources have after the tag and the service."""
PREFERENCE = "500"
"""Score of prefer: more than the stickiness of an address and of its announcement, which counts for the address as well."""
NEARNESS = "1000"
"""Score that keeps the addresses of a service on one node: moving one brings the others along."""

Operation = tuple[tuple[str, str], ...]
"""The attributes of an operation besides its name: interval, timeout, on-fail."""


@dataclass(frozen=True)
class Template:
    """Settings that all resources of an agent share."""

    id: str
    agent: str
    parameters: Mapping[str, str]
    meta: Mapping[str, str]
    operations: Mapping[str, Operation]


@dataclass(frozen=True)
class Resource:
    """A primitive with what it has beyond its template; positions are those of its parameters in the file."""

    id: str
    service: str
    template: Template
    parameters: Mapping[str, str]
    meta: Mapping[str, str] = field(default_factory=dict)
    operations: Mapping[str, Operation] = field(default_factory=dict)
    is_cloned: bool = False
    position: Position | None = None
    positions: Mapping[str, Position] = field(default_factory=dict)

    @property
    def agent(self) -> str:
        """The type of its agent, such as ipvs-pool."""
        return self.template.agent

    @property
    def top(self) -> str:
        """The id that constraints name: that of the clone, if there is one."""
        return f"{self.id}-clone" if self.is_cloned else self.id

    @property
    def effective_parameters(self) -> dict[str, str]:
        """Its parameters with those of the template."""
        return {**self.template.parameters, **self.parameters}

    @property
    def effective_meta(self) -> dict[str, str]:
        """Its meta attributes with those of the template."""
        return {**self.template.meta, **self.meta}

    @property
    def effective_operations(self) -> dict[str, Operation]:
        """Its operations with those of the template; one of its own replaces the template's of the same name."""
        return {**self.template.operations, **self.operations}


CLONE_META = {"interleave": "true"}


@dataclass(frozen=True)
class WhereAlive:
    """The rule that keeps a resource off a node whose attribute says that no backend is alive."""

    resource: str
    attribute: str

    @property
    def id(self) -> str:
        """The id of the constraint."""
        return f"{stem(self.resource)}-where-alive"


@dataclass(frozen=True)
class Prefer:
    """The node that a resource runs on while it can."""

    resource: str
    node: str

    @property
    def id(self) -> str:
        """The id of the constraint."""
        return f"{stem(self.resource)}-prefers"


@dataclass(frozen=True)
class Colocation:
    """A resource on the node of another one."""

    resource: str
    other: str
    score: str = "INFINITY"

    @property
    def id(self) -> str:
        """The id of the constraint."""
        word = "with" if self.score == "INFINITY" else "near"
        return f"{stem(self.resource)}-{word}-{role(self.other)}"


@dataclass(frozen=True)
class Order:
    """A resource after another one."""

    first: str
    then: str
    kind: str = "Mandatory"

    @property
    def id(self) -> str:
        """The id of the constraint."""
        then = role(self.then) if service_of(self.first) == service_of(self.then) else stem(self.then)
        return f"{stem(self.first)}-then-{then}"


Constraint = Union[WhereAlive, Prefer, Colocation, Order]


@dataclass(frozen=True)
class Composition:
    """All that the catalogue owns in the CIB."""

    templates: tuple[Template, ...]
    resources: tuple[Resource, ...]
    constraints: tuple[Constraint, ...]

    def tagged(self) -> Iterator[str]:
        """The ids in the tag: templates, resources, and the clones of these."""
        for template in self.templates:
            yield template.id
        for resource in self.resources:
            yield resource.id
            if resource.is_cloned:
                yield resource.top


def full_agent(agent: str) -> tuple[str, str]:
    """The provider and the type of an agent."""
    return ("heartbeat" if agent == ADDRESS else "anycast"), agent


def stem(resource: str) -> str:
    """The id of a resource without the -clone of its clone."""
    return resource[: -len("-clone")] if resource.endswith("-clone") else resource


def service_of(resource: str) -> str:
    """The service that an id of the catalogue belongs to: dns of dns-vip4, dns-vip4-2 and dns-pool-clone; TAG if to none."""
    if resource.startswith(f"{TAG}-"):
        return TAG
    service, _, last = stem(resource).rpartition("-")
    return service.rpartition("-")[0] if last.isdigit() else service


def role(resource: str) -> str:
    """What is left of an id without the service: vip4 of dns-vip4, vip4-2 of dns-vip4-2."""
    return stem(resource)[len(service_of(resource)) + 1 :]


def has_made(resource: str, template: str) -> bool:
    """Whether the catalogue gives a resource of this template an id like this one, now or with an earlier file."""
    if template not in {f"{TAG}-{name}" for name in ROLES.values()}:
        return False
    kind = template[len(TAG) + 1 :]
    return service_of(resource) == TAG or role(resource).startswith("vip" if kind == "address" else kind)
