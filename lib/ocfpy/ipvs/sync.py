"""The kernel's sync daemons, at most one of each role: listing, starting and stopping them."""

from __future__ import annotations

import os
from errno import EADDRNOTAVAIL, EEXIST, EINVAL, ENODEV, EPERM, ESRCH

from ocfpy.ipvs import messages
from ocfpy.ipvs.connection import Connected
from ocfpy.ocf.errors import HostError, PermissionDeniedError, ServiceError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.ipvs.model import SyncDaemon
    from ocfpy.ocf.errors import OcfError


class SyncDaemons(Connected):
    """The sync daemons of this network namespace."""

    def read(self) -> dict[str, SyncDaemon]:
        """The daemons that run, by role."""
        request = messages.genl_message(messages.CMD_GET_DAEMON)
        daemons = [messages.daemon_of(answer) for answer in self._netlink.dump(request)]
        return {daemon.role: daemon for daemon in daemons}

    def start(self, daemon: SyncDaemon) -> bool:
        """Start a daemon, replacing another of its role; return False while the interface has no address to send from.

        An IPv6 address cannot be used for the first seconds of an interface's life. Raises OcfError.
        """
        self.stop(daemon.role)
        errno = self._request(messages.daemon_message(messages.CMD_NEW_DAEMON, daemon.role, daemon))
        if errno not in (0, EADDRNOTAVAIL):
            raise _refused(daemon, errno)
        return not errno

    def stop(self, role: str) -> None:
        """Stop the daemon of that role; it may be gone already. Raises OcfError."""
        errno = self._request(messages.daemon_message(messages.CMD_DEL_DAEMON, role))
        if errno not in (0, ESRCH):
            raise ServiceError(f"cannot stop the {role} daemon: {os.strerror(errno)}")

    def _request(self, request: bytes) -> int:
        errno = self._netlink.request([request]).get(0, 0)
        if errno == EPERM:
            raise PermissionDeniedError("changing IPVS requires root (CAP_NET_ADMIN)")
        return errno


def _refused(daemon: SyncDaemon, errno: int) -> OcfError:
    """Translate an error of start_sync_thread and ip_vs_genl_new_daemon (net/netfilter/ipvs)."""
    what = f"cannot start the {daemon.role} daemon"
    if errno == ENODEV:
        return HostError(f"{what}: {daemon.nic} does not exist, or cannot join {daemon.group}")
    if errno == EINVAL:
        return HostError(
            f"{what}: the kernel does not synchronize while a real server has another address "
            "family than its virtual service (forward=tunnel)"
        )
    if errno == EEXIST:
        return ServiceError(f"{what}: another process started one just now")
    return ServiceError(f"{what} on {daemon.nic}: {os.strerror(errno)}")
