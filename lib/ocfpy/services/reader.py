"""Reads services.yaml into a Catalogue; every problem of the file is found in one pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ocfpy.ocf.addresses import parse_address, shown
from ocfpy.services.document import Mapping, Sequence, parse
from ocfpy.services.keys import FAMILY_KEYS, PARAMETERS, SERVICE_KEYS, SHARED_KEYS, SYNC, TOP_KEYS
from ocfpy.services.model import Catalogue, Level, Port, Service, ServiceAddress, Setting
from ocfpy.services.problems import Position, suggestion
from ocfpy.services.scopes import ScopeReader
from ocfpy.services.values import Values

if TYPE_CHECKING:
    from ocfpy.services.document import Node
    from ocfpy.services.problems import Problem

PROTOCOLS = ("tcp", "udp", "sctp")
MAX_PORT = 65535
MAX_NAME_LENGTH = 64
_NAME_START = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NAME = f"{_NAME_START}0123456789._-"
RESERVED = "catalogue"
"""What the ids begin with that belong to no service: the tag, the templates, the clone of ipvs-sync."""
DEFAULTS_KEYS = ("families", "active", "prefer")
"""Keys of a service that can be set in defaults as well."""


def read(text: str) -> tuple[Catalogue, list[Problem]]:
    """Return the catalogue as far as it can be read, and all problems. Raises CatalogueError for text that is no YAML."""
    document, problems = parse(text)
    reader = _Reader()
    catalogue = reader.read(document)
    return catalogue, problems + reader.values.problems


@dataclass
class _Reader:
    """One pass over the document. values and scopes collect the problems as it goes."""

    values: Values = field(default_factory=Values)

    def __post_init__(self) -> None:
        self.scopes = ScopeReader(self.values)

    def read(self, document: Mapping) -> Catalogue:
        known = ", ".join(TOP_KEYS)
        for key, (position, _) in document.entries.items():
            if key not in TOP_KEYS:
                self.values.add(position, f"unknown key {key}{suggestion(key, TOP_KEYS) or f'; the file has {known}'}")
        defaults_node = self._mapping(document, "defaults") or Mapping({}, document.position)
        defaults = self._defaults(defaults_node)
        sync = self._sync(self._mapping(document, "sync"))
        services = self._services(document, defaults_node)
        sync_position = document.entries["sync"][0] if "sync" in document.entries else Position()
        return Catalogue(defaults, sync, sync_position, tuple(services))

    def _mapping(self, document: Mapping, key: str) -> Mapping | None:
        if key not in document.entries:
            return None
        position, node = document.entries[key]
        return self.values.mapping(key, node, position)

    def _defaults(self, node: Mapping) -> Level:
        known = (*DEFAULTS_KEYS, *SHARED_KEYS, *FAMILY_KEYS)
        rest = {key: entry for key, entry in node.entries.items() if key not in DEFAULTS_KEYS}
        for key in ("attribute", "virtual", "config"):
            if key in rest:
                self.values.add(rest.pop(key)[0], f"{key} cannot be a default: it is of one service")
        for key in ("addresses", "ports"):
            if key in rest:
                self.values.add(rest.pop(key)[0], f"{key} cannot be a default: write it in each service")
        return self.scopes.level("defaults", Mapping(rest, node.position), known)

    def _sync(self, node: Mapping | None) -> dict[str, Setting] | None:
        if node is None:
            return None
        found: dict[str, Setting] = {}
        known = PARAMETERS[SYNC]
        for key, (position, value) in node.entries.items():
            if key not in known:
                near = suggestion(key, known) or f"; it has the parameters of ipvs-sync: {', '.join(known)}"
                self.values.add(position, f"unknown key {key} in sync{near}")
                continue
            text = self.values.word(key, value, position)
            if text:
                found[key] = Setting(text, position)
        return found

    def _services(self, document: Mapping, defaults: Mapping) -> list[Service]:
        if "services" not in document.entries:
            self.values.add(document.position, "the key services is missing; `services: {}` is a catalogue without a service")
            return []
        position, node = document.entries["services"]
        mapping = self.values.mapping("services", node, position, may_be_empty=True)
        found = []
        for name, (place, value) in mapping.entries.items() if mapping else ():
            self._check_name(name, place)
            body = self.values.mapping(f"service {name}", value, place)
            if body is not None:
                found.append(self._service(name, place, body, defaults))
        self._check_addresses(found)
        return found

    def _check_name(self, name: str, position: Position) -> None:
        strange = [c for c in name if c not in _NAME] or [c for c in name[:1] if c not in _NAME_START]
        if not name or strange:
            self.values.add(
                position,
                f"service name {shown(name)}: a name is a letter, followed by letters, digits, dots, hyphens and underscores",
            )
        elif len(name) > MAX_NAME_LENGTH:
            self.values.add(position, f"service name {shown(name)} is longer than {MAX_NAME_LENGTH} characters")
        elif name.startswith(RESERVED):
            self.values.add(position, f"service name {shown(name)} begins with {RESERVED}, as ids that services share do")

    def _service(self, name: str, position: Position, body: Mapping, defaults: Mapping) -> Service:
        where = f"service {name}"
        own = {key: entry for key, entry in body.entries.items() if key in SERVICE_KEYS}
        rest = {key: entry for key, entry in body.entries.items() if key not in SERVICE_KEYS}
        level = self.scopes.level(where, Mapping(rest, body.position), (*SERVICE_KEYS, *SHARED_KEYS, *FAMILY_KEYS))
        inherited = {key: entry for key, entry in defaults.entries.items() if key in DEFAULTS_KEYS}
        is_apart = self._choice({**inherited, **own}, "families", ("together", "apart")) == "apart"
        is_both = self._choice({**inherited, **own}, "active", ("one", "both")) == "both"
        prefer = self._prefer({**inherited, **own} if not is_both else own)
        if prefer and is_both:
            self.values.add(own["prefer"][0], f"{where}: prefer is for active: one; with active: both every node has the service")
        service = Service(
            name, position, self._addresses(where, own, position), self._ports(where, own, body), level, is_apart, is_both, prefer
        )
        self._check_families(service)
        return service

    def _choice(self, entries: dict[str, tuple[Position, Node]], key: str, choices: tuple[str, str]) -> str:
        if key not in entries:
            return choices[0]
        position, node = entries[key]
        word = self.values.word(key, node, position)
        if word and word not in choices:
            self.values.add(position, f"{key}: {shown(word)} is not one of {', '.join(choices)}")
        return word or choices[0]

    def _prefer(self, entries: dict[str, tuple[Position, Node]]) -> str:
        if "prefer" not in entries:
            return ""
        position, node = entries["prefer"]
        word = self.values.word("prefer", node, position)
        if word and (" " in word or not word.isprintable()):
            self.values.add(position, f"prefer: {shown(word)} is not the name of a node")
            return ""
        return word

    def _addresses(
        self, where: str, entries: dict[str, tuple[Position, Node]], place: Position
    ) -> tuple[ServiceAddress, ...]:
        if "addresses" not in entries:
            self.values.add(place, f"{where} has no addresses: write addresses: [192.0.2.53]")
            return ()
        position, node = entries["addresses"]
        found = []
        words = self.values.words("addresses", node, position)
        for text, at in words:
            try:
                address = parse_address(text)
            except ValueError as error:
                self.values.add(at, f"addresses: {error}")
                continue
            if address.special:
                self.values.add(at, f"addresses: {address} is {address.special}, which cannot be the address of a service")
            found.append(ServiceAddress(address, "/" in text, at))
        if not words and isinstance(node, Sequence) and not node.items:
            self.values.add(position, f"{where} has no addresses: write addresses: [192.0.2.53]")
        return tuple(found)

    def _ports(self, where: str, entries: dict[str, tuple[Position, Node]], body: Mapping) -> tuple[Port, ...]:
        others = [key for key in ("virtual", "config") if key in body.entries]
        if "ports" not in entries:
            if not others:
                self.values.add(body.position, f"{where} has no ports: write ports: [tcp/80]")
            return ()
        position, node = entries["ports"]
        if others:
            self.values.add(position, f"{where}: ports and {others[0]} exclude each other")
        found: dict[Port, Position] = {}
        words = self.values.words("ports", node, position)
        for text, at in words:
            port = self._port(text, at)
            if port in found:
                self.values.add(at, f"ports: {text} stands there twice")
            elif port is not None:
                found[port] = at
        if not words and isinstance(node, Sequence) and not node.items:
            self.values.add(position, f"{where} has no ports: write ports: [tcp/80]")
        return tuple(found)

    def _port(self, text: str, position: Position) -> Port | None:
        protocol, slash, digits = text.partition("/")
        if not slash and protocol.isdigit():
            self.values.add(position, f"ports: {shown(text)} has no protocol: write tcp/{protocol} or udp/{protocol}")
        elif protocol not in PROTOCOLS or not digits:
            self.values.add(position, f"ports: {shown(text)} is not a port such as tcp/80; protocols are {', '.join(PROTOCOLS)}")
        elif not (digits.isascii() and digits.isdigit() and len(digits) <= 5 and 0 < int(digits) <= MAX_PORT):
            self.values.add(position, f"ports: {shown(text)}: the port must be 1 to {MAX_PORT}")
        else:
            return Port(protocol, int(digits))
        return None

    def _check_families(self, service: Service) -> None:
        """An address family that has settings of its own has an address."""
        for family, scope in service.level.families.items():
            position = min(
                (setting.position for setting in (*scope.parameters.values(), *scope.announce.values())), default=service.position
            )
            if service.addresses and family not in service.families():
                self.values.add(position, f"service {service.name}: it has no IPv{family} address, but settings for IPv{family}")

    def _check_addresses(self, services: list[Service]) -> None:
        seen: dict[bytes, tuple[str, Position]] = {}
        for service in services:
            for one in service.addresses:
                packed = one.address.packed
                if packed in seen:
                    name, position = seen[packed]
                    owner = f"{'this service' if name == service.name else f'service {name}'}, line {position.line}"
                    self.values.add(one.position, f"addresses: {one.address} is an address of {owner} already")
                else:
                    seen[packed] = (service.name, one.position)


