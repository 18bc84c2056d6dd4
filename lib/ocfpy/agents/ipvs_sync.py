"""ocf:anycast:ipvs-sync: shares the connection table of a node with the other node of its pair."""

from __future__ import annotations

import os
from _socket import if_nametoindex

from ocfpy import __version__
from ocfpy.ipvs.model import MAX_PORT, SYNC_ROLES, SyncDaemon
from ocfpy.ipvs.proc import PROC_IP_VS
from ocfpy.net.multicast import is_down, is_member
from ocfpy.ocf.addresses import Address, parse_address, parse_prefix, shown
from ocfpy.ocf.agent import Action, Agent, Status
from ocfpy.ocf.errors import ClaimedError, HostError
from ocfpy.ocf.parameters import InterfaceParam, IntParam, Parameter

MAX_TTL = 255
MAX_SYNCID = 255
"""A byte in each message (struct ip_vs_sync_mesg in net/netfilter/ipvs/ip_vs_sync.c)."""
MIN_MAXLEN = 1024
"""What the kernel sets a shorter buffer of a backup daemon to (start_sync_thread)."""
MAX_MAXLEN = 65535 - 48
"""What IPv6 and UDP leave of a packet."""
_MULTICAST = {4: parse_prefix("224.0.0.0/4"), 6: parse_prefix("ff00::/8")}


class _GroupParam(Parameter[Address]):
    """A multicast group."""

    def parse(self, text: str) -> Address:
        address = parse_address(text)
        if not address.is_host or not _MULTICAST[address.family].contains(address):
            raise ValueError(f"{shown(text)} is not a multicast group, such as 224.0.0.81 or ff02::81")
        return address


class IpvsSync(Agent):
    """The two daemons, which are threads of the kernel."""

    name = "ipvs-sync"
    provider = "anycast"
    version = __version__
    shortdesc = "IPVS connections shared by the nodes of a pair"
    longdesc = """
Runs the kernel's IPVS sync daemons, both on every node: the master sends the connections that this node forwards
to the other node, the backup receives what the other node's master sends. When an address moves, or its node dies,
its connections continue on the other node, with the same real servers. Use it as an interleaved clone.

A connection is sent with its third packet and whenever its state changes, and arrives within two seconds; it
is sent again after every 50 packets (kernel settings net.ipv4.vs.sync_threshold and sync_refresh_period). Younger
connections depend on the scheduler: mh picks the same real server on both nodes. One-packet services have no
connections to share. Messages are neither signed nor encrypted: use a network for nic that only the pair is on.

A node has one daemon of each role. A running daemon with these parameters is adopted, one with others is
replaced. The kernel does not synchronize while a real server has another address family than its virtual service.
"""
    actions = (
        Action("start", "20s"),
        Action("stop", "20s"),
        Action("monitor", "20s", interval="10s"),
    )

    example = {"nic": "eth1", "syncid": "7"}
    is_clone = True
    see_also = ("ocf_anycast_ipvs-pool(7)", "ocf_anycast_anycast-vip(7)", "ipvsadm(8)")

    nic = InterfaceParam(
        "Interface to the other node",
        "The network interface on which the messages are sent and received. It needs an address of the group's "
        "family.",
        required=True,
    )
    syncid = IntParam(
        "Sync id of the pair",
        "The same on both nodes, and another one for every other pair on the same network: a node accepts only "
        "messages with its own.",
        required=True,
        unique_group=True,
        minimum=1,
        maximum=MAX_SYNCID,
    )
    mcast_group = _GroupParam(
        "Multicast group",
        "The IPv4 or IPv6 group that the messages are sent to; the same on both nodes.",
        default="224.0.0.81",
    )
    mcast_port = IntParam(
        "UDP port",
        "The port that the messages are sent to; the same on both nodes. With the kernel's "
        "net.ipv4.vs.sync_ports above 1, the first of that many ports.",
        default=8848,
        minimum=1,
        maximum=MAX_PORT,
    )
    mcast_ttl = IntParam(
        "Time to live",
        "TTL of the sync packets; 1 keeps them on the network of nic.",
        default=1,
        minimum=1,
        maximum=MAX_TTL,
    )
    maxlen = IntParam(
        "Longest message",
        "Bytes; the same on both nodes. Unset: as much as fits a packet of 1500 bytes.",
        minimum=MIN_MAXLEN,
        maximum=MAX_MAXLEN,
    )

    proc_ip_vs = PROC_IP_VS

    def check_host(self) -> None:
        from ocfpy.ipvs.connection import require_ipvs

        require_ipvs(self.context.deadline)
        try:
            if_nametoindex(self.nic)
        except OSError:
            raise HostError(f"there is no network interface {self.nic}") from None

    def claim(self) -> dict[str, str]:
        return {
            "nic": self.nic,
            "syncid": str(self.syncid),
            "group": str(self.mcast_group),
            "port": str(self.mcast_port),
            "ttl": str(self.mcast_ttl),
            "maxlen": str(self.maxlen or 0),
        }

    def check_claim(self, claim: dict[str, str]) -> None:
        for resource, _ in self.context.other_claims(self.name):
            raise ClaimedError(
                f"resource {resource} runs the sync daemons of this node already, and a node has only one of each "
                f"role: remove one of the two resources (if there is no {resource} any more, remove "
                f"{self.context.rundir}/{self.name}-{resource}.state)"
            )

    def observe(self, claim: dict[str, str]) -> Status:
        started = self.context.state.read() is not None
        if not started and self.context.other_claims(self.name):
            return Status.stopped()
        running = self._running()
        wanted = _wanted(claim)
        faults = [fault for daemon in wanted for fault in _faults(daemon, running.get(daemon.role))]
        if not faults:
            return self._reception(wanted[0])
        # A daemon with other parameters is ours only if a start was recorded.
        if not running or (not started and len(faults) == len(wanted)):
            return Status.stopped()
        return Status.failed("; ".join(faults))

    def _reception(self, daemon: SyncDaemon) -> Status:
        """Find what keeps running daemons from hearing each other; the kernel does not report it."""
        if not is_member(daemon.group, daemon.nic):
            return Status.failed(
                f"the sync daemons do not hear {daemon.group} on {daemon.nic}: "
                "the interface was removed, or created again, since they were started"
            )
        if is_down(daemon.nic):
            return Status.degraded(f"{daemon.nic} is down: no connections are shared")
        return Status.running()

    def _running(self) -> dict[str, SyncDaemon]:
        if not os.path.exists(self.proc_ip_vs):
            return {}
        from ocfpy.ipvs.sync import SyncDaemons

        with SyncDaemons() as daemons:
            return daemons.read()

    def start(self, claim: dict[str, str]) -> None:
        from ocfpy.ipvs.sync import SyncDaemons

        with SyncDaemons() as daemons:
            running = daemons.read()
            for daemon in _wanted(claim):
                if _faults(daemon, running.get(daemon.role)) or not is_member(daemon.group, daemon.nic):
                    self.context.deadline.poll(
                        lambda daemon=daemon: daemons.start(daemon),  # type: ignore[misc]
                        f"{daemon.nic} to have an IPv{daemon.group.family} address",
                    )

    def stop(self, claim: dict[str, str]) -> None:
        from ocfpy.ipvs.sync import SyncDaemons

        started = self.context.state.read() is not None
        with SyncDaemons() as daemons:
            running = daemons.read()
            for daemon in _wanted(claim):
                if started or not _faults(daemon, running.get(daemon.role)):
                    daemons.stop(daemon.role)


def _wanted(claim: dict[str, str]) -> list[SyncDaemon]:
    return [
        SyncDaemon(
            role,
            claim["nic"],
            int(claim["syncid"]),
            parse_address(claim["group"]),
            int(claim["port"]),
            int(claim["ttl"]),
            int(claim["maxlen"]),
        )
        for role in SYNC_ROLES
    ]


def _faults(wanted: SyncDaemon, found: SyncDaemon | None) -> list[str]:
    """Return what is wrong with the daemon of a role: one sentence or none."""
    if found is None:
        return [f"the {wanted.role} daemon does not run"]
    misses = wanted.misses(found)
    return [f"the {wanted.role} daemon has {', '.join(misses)}"] if misses else []
