"""What must be in place on this host before a pool can start: modules, files, replies, and no other pool's claim."""

from __future__ import annotations

from ocfpy.checks.registry import kind_of
from ocfpy.ocf import thirdparty
from ocfpy.ocf.errors import ClaimedError, HostError, NotInstalledError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocfpy.ocf.deadline import Deadline
    from ocfpy.pool.spec import ServiceSpec


def require_module(check: str) -> None:
    """Raises NotInstalledError when the module that such a check needs is not installed."""
    needs = kind_of(check).needs
    if needs is None:
        return
    from importlib.util import find_spec

    thirdparty.enable()
    module, package = needs
    if find_spec(module) is None:
        raise NotInstalledError(f"check={check} needs the Python module {module}: install package {package}")


def require_files(services: Iterable[ServiceSpec], deadline: Deadline) -> None:
    """Raises HostError when this host has not a file that a check takes, or it cannot be used.

    The daemon reads them only when it checks, in threads: they may be on a file server that is gone.
    """
    from ocfpy.checks.secretfile import read_secret, secret_files

    checks = {check for service in services for check in (service.check, *service.checks.values())}
    for path in sorted({path for check in checks for path in secret_files(check).values()}):
        deadline.step = f"the secret in {path}"
        read_secret(path)
    for check in checks:
        files = check.tls_files()
        if files:
            from ocfpy.checks.tls import context_for

            deadline.step = " and ".join(files)
            context_for(check)


def require_reply_path(services: Iterable[ServiceSpec]) -> None:
    """Raises HostError when this host, once it has the addresses, would not hear the answers to checks by way of them."""
    from ocfpy.healthd.vip_probe import vip_checked
    from ocfpy.net.source import missing_local_reply_sysctls

    settings: dict[str, None] = {}
    for real in {real.address: real for _, real in vip_checked(services) if real.forward != "nat"}.values():
        try:
            settings.update(dict.fromkeys(missing_local_reply_sysctls(real.address)))
        except OSError:
            pass  # no way there: that is for the checks to say
    if settings:
        raise HostError(
            "check_via=vip: real servers answer from the virtual service's address, and the node that has it takes that"
            f" for forged: set {' and '.join(settings)}"
        )


def require_unclaimed(others: Iterable[tuple[str, dict[str, str]]], claim: dict[str, str]) -> None:
    """Raises ClaimedError when one of the other pools, by name and record, has the claim's attribute or a service of it."""
    wanted = set(claim["virtual"].split())
    for resource, record in others:
        if record.get("attribute") == claim["attribute"]:
            raise ClaimedError(
                f"resource {resource} already has the node attribute {claim['attribute']}: it would say the one pool is alive"
                " when the other is, so each pool needs its own"
            )
        shared = sorted(wanted & set(record.get("virtual", "").split()))
        if shared:
            raise ClaimedError(f"resource {resource} already has {shared[0]}: a virtual service belongs to one pool")
