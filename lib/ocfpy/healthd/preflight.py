"""What must be in place on this host before a pool can start: modules, files, sysctls, and no claim of another pool."""

from __future__ import annotations

from ocfpy.checks.registry import kind_of
from ocfpy.ocf import thirdparty
from ocfpy.ocf.errors import ClaimedError, HostError, NotInstalledError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocfpy.ocf.deadline import Deadline
    from ocfpy.pool.spec import ServiceSpec


def require_schedulers(services: Iterable[ServiceSpec], deadline: Deadline) -> None:
    """Raise HostError if the kernel lacks a scheduler. Raises DeadlineError."""
    from ocfpy.ipvs.schedulers import is_missing

    names = sorted({service.settings.scheduler for service in services})
    missing = [name for name in names if is_missing(name, deadline)]
    if missing:
        modules = " ".join(f"ip_vs_{name}" for name in missing)
        raise HostError(f"this kernel has no IPVS scheduler {', '.join(missing)} (no module {modules})")


def require_module(check: str) -> None:
    """Raise NotInstalledError if the module that this check needs is not installed."""
    needs = kind_of(check).needs
    if needs is None:
        return
    from importlib.util import find_spec

    thirdparty.enable()
    module, package = needs
    if find_spec(module) is None:
        raise NotInstalledError(f"check={check} needs the Python module {module}: install package {package}")


def require_files(services: Iterable[ServiceSpec], deadline: Deadline) -> None:
    """Raise HostError if a file that a check needs is missing or unusable on this host.

    The daemon reads the files only when it checks, in threads: they may be on a file server that hangs.
    """
    from ocfpy.checks.secretfile import read_secret, secret_files

    checks = {check for service in services for check in (service.check, *service.checks.values())}
    for path in sorted({path for check in checks for path in secret_files(check).values()}):
        deadline.step = f"the secret in {path}"
        read_secret(path)
    for check in checks:
        files = check.tls_files()
        if files:
            from ocfpy.checks.options import TlsOptions
            from ocfpy.checks.tls import context_for

            deadline.step = " and ".join(files)
            context_for(TlsOptions.of(check))


def require_reply_path(services: Iterable[ServiceSpec]) -> None:
    """Raise HostError if this node would drop replies to check_via=vip probes once it holds the VIP."""
    from ocfpy.healthd.vip_probe import vip_checked
    from ocfpy.net.source import missing_local_reply_sysctls

    settings: dict[str, None] = {}
    for real in {real.address: real for _, real in vip_checked(services) if real.forward != "nat"}.values():
        try:
            settings.update(dict.fromkeys(missing_local_reply_sysctls(real.address)))
        except OSError:
            pass  # no route there: the checks will report it
    if settings:
        raise HostError(
            "check_via=vip: real servers answer from the virtual service's address, and the node that holds it drops such"
            f" replies as spoofed: set {' and '.join(settings)}"
        )


def require_unclaimed(others: Iterable[tuple[str, dict[str, str]]], claim: dict[str, str]) -> None:
    """Raise ClaimedError if another pool, by name and claim, has the same attribute or one of the same services."""
    wanted = set(claim["virtual"].split())
    for resource, record in others:
        if record.get("attribute") == claim["attribute"]:
            raise ClaimedError(
                f"resource {resource} already has the node attribute {claim['attribute']}: each pool needs its own"
            )
        shared = sorted(wanted & set(record.get("virtual", "").split()))
        if shared:
            raise ClaimedError(f"resource {resource} already has {shared[0]}: a virtual service belongs to one pool")
