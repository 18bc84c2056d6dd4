"""The check types, one module each, and the choice between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocfpy.health.checks.base import Check

if TYPE_CHECKING:
    from ocfpy.health.spec import CheckSettings
    from ocfpy.ocf.addresses import Address


def make_check(address: Address, port: int, settings: CheckSettings) -> Check:
    """The check of the server at `address`, whose traffic goes to `port`."""
    # Imported when wanted: h11 and dnspython take longer than everything else in a daemon's start.
    port = settings.port or port
    if settings.type == "tcp":
        from ocfpy.health.checks.tcp import TcpCheck

        return TcpCheck(address, port, settings)
    if settings.type == "http":
        from ocfpy.health.checks.http import HttpCheck

        return HttpCheck(address, port, settings)
    if settings.type == "dns":
        from ocfpy.health.checks.dns import DnsCheck

        return DnsCheck(address, port, settings)
    raise ValueError(f"there is no check {settings.type!r}")
