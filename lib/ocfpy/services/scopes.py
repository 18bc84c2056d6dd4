"""Reads what can be said at each level: parameters of the agents, announce and operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocfpy.ocf.addresses import parse_address, shown
from ocfpy.ocf.parameters import parse_duration
from ocfpy.services.document import Mapping, Scalar
from ocfpy.services.keys import (
    ANNOUNCE,
    DERIVED,
    FAMILY_KEYS,
    FLAT,
    PARAMETERS,
    SHARED_KEYS,
    SYNC,
    is_list,
)
from ocfpy.services.model import Level, Scope, Setting
from ocfpy.services.operations import ACTIONS, ATTRIBUTES, ON_FAIL
from ocfpy.services.problems import suggestion

if TYPE_CHECKING:
    from typing import Any

    from ocfpy.ocf.parameters import Parameter
    from ocfpy.services.document import Node
    from ocfpy.services.problems import Position
    from ocfpy.services.values import Values

_ENDPOINTS = ("real_servers", "sorry_server")
"""Lists in which an IPv6 address without a port may stand without its brackets."""


class ScopeReader:
    """Reads levels; what is wrong goes to values."""

    def __init__(self, values: Values) -> None:
        self._values = values

    def level(self, where: str, node: Mapping, known: tuple[str, ...]) -> Level:
        """Return the level named `where`; `known` are the keys of it besides parameters, for suggestions."""
        rest = {key: entry for key, entry in node.entries.items() if key not in FAMILY_KEYS}
        families = {}
        for key, family in FAMILY_KEYS.items():
            if key in node.entries:
                position, value = node.entries[key]
                mapping = self._values.mapping(f"{key} in {where}", value, position)
                if mapping is not None:
                    families[family] = self._scope(f"{key} in {where}", mapping, SHARED_KEYS)
                    if families[family].is_announced is False:
                        self._values.add(position, f"{key} in {where}: announce: none is for both address families")
        return Level(self._scope(where, Mapping(rest, node.position), known), families)

    def _scope(self, where: str, node: Mapping, known: tuple[str, ...]) -> Scope:
        parameters: dict[str, Setting] = {}
        announce: dict[str, Setting] = {}
        operations: dict[str, dict[str, dict[str, Setting]]] = {}
        is_announced = None
        for key, (position, value) in node.entries.items():
            if key == "announce":
                is_announced, announce = self._announce(where, value, position)
            elif key == "operations":
                operations = self._operations(value, position)
            elif key in FLAT:
                self._setting(parameters, FLAT[key], value, position)
            else:
                self._unknown(where, key, position, (*known, *FLAT))
        return Scope(parameters, announce, is_announced, operations)

    def _unknown(self, where: str, key: str, position: Position, known: tuple[str, ...]) -> None:
        if key in DERIVED:
            self._values.add(position, f"{key} in {where} is made from {DERIVED[key]}: remove it")
        elif key in PARAMETERS[ANNOUNCE]:
            self._values.add(position, f"{key} is a parameter of bgp-announce: write announce: {{{key}: ...}}")
        elif key in PARAMETERS[SYNC]:
            self._values.add(position, f"{key} is a parameter of ipvs-sync: write it in sync")
        else:
            more = f"; known are {', '.join(known[: -len(FLAT)])} and the parameters of ipvs-pool and anycast-vip"
            self._values.add(position, f"unknown key {key} in {where}{suggestion(key, known) or more}")

    def _setting(self, into: dict[str, Setting], parameter: Parameter[Any], node: Node, position: Position) -> None:
        name = parameter.name
        if is_list(parameter):
            words = [text for text, _ in self._values.words(name, node, position)]
            text = " ".join(bracketed(word) for word in words) if name in _ENDPOINTS else " ".join(words)
        else:
            text = self._values.word(name, node, position)
        if text:
            into[name] = Setting(text, position)

    def _announce(self, where: str, node: Node, position: Position) -> tuple[bool | None, dict[str, Setting]]:
        if isinstance(node, Scalar) and node.text == "none":
            return False, {}
        mapping = node if isinstance(node, Mapping) else None
        if mapping is None:
            self._values.add(position, f"announce in {where} is none, or has parameters of bgp-announce: {{min_peers: 2}}")
            return None, {}
        found: dict[str, Setting] = {}
        known = PARAMETERS[ANNOUNCE]
        for key, (place, value) in mapping.entries.items():
            if key in DERIVED:
                self._values.add(place, f"{key} in announce is made from {DERIVED[key]}: remove it")
            elif key == "attribute":
                self._values.add(place, "attribute in announce is that of the pool: write it in the service, or leave it out")
            elif key not in known:
                names = ", ".join(name for name in known if name != "attribute")
                more = f"; it has the parameters of bgp-announce: {names}"
                self._values.add(place, f"unknown key {key} in announce{suggestion(key, known) or more}")
            else:
                self._setting(found, known[key], value, place)
        return True, found

    def _operations(self, node: Node, position: Position) -> dict[str, dict[str, dict[str, Setting]]]:
        found: dict[str, dict[str, dict[str, Setting]]] = {}
        agents = self._values.mapping("operations", node, position)
        for agent, (place, value) in agents.entries.items() if agents else ():
            if agent not in ACTIONS:
                more = f"; agents are {', '.join(ACTIONS)}"
                self._values.add(place, f"unknown agent {agent} in operations{suggestion(agent, ACTIONS) or more}")
                continue
            actions = self._values.mapping(f"operations of {agent}", value, place)
            for action, (at, attributes) in actions.entries.items() if actions else ():
                if action not in ACTIONS[agent]:
                    more = f"; it has {', '.join(ACTIONS[agent])}"
                    self._values.add(at, f"unknown operation {action} of {agent}{suggestion(action, ACTIONS[agent]) or more}")
                    continue
                found.setdefault(agent, {})[action] = self._attributes(f"{action} of {agent}", attributes, at)
        return found

    def _attributes(self, what: str, node: Node, position: Position) -> dict[str, Setting]:
        found: dict[str, Setting] = {}
        mapping = self._values.mapping(what, node, position)
        for name, (place, value) in mapping.entries.items() if mapping else ():
            if name not in ATTRIBUTES:
                more = f"; it has {', '.join(ATTRIBUTES)}"
                self._values.add(place, f"unknown key {name} in {what}{suggestion(name, ATTRIBUTES) or more}")
                continue
            text = self._values.word(name, value, place)
            fault = _fault(what, name, text) if text else ""
            if fault:
                self._values.add(place, f"{name} of {what}: {fault}")
            elif text:
                found[name] = Setting(text, place)
        return found


def _fault(what: str, name: str, text: str) -> str:
    if name == "on-fail":
        return "" if text in ON_FAIL else f"{shown(text)} is not one of {', '.join(ON_FAIL)}"
    if name == "interval" and not what.startswith("monitor "):
        return "only monitor has an interval"
    try:
        value = parse_duration(text)
    except ValueError as error:
        return str(error)
    return "" if value > 0 else f"{shown(text)} is not longer than 0"


def bracketed(word: str) -> str:
    """A server with its address as ipvs-pool wants it: an IPv6 address in brackets."""
    host, comma, options = word.partition(",")
    try:
        is_bare = parse_address(host).family == 6 and "/" not in host
    except ValueError:
        return word
    return f"[{host}]{comma}{options}" if is_bare else word


