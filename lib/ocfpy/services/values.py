"""Takes words out of nodes of the document, and collects the problems of those that are not words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ocfpy.ocf.addresses import shown
from ocfpy.services.document import Mapping, Scalar, Sequence
from ocfpy.services.problems import Position, Problem

if TYPE_CHECKING:
    from ocfpy.services.document import Node


@dataclass
class Values:
    """Each method adds a problem and returns nothing where the node is not what the key takes."""

    problems: list[Problem] = field(default_factory=list)

    def add(self, position: Position, message: str) -> None:
        """Note a problem."""
        self.problems.append(Problem(position, message))

    def mapping(self, what: str, node: Node, position: Position, may_be_empty: bool = False) -> Mapping | None:
        """Return a mapping."""
        if isinstance(node, Mapping):
            return node
        is_empty = isinstance(node, Scalar) and node.is_null
        if not (is_empty and may_be_empty):
            self.add(position, f"{what} is empty" if is_empty else f"{what} has to be keys with values, such as KEY: VALUE")
        return None

    def word(self, key: str, node: Node, position: Position) -> str:
        """Return a single value, as the text that stands in the file."""
        if not isinstance(node, Scalar):
            kind = "a list" if isinstance(node, Sequence) else "keys with values"
            self.add(position, f"{key} takes one value, not {kind}{_quotes(node)}")
            return ""
        return self._text(key, node, position)

    def words(self, key: str, node: Node, position: Position) -> list[tuple[str, Position]]:
        """Return the items of a list, or the words of a text, each with its place."""
        if isinstance(node, Scalar):
            return [(word, position) for word in self._text(key, node, position).split()]
        if isinstance(node, Mapping):
            self.add(position, f"{key} takes a list, not keys with values{_quotes(node)}")
            return []
        found = []
        for item in node.items:
            if not isinstance(item, Scalar):
                self.add(item.position, f"{key}: each item of the list is one value{_quotes(item)}")
                continue
            text = self._text(key, item, item.position)
            if len(text.split()) > 1:
                self.add(item.position, f"{key}: {shown(text)} is more than one item of the list")
            elif text:
                found.append((text.strip(), item.position))
        return found

    def _text(self, key: str, node: Scalar, position: Position) -> str:
        if node.is_null or not node.text.strip():
            self.add(position, f"{key} has no value: remove the key, or give it one")
            return ""
        if not node.text.isprintable():
            self.add(position, f"{key}: {shown(node.text)} has a line break or another unprintable character")
            return ""
        return node.text


def _quotes(node: Node) -> str:
    """What YAML makes of an IPv6 address that ends in a colon."""
    is_address = isinstance(node, Mapping) and any(key.count(":") > 1 for key in node.entries)
    return ": write an IPv6 address in quotes" if is_address else ""
