"""The check types: one module each, the registry of what they are, and the making of a check."""

from __future__ import annotations

from ocfpy.health.checks.registry import kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.health.checks.base import Check
    from ocfpy.health.spec import CheckSettings
    from ocfpy.ipvs.model import VirtualService
    from ocfpy.ocf.addresses import Address


def make_check(
    address: Address,
    port: int,
    settings: CheckSettings,
    virtual: VirtualService | None = None,
    mark: int = 0,
) -> Check:
    """The check of the server at `address`, whose traffic goes to `port`.

    `virtual` is the service that it is checked for, where the type is one `per_service`; `mark` the firewall mark
    that everything it sends has, 0 for none. Raises OcfError when this host cannot make such a check, and ValueError.
    """
    from importlib import import_module

    if settings.connects:
        from ocfpy.health.checks.combined import combined

        return combined(address, port, settings, virtual, mark)
    kind = kind_of(settings.type)
    if not kind.module:
        raise ValueError(f"check={kind.name} checks nothing")
    # Imported when wanted: h11 and dnspython take longer than everything else in a daemon's start.
    module = import_module(f"{__name__}.{kind.module}")
    check: Check = getattr(module, kind.class_name)(address, settings.port_of(port), settings)
    check.virtual = virtual
    check.mark = mark
    return check
