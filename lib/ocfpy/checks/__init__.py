"""The check types: one module each, their registry, and the function that creates a check."""

from __future__ import annotations

from ocfpy.checks.registry import kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.checks.base import Check
    from ocfpy.checks.provider import Provider, VipPath
    from ocfpy.checks.settings import CheckSettings
    from ocfpy.ipvs.model import VirtualService
    from ocfpy.ocf.addresses import Address


def make_check(
    address: Address,
    port: int,
    settings: CheckSettings,
    virtual: VirtualService | None = None,
    way: VipPath | None = None,
    provider: Provider | None = None,
) -> Check:
    """Return the check of the server at `address`, whose traffic goes to `port`.

    `virtual` is the service that the server is checked for, if the type is `per_service`; `way` is for a check of
    the service's own address, which is then `address`. `provider` supplies what the check needs from its node.
    Raises OcfError when this host cannot make the check, and ValueError.
    """
    from importlib import import_module

    if settings.connects:
        from ocfpy.checks.combined import CombinedCheck, split

        whole, connection = (make_check(address, port, part, virtual, way, provider) for part in split(settings, port))
        return CombinedCheck(whole, connection, settings.connects)
    kind = kind_of(settings.type)
    if not kind.module:
        raise ValueError(f"check={kind.name} checks nothing")
    # Imported on demand: h11 and dnspython take longer than everything else in a daemon's start.
    module = import_module(f"{__name__}.{kind.module}")
    check: Check = getattr(module, kind.class_name)(address, settings.port_of(port), settings)
    check.virtual = virtual
    check.way = way
    if provider is not None:
        check.provider = provider
    return check
