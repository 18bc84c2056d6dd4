"""Pacemaker's information for an instance of a clone: its own place among the others, and what happens to them.

Names and meaning are those of the variables OCF_RESKEY_CRM_meta_* that Pacemaker's scheduler adds
(lib/pacemaker/pcmk_graph_producer.c and pcmk_sched_notif.c); before 2.1 they said master and slave.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Clone:
    """An instance's place: index is None for a resource that is no clone; number_max and the like are 0 then."""

    __slots__ = ("globally_unique", "index", "max", "node_max", "notify", "promoted_max", "promoted_node_max")

    def __init__(self, meta: Mapping[str, str]) -> None:
        self.index = _number(meta.get("clone"))
        self.max = _number(meta.get("clone_max")) or 0
        self.node_max = _number(meta.get("clone_node_max")) or 0
        self.promoted_max = _number(meta.get("promoted_max") or meta.get("master_max")) or 0
        self.promoted_node_max = _number(meta.get("promoted_node_max") or meta.get("master_node_max")) or 0
        self.globally_unique = meta.get("globally_unique") == "true"
        self.notify = meta.get("notify") == "true"


class Instance:
    """An instance of the clone and its intended node; node is empty if there is none."""

    __slots__ = ("node", "resource")

    def __init__(self, resource: str, node: str = "") -> None:
        self.resource = resource
        self.node = node

    def __repr__(self) -> str:
        return f"{self.resource}@{self.node}" if self.node else self.resource

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Instance) and (self.resource, self.node) == (other.resource, other.node)

    def __hash__(self) -> int:
        return hash((self.resource, self.node))


class Notification:
    """A notify action: when is pre or post, operation is start, stop, promote or demote.

    start, stop, promote and demote list the instances of these operations; active, inactive, promoted and
    unpromoted where the instances were before all operations; available names the nodes.
    """

    __slots__ = (
        "active", "available", "demote", "inactive", "operation", "promote", "promoted", "start", "stop", "unpromoted",
        "when",
    )  # fmt: skip

    def __init__(self, meta: Mapping[str, str]) -> None:
        self.when = meta.get("notify_type", "")
        self.operation = meta.get("notify_operation", "")
        self.start = _instances(meta, "start")
        self.stop = _instances(meta, "stop")
        self.promote = _instances(meta, "promote")
        self.demote = _instances(meta, "demote")
        self.active = _instances(meta, "active")
        self.inactive = _instances(meta, "inactive")
        self.promoted = _instances(meta, "promoted") or _instances(meta, "master")
        self.unpromoted = _instances(meta, "unpromoted") or _instances(meta, "slave")
        self.available = tuple(meta.get("notify_available_uname", "").split())

    @property
    def key(self) -> str:
        """The operation in one word, as most agents test it: pre-promote, post-stop and so on."""
        return f"{self.when}-{self.operation}"

    def __repr__(self) -> str:
        return f"Notification({self.key!r})"


def _instances(meta: Mapping[str, str], group: str) -> tuple[Instance, ...]:
    """Pairs the two lists; that of the nodes is missing for instances without a node."""
    resources = meta.get(f"notify_{group}_resource", "").split()
    nodes = meta.get(f"notify_{group}_uname", "").split()
    if len(nodes) != len(resources):
        nodes = [""] * len(resources)
    return tuple(map(Instance, resources, nodes))


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None
