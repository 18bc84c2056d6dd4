"""The kernel's IPVS table: reads it whole, and makes changes."""

from __future__ import annotations

import os
from errno import EAFNOSUPPORT, EEXIST, ENOENT, EPERM, ESRCH

from ocfpy.ipvs import messages
from ocfpy.ipvs.connection import Connected
from ocfpy.ipvs.model import by_key
from ocfpy.ipvs.plan import ADD, DELETE, EDIT, Change
from ocfpy.ocf import codes
from ocfpy.ocf.errors import OcfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Callable

    from ocfpy.ipvs.model import RealKey, RealServer, ServiceSettings, Table, Timeouts, Traffic, VirtualService

_SERVICE_COMMANDS = {
    ADD: messages.CMD_NEW_SERVICE,
    EDIT: messages.CMD_SET_SERVICE,
    DELETE: messages.CMD_DEL_SERVICE,
}
_DEST_COMMANDS = {
    ADD: messages.CMD_NEW_DEST,
    EDIT: messages.CMD_SET_DEST,
    DELETE: messages.CMD_DEL_DEST,
}


class IpvsError(OcfError):
    """The kernel refused a change; `failures` has all of them with their errno, `change` the first."""

    def __init__(self, failures: Sequence[tuple[Change, int]]) -> None:
        self.failures = tuple(failures)
        self.change, self.errno = failures[0]
        self.code, sentence = _explained(self.change, self.errno)
        more = f" (and {len(failures) - 1} more changes failed)" if len(failures) > 1 else ""
        super().__init__(sentence + more)


class IpvsTable(Connected):
    """The IPVS table of this network namespace."""

    def read(self, only: Callable[[VirtualService], bool] | None = None) -> Table:
        """Return all services with their real servers, or those for which `only` is true; only their real servers are read."""
        answers = self._netlink.dump(messages.message(messages.CMD_GET_SERVICE))
        services = [messages.service_of(answer) for answer in answers if only is None or only(messages.key_of(answer))]
        return {virtual: (settings, self._reals(virtual)) for virtual, settings in services}

    def read_services(self, virtuals: Iterable[VirtualService]) -> Table:
        """Return those of these services that the kernel has, with their real servers.

        Each is looked up by its key (ip_vs_genl_get_cmd), so unlike a list of all services the answer does not depend on
        other services that are added and removed meanwhile.
        """
        return {virtual: (found, self._reals(virtual)) for virtual, found in self._settings_of(virtuals).items()}

    def has(self, virtuals: Iterable[VirtualService]) -> list[VirtualService]:
        """Return those of these services that the kernel has; it looks each up by its key."""
        return list(self._settings_of(virtuals))

    def _settings_of(self, virtuals: Iterable[VirtualService]) -> dict[VirtualService, ServiceSettings]:
        found = {}
        for virtual in virtuals:
            try:
                answer = self._netlink.get(messages.message(messages.CMD_GET_SERVICE, virtual))
            except OSError as error:
                # ESRCH: there is no such service; EAFNOSUPPORT: nor can there be, without CONFIG_IP_VS_IPV6.
                if error.errno not in (ESRCH, EAFNOSUPPORT):
                    raise
            else:
                found[virtual] = messages.service_of(answer)[1]
        return found

    def connections(self, virtual: VirtualService) -> dict[RealKey, tuple[int, int]]:
        """Return the connections of each real server, see messages.connections_of; empty if there is no such service."""
        request = messages.message(messages.CMD_GET_DEST, virtual)
        busy = {}
        for answer in self._netlink.dump(request):
            busy[messages.real_of(answer, virtual.family).key] = messages.connections_of(answer)
        return busy

    def traffic(self) -> dict[VirtualService, tuple[Traffic, dict[RealKey, Traffic]]]:
        """Return the counters of every service and each of its real servers."""
        found = {}
        for answer in self._netlink.dump(messages.message(messages.CMD_GET_SERVICE)):
            found[messages.key_of(answer)] = messages.traffic_of(answer)
        return {virtual: (traffic, self._traffic_of_reals(virtual)) for virtual, traffic in found.items()}

    def timeouts(self) -> Timeouts:
        """Return when connections are forgotten, for all services of this network namespace."""
        return messages.timeouts_of(self._netlink.get(messages.genl_message(messages.CMD_GET_CONFIG)))

    def apply(self, changes: Sequence[Change]) -> None:
        """Make all changes that can be made; raise IpvsError for the others.

        Changes that another process made in the meantime are handled: adding an existing entry edits it, editing a missing one
        adds it, deleting a missing one does nothing.
        """
        failures = self._attempt(changes)
        again = [_other_way(change, errno) for change, errno in failures]
        if again != [change for change, _ in failures]:
            failures = self._attempt(again)
        if failures:
            raise IpvsError(_root_causes(failures))

    def _reals(self, virtual: VirtualService) -> dict[RealKey, RealServer]:
        request = messages.message(messages.CMD_GET_DEST, virtual)
        return by_key(messages.real_of(answer, virtual.family) for answer in self._netlink.dump(request))

    def _traffic_of_reals(self, virtual: VirtualService) -> dict[RealKey, Traffic]:
        answers = self._netlink.dump(messages.message(messages.CMD_GET_DEST, virtual))
        return {messages.real_of(answer, virtual.family).key: messages.traffic_of(answer) for answer in answers}

    def _attempt(self, changes: Sequence[Change]) -> list[tuple[Change, int]]:
        """Make the changes; return the failed ones with their errno, in order."""
        failed = self._netlink.request([_message(change) for change in changes])
        failures = [(changes[position], errno) for position, errno in sorted(failed.items())]
        return [failure for failure in failures if not _is_done(*failure)]


def _message(change: Change) -> bytes:
    commands = _SERVICE_COMMANDS if change.real is None else _DEST_COMMANDS
    return messages.message(commands[change.verb], change.virtual, change.settings, change.real)


def _is_done(change: Change, errno: int) -> bool:
    return change.verb == DELETE and errno in (ENOENT, ESRCH)


def _other_way(change: Change, errno: int) -> Change:
    """Return the change to make instead when the table has changed since this one was planned; otherwise this one."""
    # ip_vs_genl_set_cmd: ESRCH is a missing service, ENOENT a missing real server or scheduler.
    gone = (ESRCH,) if change.real is None else (ESRCH, ENOENT)
    if change.verb == ADD and errno == EEXIST:
        return change.replace(verb=EDIT)
    if change.verb == EDIT and errno in gone:
        return change.replace(verb=ADD)
    return change


def _root_causes(failures: Sequence[tuple[Change, int]]) -> list[tuple[Change, int]]:
    """Leave out real servers of services that failed themselves."""
    services = {change.virtual for change, _ in failures if change.real is None}
    return [failure for failure in failures if failure[0].real is None or failure[0].virtual not in services]


def _explained(change: Change, errno: int) -> tuple[int, str]:
    """Return exit code and sentence for a refused change."""
    if errno == EPERM:
        return codes.OCF_ERR_PERM, f"not allowed to {change}: changing IPVS requires root (CAP_NET_ADMIN)"
    if errno == ENOENT and change.settings is not None:
        scheduler, engine = change.settings.scheduler, change.settings.engine
        or_engine = f", or no persistence engine {engine!r} (modprobe ip_vs_pe_{engine})" if engine else ""
        return codes.OCF_ERR_ARGS, (
            f"cannot {change}: the kernel has no IPVS scheduler {scheduler!r} (modprobe ip_vs_{scheduler})"
            + or_engine
        )
    if errno == ESRCH:
        return codes.OCF_ERR_GENERIC, f"cannot {change}: another process removed {change.virtual} just now"
    return codes.OCF_ERR_GENERIC, f"cannot {change}: {os.strerror(errno)}"
