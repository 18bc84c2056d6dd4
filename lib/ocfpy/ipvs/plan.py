"""Computes the changes of the kernel's IPVS table to the wanted one: a pure diff of two tables."""

from __future__ import annotations

from ocfpy.ocf.values import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from ocfpy.ipvs.model import RealServer, ServiceSettings, Table, VirtualService

ADD = "add"
EDIT = "edit"
DELETE = "delete"


class Change(Record):
    """One step: add, edit or delete a virtual service (`real` is None) or a real server of it.

    `settings` are those of the service, None when it is deleted or when the step is about a real server.
    """

    __slots__ = ("real", "settings", "verb", "virtual")

    def __init__(
        self,
        verb: str,
        virtual: VirtualService,
        settings: ServiceSettings | None = None,
        real: RealServer | None = None,
    ) -> None:
        self.verb = verb
        self.virtual = virtual
        self.settings = settings
        self.real = real

    def __str__(self) -> str:
        if self.real is not None:
            weight = f" weight {self.real.weight}" if self.verb != DELETE else ""
            return f"{self.verb} real server {self.real} of {self.virtual}{weight}"
        scheduler = f" {self.settings.scheduler}" if self.settings is not None else ""
        return f"{self.verb} virtual service {self.virtual}{scheduler}"


def plan(kernel: Table, wanted: Table, owned: AbstractSet[VirtualService] = frozenset()) -> list[Change]:
    """Return the changes that turn the kernel's entries of our services into `wanted`, in the order to make them.

    Ours are the services of `wanted` and of `owned` (what we added before); all others are left alone. A
    wanted one that another program created is adopted. Additions come first and removals last, so that no
    packet meets a service with fewer servers than it has before or after.
    """
    services: list[Change] = []
    additions: list[Change] = []
    edits: list[Change] = []
    removals: list[Change] = []
    for virtual, (settings, reals) in wanted.items():
        known_settings, known_reals = kernel.get(virtual, (None, {}))
        if known_settings != settings:
            services.append(Change(ADD if known_settings is None else EDIT, virtual, settings))
        for key, real in reals.items():
            if key not in known_reals:
                additions.append(Change(ADD, virtual, real=real))
            elif known_reals[key] != real:
                edits.append(Change(EDIT, virtual, real=real))
        gone = [real for key, real in known_reals.items() if key not in reals]
        removals += [Change(DELETE, virtual, real=real) for real in gone]
    edits.sort(key=_takes_out)
    removals += [Change(DELETE, virtual) for virtual in kernel if virtual in owned and virtual not in wanted]
    return services + additions + edits + removals


def _takes_out(change: Change) -> bool:
    return change.real is not None and change.real.weight == 0
