"""IPVS of a kernel in memory, behind the socket that the real one is behind; it fails as ip_vs_ctl.c does.

Whether it does is for tests/lab/kernel to show, with a real kernel.
"""

from __future__ import annotations

import struct
from collections import deque
from errno import EADDRNOTAVAIL, EEXIST, ENODEV, ENOENT, EPERM, ESRCH
from typing import Any

from ocfpy.ipvs import messages
from ocfpy.ipvs.model import SyncDaemon, Table, Timeouts, VirtualService
from ocfpy.net import genetlink, netlink

FAMILY_ID = 0x23
HEADER = struct.Struct("=IHHII")


class FakeKernel:
    """Takes the place of a socket; `table` is what the kernel holds."""

    def __init__(
        self, table: Table | None = None, schedulers: tuple[str, ...] = ("rr", "wlc", "mh", "sh")
    ) -> None:
        self.table: Table = dict(table or {})
        self.timeouts = Timeouts(900, 120, 300)
        self.daemons: dict[str, SyncDaemon] = {}
        self.nics: tuple[str, ...] = ("eth0", "eth1")
        self.has_address = True
        self.schedulers = schedulers
        self.has_ipvs = True
        self.is_root = True
        self.sends: list[int] = []
        self.changed: list[int] = []  # the commands that were to change something
        self.closed = False
        self._answers: deque[bytes] = deque()

    def setsockopt(self, *_: object) -> None:
        pass

    def settimeout(self, seconds: float) -> None:
        assert 0 < seconds < 60

    def bind(self, address: object) -> None:
        assert address == (0, 0)

    def close(self) -> None:
        self.closed = True

    def sendto(self, data: bytes, address: object) -> None:
        offset = count = 0
        while offset < len(data):
            length, kind, flags, sequence, _ = HEADER.unpack_from(data, offset)
            self._handle(kind, flags, sequence, bytes(data[offset + HEADER.size : offset + length]))
            offset += (length + 3) & ~3
            count += 1
        self.sends.append(count)

    def recv(self, size: int) -> bytes:
        assert self._answers, "a real kernel would have nothing to say"
        return self._answers.popleft()

    def _handle(self, kind: int, flags: int, sequence: int, body: bytes) -> None:
        if kind == genetlink.GENL_ID_CTRL:
            self._family(sequence)
            return
        if not self.is_root:
            self._error(sequence, EPERM)
        elif body[0] == messages.CMD_GET_CONFIG:
            self._say(_timeouts(self.timeouts), FAMILY_ID, sequence)
        elif flags & netlink.NLM_F_DUMP == netlink.NLM_F_DUMP:
            self._dump(body, sequence)
        elif body[0] == messages.CMD_GET_SERVICE:
            self._service(messages.key_of(body), sequence)
        else:
            self.changed.append(body[0])
            errno = self._change(body)
            if errno or flags & netlink.NLM_F_ACK:
                self._error(sequence, errno)

    def _family(self, sequence: int) -> None:
        if not self.has_ipvs:
            self._error(sequence, ENOENT)
            return
        family_id = netlink.attribute(genetlink.CTRL_ATTR_FAMILY_ID, struct.pack("=H", FAMILY_ID))
        self._say(struct.pack("=BBH", 1, 2, 0) + family_id, genetlink.GENL_ID_CTRL, sequence)

    def _service(self, virtual: VirtualService, sequence: int) -> None:
        if virtual in self.table:
            self._say(_counted(messages.message(1, virtual, self.table[virtual][0])), FAMILY_ID, sequence)
        else:
            self._error(sequence, ESRCH)

    def _dump(self, body: bytes, sequence: int) -> None:
        if body[0] == messages.CMD_GET_SERVICE:
            for virtual, (settings, _) in self.table.items():
                self._say(_counted(messages.message(1, virtual, settings)), FAMILY_ID, sequence)
        elif body[0] == messages.CMD_GET_DAEMON:
            for role, daemon in self.daemons.items():
                self._say(messages.daemon_message(messages.CMD_NEW_DAEMON, role, daemon), FAMILY_ID, sequence)
        else:
            virtual = messages.key_of(body)
            for real in self.table.get(virtual, (None, {}))[1].values():
                self._say(_counted(messages.message(5, real=real)), FAMILY_ID, sequence)
        self._say(bytes(4), netlink.NLMSG_DONE, sequence)

    def _change_daemon(self, body: bytes) -> int:
        if body[0] == messages.CMD_DEL_DAEMON:
            return 0 if self.daemons.pop(messages.role_of(body), None) else ESRCH
        daemon = messages.daemon_of(body)
        if daemon.role in self.daemons:
            return EEXIST
        if daemon.nic not in self.nics:
            return ENODEV
        if not self.has_address:
            return EADDRNOTAVAIL
        # Without a wish, what fits 1500 bytes beside the headers of IP and UDP.
        self.daemons[daemon.role] = daemon.replace(maxlen=daemon.maxlen or 1472)
        return 0

    def _change(self, body: bytes) -> int:
        if body[0] in (messages.CMD_NEW_DAEMON, messages.CMD_DEL_DAEMON):
            return self._change_daemon(body)
        virtual = messages.key_of(body)
        known = virtual in self.table
        command = body[0]
        if not known and command != messages.CMD_NEW_SERVICE:
            return ESRCH
        if command == messages.CMD_DEL_SERVICE:
            del self.table[virtual]
            return 0
        if command in (messages.CMD_NEW_SERVICE, messages.CMD_SET_SERVICE):
            if known and command == messages.CMD_NEW_SERVICE:
                return EEXIST
            _, settings = messages.service_of(body)
            if settings.scheduler not in self.schedulers:
                return ENOENT
            self.table[virtual] = settings, self.table[virtual][1] if known else {}
            return 0
        return self._change_real(command, self.table[virtual][1], messages.real_of(body, virtual.family))

    def _change_real(self, command: int, reals: Any, real: Any) -> int:
        if command == messages.CMD_NEW_DEST and real.key in reals:
            return EEXIST
        if command != messages.CMD_NEW_DEST and real.key not in reals:
            return ENOENT
        if command == messages.CMD_DEL_DEST:
            del reals[real.key]
        else:
            reals[real.key] = real
        return 0

    def _say(self, body: bytes, kind: int, sequence: int) -> None:
        self._answers.append(netlink.message(kind, 0, sequence, body))

    def _error(self, sequence: int, errno: int) -> None:
        body = struct.pack("=i", -errno) + HEADER.pack(16, FAMILY_ID, 0, sequence, 0)
        self._say(body, netlink.NLMSG_ERROR, sequence)


def _timeouts(timeouts: Timeouts) -> bytes:
    seconds = {
        messages.CMD_ATTR_TIMEOUT_TCP: timeouts.tcp,
        messages.CMD_ATTR_TIMEOUT_TCP_FIN: timeouts.tcp_fin,
        messages.CMD_ATTR_TIMEOUT_UDP: timeouts.udp,
    }
    packed = (netlink.attribute(kind, struct.pack("=I", value)) for kind, value in seconds.items())
    return messages.genl_message(messages.CMD_GET_CONFIG, b"".join(packed))


def _counted(body: bytes) -> bytes:
    """A message about a service or a real server, with what has been counted: seven connections."""
    ((part, value),) = netlink.attributes(body[4:]).items()
    counters = b"".join(
        netlink.attribute(kind, struct.pack("=Q", 7 if kind == 1 else 0)) for kind in range(1, 11)
    )
    # IPVS_SVC_ATTR_STATS64 and IPVS_DEST_ATTR_STATS64 have the same number.
    return body[:4] + netlink.attribute(part, value + netlink.attribute(messages.SVC_ATTR_STATS64, counters))
