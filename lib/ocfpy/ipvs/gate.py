"""Decides whether enough backends of an address are alive to send clients to it, and remembers since when they are not."""

from __future__ import annotations

import time

from ocfpy.ipvs.model import endpoint
from ocfpy.ocf.state import StateFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ocfpy.ipvs.model import VirtualService
    from ocfpy.ipvs.proc import ProcService
    from ocfpy.ocf.addresses import Address
    from ocfpy.ocf.parameters import NumberOrPercent

ALL = "all"
ANY = "any"
NONE = "none"

SERVERS_NAMED = 8
NEVER = float("inf")


def why_dead(
    address: Address,
    table: Mapping[VirtualService, ProcService],
    required: Sequence[VirtualService],
    mode: str,
    min_backends: NumberOrPercent,
    sorry: Sequence[tuple[Address, int | None]] = (),
    ask: Callable[[Sequence[VirtualService]], Mapping[VirtualService, ProcService]] | None = None,
) -> str:
    """Return why no client should be sent to the address, or "" when its backends are alive.

    Alive is a real server with a weight above 0. The gate looks at the `required` services, or without these at
    every service on the address; with ALL each of them must have `min_backends` alive, with ANY one of them.
    The `sorry` servers, at any port if they have none, do not count.

    A table from /proc may lack existing services. Before a service is called dead or missing, `ask` is called with
    the services in question, or with none for all services on the address, and returns those that the kernel has.
    """
    services = list(required) or [virtual for virtual in table if virtual.address == address]
    if not services and ask is not None:
        table, ask = ask(()), None
        services = list(table)
    if not services:
        return f"there is no virtual service on {address}: start ipvs-pool on this node"
    dead = _dead(table, services, min_backends, sorry)
    if ask is not None and _closes(mode, dead, services):
        dead = _dead(ask(list(dead)), list(dead), min_backends, sorry)
    return "; ".join(dead.values()) if _closes(mode, dead, services) else ""


def _closes(mode: str, dead: Mapping[VirtualService, str], services: Sequence[VirtualService]) -> bool:
    return len(dead) == len(services) if mode == ANY else bool(dead)


def _dead(
    table: Mapping[VirtualService, ProcService],
    services: Sequence[VirtualService],
    min_backends: NumberOrPercent,
    sorry: Sequence[tuple[Address, int | None]],
) -> dict[VirtualService, str]:
    """Return those of the services that are dead by this table, with the reasons."""
    sentences = {virtual: _why_dead(table, virtual, min_backends, sorry) for virtual in services}
    return {virtual: sentence for virtual, sentence in sentences.items() if sentence}


def _why_dead(
    table: Mapping[VirtualService, ProcService],
    virtual: VirtualService,
    min_backends: NumberOrPercent,
    sorry: Sequence[tuple[Address, int | None]],
) -> str:
    service = table.get(virtual)
    if service is None:
        return f"there is no virtual service {virtual}: start ipvs-pool on this node"
    reals = {
        (address, port): real
        for (address, port), real in service.reals.items()
        if (address, port) not in sorry and (address, None) not in sorry
    }
    down = [endpoint(*key) for key, real in reals.items() if real.weight <= 0]
    total = len(reals)
    alive = total - len(down)
    needed = max(1, min_backends.of(total))
    if alive >= needed:
        return ""
    if not total:
        return f"{virtual} has no backends"
    who = ", ".join(down[:SERVERS_NAMED]) + (", ..." if len(down) > SERVERS_NAMED else "")
    at_zero = f" ({who} at weight 0)" if down else ""
    if not alive:
        return f"no backend of {virtual} is alive{at_zero}"
    return f"only {alive} of {total} backends of {virtual} are alive, {needed} are needed{at_zero}"


class DeadTimes:
    """Remembers across actions when the backends were seen dead; times are seconds of the monotonic clock.

    The file lives under /run, like the clock it vanishes at a reboot. When it cannot be read or written, `warn` is
    called: no stop and no monitor may fail because /run is full or read-only.
    """

    __slots__ = ("_clock", "_file", "_warn")

    def __init__(
        self, path: str, warn: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._file = StateFile(path)
        self._warn = warn
        self._clock = clock

    def note_dead(self) -> float:
        """Note that they are dead now, and return for how many seconds they have been."""
        now = self._clock()
        since = (self._read() or {}).get("since", repr(now))
        self._note({"since": since, "last": repr(now)})
        return now - float(since)

    def note_alive(self) -> float:
        """Note that they are alive now, and return for how many seconds they have been, NEVER if they were never seen dead."""
        last = self.reset()
        return NEVER if last is None else self._clock() - last

    def reset(self) -> float | None:
        """Have the next note_dead count from zero, and return when they were last seen dead."""
        record = self._read()
        if record is None:
            return None
        if "since" in record:
            self._note({"last": record["last"]})
        return float(record["last"])

    def _read(self) -> dict[str, str] | None:
        try:
            return self._file.read()
        except OSError as error:
            self._warn(f"cannot read when the backends were dead: {self._file.path}: {error.strerror}")
            return None

    def _note(self, record: dict[str, str]) -> None:
        try:
            self._file.write(record)
        except OSError as error:
            self._warn(f"cannot note when the backends were dead: {self._file.path}: {error.strerror}")
