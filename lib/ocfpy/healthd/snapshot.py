"""The state of a pool at one moment, as the daemon shows it to anycastctl and the exporter.

A snapshot becomes JSON and is read from it again. One of another version may lack fields, which are None then, and may have more.
Times are seconds since the epoch, durations seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeVar

Json = dict[str, Any]
P = TypeVar("P", bound="Part")

SCHEMA = 1
"""The number of the format; it is raised when the meaning of a field changes."""

UP = "up"
DRAINING = "draining"
SORRY = "sorry server"
LEAVING = "leaving"
STILL_SERVING = "leaving, still serving"
"""States of real servers besides those of placement.py: with connections left, instead of the real servers, not configured any
more, and not configured any more but in service because the new servers are not up."""


class Part:
    """A dataclass that becomes JSON: a field in `OPTIONAL` is left out when it is None, one in `PARTS` consists of parts."""

    OPTIONAL: frozenset[str] = frozenset()
    PARTS: dict[str, type[Part]] = {}

    def document(self) -> Json:
        """Return the fields as JSON has them."""
        document = {}
        for one in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            value = getattr(self, one.name)
            if value is None and one.name in self.OPTIONAL:
                continue
            if isinstance(value, Part):
                value = value.document()
            elif isinstance(value, tuple):
                value = [part.document() if isinstance(part, Part) else part for part in value]
            document[one.name] = value
        return document

    @classmethod
    def read(cls: type[P], document: Json) -> P:
        """Return what `document` says. Raises TypeError or AttributeError for what is no document of the kind."""
        values = {}
        for one in fields(cls):  # type: ignore[arg-type]  # every subclass is a dataclass
            value = document.get(one.name)
            if value is None:
                continue
            part = cls.PARTS.get(one.name)
            if isinstance(value, list):
                value = tuple(part.read(item) if part else item for item in value)
            elif part is not None:
                value = part.read(value)
            values[one.name] = value
        return cls(**values)


@dataclass(frozen=True)
class CheckSnapshot(Part):
    """The check of a real server: its verdict, how long the last attempt took, and when the next is due."""

    type: str = ""
    up: bool | None = None
    seconds: float | None = None
    next: float | None = None


@dataclass(frozen=True)
class DrainSnapshot(Part):
    """A drain, with the connections and persistent clients that the daemon saw last."""

    since: float = 0.0
    until: float = 0.0
    connections: int = 0
    clients: int = 0


@dataclass(frozen=True)
class SlowStartSnapshot(Part):
    """A slow start."""

    since: float = 0.0
    until: float = 0.0


@dataclass(frozen=True)
class ServerSnapshot(Part):
    """A real server, or a sorry server, of one virtual service.

    `weight` is the one in the kernel (None: it is not there), `wanted` the one that should be there now, `configured` the one in
    the end. `against` counts the results in a row that contradict the verdict. `traffic` is what the kernel counted, which
    anycastctl adds.
    """

    OPTIONAL = frozenset(("since", "against", "check", "drain", "slow_start", "traffic"))
    PARTS = {"check": CheckSnapshot, "drain": DrainSnapshot, "slow_start": SlowStartSnapshot}

    server: str = ""
    forward: str | None = None
    weight: int | None = None
    wanted: int | None = None
    configured: int | None = None
    active: int | None = None
    inactive: int | None = None
    state: str = ""
    since: float | None = None
    reason: str = ""
    against: int | None = None
    check: CheckSnapshot | None = None
    drain: DrainSnapshot | None = None
    slow_start: SlowStartSnapshot | None = None
    traffic: dict[str, int] | None = None

    @classmethod
    def read(cls, document: Json) -> ServerSnapshot:
        """As of every part; one of version 0.1.0 has only the weight of the moment."""
        filled = {"wanted": document.get("weight"), **document}
        return super().read({"configured": filled["wanted"], **filled})


@dataclass(frozen=True)
class ServiceSnapshot(Part):
    """A virtual service: how many of its servers are alive, kept in service by min_up, and in service although they leave."""

    OPTIONAL = frozenset(("traffic",))
    PARTS = {"real_servers": ServerSnapshot}

    service: str = ""
    scheduler: str | None = None
    alive: int | None = None
    down_but_pooled: int | None = None
    leaving_still_serving: int | None = None
    quorum: bool | None = None
    real_servers: tuple[ServerSnapshot, ...] = ()
    traffic: dict[str, int] | None = None


@dataclass(frozen=True)
class AttributeSnapshot(Part):
    """The node attribute, and whether the cluster took its value."""

    name: str = ""
    value: int | None = None
    in_cluster: bool | None = None


@dataclass(frozen=True)
class PoolSnapshot(Part):
    """A pool. `state` is what monitor is told; `stale` is set by anycastctl where no daemon answers for the pool."""

    OPTIONAL = frozenset(("schema", "pid", "attribute", "drain_dir", "stale"))
    PARTS = {"attribute": AttributeSnapshot, "virtual": ServiceSnapshot}

    resource: str = ""
    schema: int | None = None
    pid: int | None = None
    state: str = ""
    attribute: AttributeSnapshot | None = None
    drain_dir: str | None = None
    warnings: tuple[str, ...] = ()
    virtual: tuple[ServiceSnapshot, ...] = ()
    stale: bool | None = None
