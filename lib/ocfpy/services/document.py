"""Reads YAML into nodes that know where they stand, with duplicate keys and tags refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Union

import yaml

from ocfpy.services.problems import CatalogueError, Position, Problem

MAX_BYTES = 4 * 1024 * 1024
"""More than any catalogue that people write; the file is read into memory as a whole."""
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"
_TAGS = {
    f"tag:yaml.org,2002:{name}"
    for name in ("bool", "float", "int", "map", "merge", "null", "seq", "str", "timestamp", "value")
}
"""Tags that PyYAML gives to a value without a tag."""


@dataclass(frozen=True)
class Scalar:
    """A single value, as the text that stands in the file: `check: off` is "off", and not YAML's false."""

    text: str
    position: Position
    is_null: bool = False


@dataclass(frozen=True)
class Sequence:
    """A list."""

    items: tuple[Node, ...]
    position: Position


@dataclass(frozen=True)
class Mapping:
    """Keys in the order of the file, each with its place and its value."""

    entries: dict[str, tuple[Position, Node]]
    position: Position


Node = Union[Scalar, Sequence, Mapping]


def parse(text: str) -> tuple[Mapping, list[Problem]]:
    """Return the document, and its faults. Raises CatalogueError for text that is not YAML."""
    if len(text.encode("utf-8", "surrogateescape")) > MAX_BYTES:
        raise CatalogueError([Problem(Position(), f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB")])
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        raise CatalogueError([Problem(_marked(error), _said(error))]) from None
    except yaml.YAMLError as error:
        raise CatalogueError([Problem(Position(), f"the file is not YAML: {' '.join(str(error).split())}")]) from None
    except RecursionError:
        raise CatalogueError([Problem(Position(), "the file is nested too deeply")]) from None
    builder = _Builder()
    found = builder.build(root) if root is not None else Scalar("", Position(1, 1), True)
    if not isinstance(found, Mapping):
        raise CatalogueError([Problem(Position(1, 1), "the file has no keys: write services: and the services below it")])
    return found, builder.problems


def _marked(error: yaml.MarkedYAMLError) -> Position:
    mark = error.problem_mark or error.context_mark
    return Position(mark.line + 1, mark.column + 1) if mark else Position()


def _said(error: yaml.MarkedYAMLError) -> str:
    words = " ".join(filter(None, (error.problem, error.context)))
    return f"the file is not YAML: {words}"


@dataclass
class _Builder:
    """Turns PyYAML's nodes into ours. An alias gives the same node again, so that no file grows by being read."""

    problems: list[Problem] = field(default_factory=list)
    _done: dict[int, Node] = field(default_factory=dict)
    _open: set[int] = field(default_factory=set)

    def build(self, node: yaml.Node) -> Node:
        key = id(node)
        if key in self._done:
            return self._done[key]
        position = Position(node.start_mark.line + 1, node.start_mark.column + 1)
        if key in self._open:
            self.problems.append(Problem(position, "an alias refers to the value that it stands in"))
            return Scalar("", position)
        self._open.add(key)
        built = self._build(node, position)
        self._open.discard(key)
        self._done[key] = built
        return built

    def _build(self, node: yaml.Node, position: Position) -> Node:
        if node.tag not in _TAGS:
            self.problems.append(Problem(position, f"the tag {node.tag} is not used in a catalogue: remove it"))
        if isinstance(node, yaml.ScalarNode):
            return Scalar(node.value, position, node.tag == _NULL)
        if isinstance(node, yaml.SequenceNode):
            return Sequence(tuple(map(self.build, node.value)), position)
        assert isinstance(node, yaml.MappingNode)
        entries: dict[str, tuple[Position, Node]] = {}
        for key_node, value_node in node.value:
            place = Position(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            value = self.build(value_node)
            if key_node.tag == _MERGE:
                self.problems.append(Problem(place, "merge keys (<<) are not supported: put what services share in defaults"))
            elif not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(Problem(place, "a key has to be a single word"))
            elif key_node.value in entries:
                first = entries[key_node.value][0]
                self.problems.append(
                    Problem(place, f"duplicate key {key_node.value}: it stands in line {first.line} already")
                )
            else:
                entries[key_node.value] = (place, value)
        return Mapping(entries, position)
