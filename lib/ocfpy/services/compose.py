"""Makes of each service the recommended composition: pool, addresses, announcements and the constraints between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ocfpy.ipvs.model import parse_real_server, parse_virtual
from ocfpy.services.composition import (
    NEARNESS,
    ROLES,
    TAG,
    Colocation,
    Composition,
    Order,
    Prefer,
    Resource,
    Template,
    WhereAlive,
)
from ocfpy.services.keys import ADDRESS, ANNOUNCE, PARAMETERS, POOL, SHARED_PARAMETERS, SYNC, VIP
from ocfpy.services.model import Level, Scope
from ocfpy.services.operations import ACTIONS
from ocfpy.services.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ocfpy.ipvs.model import VirtualService
    from ocfpy.ocf.addresses import Address
    from ocfpy.services.composition import Constraint, Operation
    from ocfpy.services.model import Catalogue, Service, ServiceAddress, Setting
    from ocfpy.services.problems import Position

META = {"resource-stickiness": "100", "migration-threshold": "3", "failure-timeout": "60s"}
"""Stay where you are; and a failure is forgotten after a minute, so that no ban outlives its cause."""
MIGRATES = {"allow-migrate": "true"}
NIC = {"nic": PARAMETERS[VIP]["nic"]}
NOT_IPADDR2 = tuple(name for name in PARAMETERS[VIP] if name not in PARAMETERS[POOL] and name not in NIC)
"""Parameters of anycast-vip that neither ipvs-pool nor IPaddr2 has."""


def compose(catalogue: Catalogue) -> tuple[Composition, list[Problem]]:
    """Return the composition, and the settings that do not fit together."""
    composer = _Composer(catalogue)
    return composer.compose(), composer.problems


@dataclass
class _Values:
    """Parameters of one resource, from several scopes, with their places."""

    settings: dict[str, Setting] = field(default_factory=dict)
    made: dict[str, str] = field(default_factory=dict)

    def take(self, settings: Mapping[str, Setting], names: Mapping[str, object]) -> None:
        self.settings.update((name, setting) for name, setting in settings.items() if name in names)

    @property
    def texts(self) -> dict[str, str]:
        return {**{name: setting.value for name, setting in self.settings.items()}, **self.made}

    @property
    def positions(self) -> dict[str, Position]:
        return {name: setting.position for name, setting in self.settings.items()}


class _Composer:
    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.problems: list[Problem] = []
        self.templates = {agent: self._template(agent) for agent in ROLES}
        self.resources: list[Resource] = []
        self.constraints: list[Constraint] = []

    def compose(self) -> Composition:
        sync = self._sync()
        for service in self.catalogue.services:
            self._service(service, sync)
        self._check_pools()
        used = {resource.agent for resource in self.resources}
        templates = tuple(template for agent, template in self.templates.items() if agent in used)
        return Composition(templates, tuple(self.resources), tuple(self.constraints))

    def _template(self, agent: str) -> Template:
        """What all resources of the agent share: the defaults of the catalogue, for both address families."""
        whole = self.catalogue.defaults.whole
        values = _Values()
        if agent in (POOL, VIP):
            values.take(whole.parameters, PARAMETERS[agent])
        if agent == ANNOUNCE:
            values.take({name: s for name, s in whole.parameters.items() if name in SHARED_PARAMETERS}, PARAMETERS[ANNOUNCE])
            values.take(whole.announce, PARAMETERS[ANNOUNCE])
        if agent == ADDRESS:
            values.take(whole.parameters, NIC)
        meta = {**META, **(MIGRATES if agent in (VIP, ANNOUNCE) else {})}
        operations = {action: _operation(ACTIONS[agent][action], {}) for action in ACTIONS[agent]}
        operations.update(_operations(agent, [whole], ACTIONS[agent]))
        return Template(f"{TAG}-{ROLES[agent]}", agent, values.texts, meta, operations)

    def _sync(self) -> Resource | None:
        if self.catalogue.sync is None:
            return None
        values = _Values()
        values.take(self.catalogue.sync, PARAMETERS[SYNC])
        resource = Resource(
            f"{TAG}-sync-daemons", "", self.templates[SYNC], values.texts, is_cloned=True,
            position=self.catalogue.sync_position, positions=values.positions,
        )  # fmt: skip
        self.resources.append(resource)
        return resource

    def _service(self, service: Service, sync: Resource | None) -> None:
        is_announced = service.level.whole.is_announced
        if is_announced is None:
            is_announced = self.catalogue.defaults.whole.is_announced is not False
        self._check(service, is_announced)
        pools = self._pools(service)
        first = ""
        counts: dict[int, int] = {}
        for address in service.addresses:
            counts[address.family] = number = counts.get(address.family, 0) + 1
            suffix = f"{address.family}" if number == 1 else f"{address.family}-{number}"
            pool = pools[address.family]
            vip = self._address(service, address, pool, suffix, is_announced)
            self._tie(vip, pool, first if not service.is_both else "", service)
            first = first or vip.top
            if is_announced:
                bgp = self._announcement(service, address, pool, suffix)
                self.constraints += [Colocation(bgp.top, vip.top), Order(vip.top, bgp.top)]
        if sync is not None:
            self.constraints += [Order(sync.top, top, "Optional") for top in dict.fromkeys(p.top for p in pools.values())]

    def _check(self, service: Service, is_announced: bool) -> None:
        scopes = (service.level.whole, *service.level.families.values())
        if not is_announced:
            for scope in scopes:
                for name, setting in (*scope.parameters.items(), *scope.announce.items()):
                    if name in NOT_IPADDR2 or name in scope.announce:
                        agent = ANNOUNCE if name in scope.announce else VIP
                        message = f"{name} is a parameter of {agent}, which a service with announce: none does not have"
                        self.problems.append(Problem(setting.position, message))
            if service.is_both:
                message = f"service {service.name}: active: both needs an announcement; with announce: none set active: one"
                self.problems.append(Problem(service.position, message))
        else:
            for address in service.addresses:
                if address.has_length and not address.address.is_host:
                    message = f"addresses: {address.address.cidr} is a network: leave the length out, or set announce: none"
                    self.problems.append(Problem(address.position, message))
        if not service.is_apart:
            for families in (self.catalogue.defaults.families, service.level.families):
                for family in service.families():
                    self._check_one_pool(service, families.get(family, Scope()))
        if service.is_apart and len(service.families()) > 1 and "attribute" in service.level.whole.parameters:
            message = f"service {service.name}: the pools of two families cannot have one attribute: set it in ipv4 and in ipv6"
            self.problems.append(Problem(service.level.whole.parameters["attribute"].position, message))

    def _check_pools(self) -> None:
        """Require that pools share no attribute or virtual service; those made from addresses are compared as such."""
        seen: dict[str, str] = {}
        pools = [resource for resource in self.resources if resource.agent == POOL]
        for name in ("attribute", "virtual"):
            for pool in sorted(pools, key=lambda pool: name in pool.positions):
                words = [attribute_of(pool)] if name == "attribute" else pool.parameters.get("virtual", "").split()
                for word in words:
                    other = seen.setdefault(word, pool.service)
                    if other != pool.service and name in pool.positions:
                        self.problems.append(Problem(pool.positions[name], f"{name}: service {other} has {word} already"))

    def _check_one_pool(self, service: Service, scope: Scope) -> None:
        """Refuse settings of one address family that concern the pool, of which there is one."""
        settings = {name: setting for name, setting in scope.parameters.items() if name in PARAMETERS[POOL]}
        for action, attributes in scope.operations.get(POOL, {}).items():
            settings.update((f"{name} of {action}", setting) for name, setting in attributes.items())
        for name, setting in settings.items():
            message = f"service {service.name}: {name} cannot differ between IPv4 and IPv6 in one pool: set families: apart"
            self.problems.append(Problem(setting.position, message))

    def _pools(self, service: Service) -> dict[int, Resource]:
        """The pool of each address family, the same one for both where they stay together."""
        families = service.families()
        if not service.is_apart:
            pool = self._pool(service, "pool", families)
            return dict.fromkeys(families, pool)
        return {family: self._pool(service, f"pool{family}", [family]) for family in families}

    def _pool(self, service: Service, name: str, families: list[int]) -> Resource:
        values = _Values()
        scopes = self._own_scopes(service, families[0] if service.is_apart else 0)
        for scope in scopes:
            values.take(scope.parameters, PARAMETERS[POOL])
        addresses = [one.address for one in service.addresses if one.family in families]
        virtual = " ".join(port.at(address) for port in service.ports for address in addresses)
        if virtual:
            values.made["virtual"] = virtual
        elif service.is_apart and "virtual" in values.settings:
            values.made["virtual"] = _of_family(values.settings["virtual"].value, families[0], parse_virtual)
        servers = values.texts.get("real_servers") or self.templates[POOL].parameters.get("real_servers", "")
        if service.is_apart and servers:
            values.made["real_servers"] = _of_family(servers, families[0], lambda word: parse_real_server(word).address)
        return self._add(
            service, name, POOL, values, _operations(POOL, scopes, self.templates[POOL].operations), is_cloned=True
        )

    def _address(
        self, service: Service, address: ServiceAddress, pool: Resource, suffix: str, is_announced: bool
    ) -> Resource:
        agent = VIP if is_announced else ADDRESS
        scopes = self._own_scopes(service, address.family)
        values = _Values()
        for scope in scopes:
            values.take(scope.parameters, PARAMETERS[VIP] if is_announced else NIC)
        values.made["ip"] = str(address.address)
        if is_announced:
            values.made["attribute"] = attribute_of(pool)
        elif address.has_length:
            values.made["cidr_netmask"] = str(address.address.prefixlen)
        operations = _operations(agent, scopes, self.templates[agent].operations)
        meta = {"allow-migrate": "false"} if service.is_both else {}
        return self._add(service, f"vip{suffix}", agent, values, operations, meta, service.is_both, address.position)

    def _announcement(self, service: Service, address: ServiceAddress, pool: Resource, suffix: str) -> Resource:
        scopes = self._own_scopes(service, address.family)
        values = _Values()
        for scope in scopes:
            shared = {name: setting for name, setting in scope.parameters.items() if name in SHARED_PARAMETERS}
            values.take({**shared, **scope.announce}, PARAMETERS[ANNOUNCE])
        values.made["prefix"] = address.address.cidr
        values.made["attribute"] = attribute_of(pool)
        operations = _operations(ANNOUNCE, scopes, self.templates[ANNOUNCE].operations)
        meta = {"allow-migrate": "false"} if service.is_both else {}
        return self._add(service, f"bgp{suffix}", ANNOUNCE, values, operations, meta, service.is_both, address.position)

    def _own_scopes(self, service: Service, family: int) -> list[Scope]:
        """What is not in the template, weakest first. family 0 is a resource of both address families."""
        levels: tuple[Level, ...] = (Level(families=self.catalogue.defaults.families), service.level)
        found = []
        for level in levels:
            found.append(level.whole)
            if family in level.families:
                found.append(level.families[family])
        return found

    def _add(
        self, service: Service, name: str, agent: str, values: _Values, operations: dict[str, Operation],
        meta: dict[str, str] | None = None, is_cloned: bool = False, position: Position | None = None,
    ) -> Resource:  # fmt: skip
        template = self.templates[agent]
        parameters = {key: value for key, value in values.texts.items() if template.parameters.get(key) != value}
        positions = {**self._default_positions(agent), **values.positions}
        resource = Resource(
            f"{service.name}-{name}", service.name, template, parameters, meta or {}, operations, is_cloned,
            position or service.position, positions,
        )  # fmt: skip
        self.resources.append(resource)
        return resource

    def _default_positions(self, agent: str) -> dict[str, Position]:
        whole = self.catalogue.defaults.whole
        names = PARAMETERS.get(agent, {})
        settings = {**whole.parameters, **whole.announce} if agent == ANNOUNCE else whole.parameters
        return {name: setting.position for name, setting in settings.items() if name in names}

    def _tie(self, vip: Resource, pool: Resource, first: str, service: Service) -> None:
        """The address where the pool is, where backends are alive, near the first address, on the preferred node."""
        self.constraints.append(WhereAlive(vip.top, attribute_of(pool)))
        if service.prefer and not service.is_both:
            self.constraints.append(Prefer(vip.top, service.prefer))
        self.constraints.append(Colocation(vip.top, pool.top))
        if first:
            self.constraints.append(Colocation(vip.top, first, NEARNESS))
        self.constraints.append(Order(pool.top, vip.top))


def attribute_of(pool: Resource) -> str:
    """The node attribute in which a pool publishes how many backends are alive."""
    return pool.effective_parameters.get("attribute") or f"healthy-{pool.id}"


def _operation(known: Mapping[str, str], changes: Mapping[str, Setting]) -> Operation:
    values = {**known, **{name: setting.value for name, setting in changes.items()}}
    return tuple(sorted({"interval": "0s", **values}.items()))


def _operations(agent: str, scopes: list[Scope], known: Mapping[str, Mapping[str, str] | Operation]) -> dict[str, Operation]:
    """The operations of an agent that these scopes change, complete: one replaces the template's of the same name."""
    found: dict[str, Operation] = {}
    for scope in scopes:
        for action, changes in scope.operations.get(agent, {}).items():
            found[action] = _operation(dict(found.get(action) or known[action]), changes)
    return found


def _of_family(words: str, family: int, parse: Callable[[str], VirtualService | Address]) -> str:
    """Those of an address family; all where there is none, as a tunnel may reach them. What cannot be read stays."""
    own = [word for word in words.split() if _family(word, parse) in (0, family)]
    return " ".join(own) or words


def _family(word: str, parse: Callable[[str], VirtualService | Address]) -> int:
    try:
        return parse(word).family
    except ValueError:
        return 0
