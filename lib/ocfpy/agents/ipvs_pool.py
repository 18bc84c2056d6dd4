"""ocf:anycast:ipvs-pool: virtual services in the kernel's IPVS, kept true by a health daemon of their own."""

from __future__ import annotations

import time
from zlib import crc32

from ocfpy import __version__
from ocfpy.agents.ipvs_pool_config import ConfigParameters
from ocfpy.healthd.client import DEGRADED, RUNNING, STARTING, STOPPED, DaemonHangs, NoDaemon, Paths, ask, is_alive
from ocfpy.ipvs.model import parse_virtual
from ocfpy.ipvs.proc import read_proc
from ocfpy.ocf.agent import Action, Status
from ocfpy.ocf.dispatch import put_in_force
from ocfpy.ocf.errors import DeadlineError, HostError, OcfError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.pool.spec import PoolSpec

MONITOR_TIMEOUT_S = 2.0
"""How long the daemon may take to answer; it does nothing that blocks. Half of the time that is left, if that is less."""
LEAST_TIMEOUT_S = 0.1
LAST_S = 60.0
"""A daemon that is lost again within this time is a failure."""
REPLACED = "replaced"
"""In the record: when a monitor started a daemon last, seconds of the monotonic clock."""
PARAMETERS = "parameters"
"""In the record: a digest of the parameters that the daemon was told of last."""
PROBED = "probed"
"""The same of those with which Pacemaker found it running, where they were others."""
PING_TIMEOUT_S = 1.0
"""The same when it is about to be stopped: taking a busy daemon for a hanging one does no harm then."""
STOP_TIMEOUT_S = 5.0
"""How long the daemon may take to clean up before the agent does it instead."""


class IpvsPool(ConfigParameters):
    """What Pacemaker asks for, as far as it is not left to the daemon."""

    name = "ipvs-pool"
    provider = "anycast"
    version = __version__
    shortdesc = "IPVS virtual services with health-checked real servers"
    longdesc = """
Puts virtual services and their real servers into the kernel's IPVS table and starts a daemon that checks the
real servers, keeps the table true and tells the cluster, in a node attribute, how many backends are alive.

What is in the table already is adopted, and only what differs is changed, so that no packet is lost when
the daemon or the resource is started again. Services of others are never touched; what somebody changes in
ours is put right within one check_interval. A pool without a backend alive is not a failed pool: its monitor
says 190 (degraded) and why, and the attribute is 0. Use it as a clone, together with anycast-vip and a
location rule on the attribute.
"""
    actions = (
        Action("start", "60s"),
        Action("stop", "30s"),
        Action("monitor", "20s", interval="10s", depth=0),
        Action("reload-agent", "60s"),
    )

    example = {"virtual": "tcp/192.0.2.53:80", "real_servers": "10.0.0.11 10.0.0.12", "check": "http"}
    is_clone = True
    see_also = ("ocf_anycast_anycast-vip(7)", "ocf_anycast_ipvs-sync(7)", "anycastctl(8)", "ipvsadm(8)")

    @property
    def paths(self) -> Paths:
        """The daemon's files."""
        return Paths(f"{self.context.rundir}/{self.name}-{self.context.key}")

    def check_host(self) -> None:
        from ocfpy.healthd import control
        from ocfpy.ipvs.connection import require_ipvs

        require_ipvs(self.context.deadline)
        super().check_host()
        for check in self.check_types():
            control.require_module(check)
        services = self.services()
        control.require_files(services, self.context.deadline)
        control.require_reply_path(services)

    def check_claim(self, claim: dict[str, str]) -> None:
        from ocfpy.healthd import control

        control.require_unclaimed(self.context.other_claims(self.name), claim)

    def claim(self) -> dict[str, str]:
        return {"virtual": " ".join(self.virtual_services()), "attribute": self.attribute_name()}

    def observe(self, claim: dict[str, str]) -> Status:
        limit_s = max(LEAST_TIMEOUT_S, min(MONITOR_TIMEOUT_S, self.context.deadline.remaining() / 2))
        try:
            word, _, reason = ask(self.paths.socket, "monitor", limit_s).partition(" ")
        except DaemonHangs:
            return self._replaced(f"the health daemon does not answer within {round(limit_s, 1):g} s")
        except NoDaemon:
            return self._observe_leftovers(claim)
        if word in (RUNNING, DEGRADED):
            reason = self._caught_up() or reason
            return Status.degraded(reason) if reason else Status.running()
        if word == STARTING:
            return self._starting("the health daemon has no verdict on every real server yet")
        return Status.failed(reason)

    def _caught_up(self) -> str:
        """Has a monitor put in force what the daemon has not been told of; why that cannot be, empty if there is nothing.

        The parameters may have been changed while the cluster was down and the daemon went on (maintenance mode). Pacemaker's
        probe finds it running, and from then on the cluster takes the new ones for those in force. Other changes are Pacemaker's
        to carry out, as soon as it manages the resource.
        """
        state, digest = self.context.state, self._digest()
        record = state.read() or {}
        if record.get(PARAMETERS, digest) == digest:
            return ""
        if self.context.is_probe:
            state.update({PROBED: digest})
        if not self.context.interval or record.get(PROBED) != digest:
            return ""
        claim = self.claim()
        try:
            if record.get("attribute", claim["attribute"]) != claim["attribute"]:
                raise HostError("attribute is another one, which takes a restart")
            put_in_force(self, claim)
        except OcfError as error:
            return f"the parameters were changed while the cluster was down, and are not in force: {error.reason}"
        self.context.log.info("the parameters were changed while the cluster was down: they are in force now")
        return ""

    def _digest(self) -> str:
        """Tells the parameters that can be changed while the pool runs from others."""
        names = (parameter.name for parameter in self.parameters() if parameter.reloadable)
        given = sorted((name, self.context.params[name]) for name in names if self.is_set(name))
        return f"{crc32(repr(given).encode()):08x}"

    def _told(self) -> None:
        """The daemon goes by the parameters as they are."""
        self.context.state.update({PARAMETERS: self._digest()})

    def _observe_leftovers(self, claim: dict[str, str]) -> Status:
        """Without a daemon that answers the pool is stopped, unless a start left a process or something in the kernel."""
        if self.context.state.read() is None:
            return Status.stopped()
        if is_alive(self.paths):
            # Of a start that was killed, as a rule: the daemon goes on, and will have filled the table in a moment.
            return self._starting("the health daemon is there, but does not listen yet")
        ours = claim.get("virtual", "").split()
        if not _any_in_kernel(ours):
            return Status.stopped()
        return self._replaced(f"the health daemon is gone; nobody checks the real servers of {', '.join(ours)}")

    def _starting(self, fault: str) -> Status:
        """What is to be said of a daemon that has not got to its end with starting, which only a monitor's own may."""
        return Status.degraded(fault) if self._is_replaced_lately() else Status.failed(fault)

    def _replaced(self, fault: str) -> Status:
        """What is to be said of a daemon that is lost, and in a monitor another one in its place.

        That one adopts the table, and no client notices; the restart that a failure leads to would take the services
        out of the kernel, and the addresses off the node. A daemon that does not last is left to Pacemaker.
        """
        if not self.context.interval or self._is_replaced_lately():
            return Status.failed(fault)
        from ocfpy.healthd import control

        self.context.state.update({REPLACED: repr(time.monotonic())})
        try:
            control.spawn(self.paths, self._spec_in_force(), self.context.deadline)
        except DeadlineError:
            pass  # it goes on, and has the table as it was
        except OcfError as error:
            return Status.failed(f"{fault}, and another one does not start: {error.reason}")
        return Status.degraded(f"{fault.partition(';')[0]}: another one has taken its place")

    def _spec_in_force(self) -> PoolSpec:
        """What the lost daemon was told: a file that `config` names may have been edited since, and nobody has looked at it."""
        from ocfpy.pool.spec import read_spec

        try:
            return read_spec(self.paths.spec)
        except (OSError, ValueError):  # an older version's
            return self.spec()

    def _is_replaced_lately(self) -> bool:
        record = self.context.state.read() or {}
        return time.monotonic() - float(record.get(REPLACED, "-inf")) < LAST_S

    def spec(self) -> PoolSpec:
        """What the daemon is told."""
        from ocfpy.pool.spec import PoolSpec

        loaded = self.loaded() if self.config else None
        return PoolSpec(
            resource=self.context.resource,
            services=self.services(),
            attribute=self.attribute_name(),
            dampen=f"{round(self.dampen * 1000)}ms",
            drain_dir=(loaded and loaded.maintenance_dir) or self.drain_dir,
            drain_hosts=loaded.host_names if loaded else (),
            config=self.config if loaded and loaded.autoreload else "",
            config_digest=loaded.digest if loaded else "",
        )

    def start(self, claim: dict[str, str]) -> None:
        from ocfpy.healthd import control

        control.spawn(self.paths, self.spec(), self.context.deadline)
        self._told()

    def stop(self, claim: dict[str, str]) -> None:
        from ocfpy.healthd import control
        from ocfpy.pool.spec import virtual_in

        paths, deadline = self.paths, self.context.deadline
        try:
            ask(paths.socket, "monitor", PING_TIMEOUT_S)
            answer = ask(paths.socket, "stop", min(STOP_TIMEOUT_S, deadline.remaining() / 2))
        except (NoDaemon, DaemonHangs):
            answer = ""
        if answer != STOPPED:
            if answer:
                self.context.log.warning(f"the health daemon could not clean up: {answer}")
            control.kill(paths, deadline)
            words = dict.fromkeys([*claim.get("virtual", "").split(), *virtual_in(paths.spec)])
            virtual = [parse_virtual(word) for word in words]
            control.clean_up(virtual, claim.get("attribute", ""), deadline, self.context.log)
        control.close_paths(paths)  # a daemon does not know of those that it could not open to the end
        control.remove_files(paths, deadline)

    def reload_agent(self, claim: dict[str, str]) -> None:
        from ocfpy.healthd import control

        def check() -> None:
            self.check_host()
            # dispatch has written the record already: of two that want the same, one sees the other here.
            with self.context.lock(self.name):
                self.check_claim(claim)

        state, deadline = self.context.state, self.context.deadline
        control.reload(state, claim, self.paths, self.spec(), check, deadline)
        self._told()


def _any_in_kernel(ours: list[str]) -> bool:
    """Whether the kernel has one of the virtual services. Raises OcfError."""
    marks = [word for word in ours if parse_virtual(word).proto is None]
    try:
        found = read_proc(only=lambda virtual: str(virtual) in ours or bool(marks and virtual.proto is None))
    except FileNotFoundError:
        return False
    if any(virtual.proto is None and not service.reals for virtual, service in found.items()):
        # /proc does not say of which family one without real servers is, and the other one may be another pool's.
        from ocfpy.ipvs.table import IpvsTable

        with IpvsTable() as table:
            return bool(table.read(lambda virtual: str(virtual) in ours))
    return any(str(virtual) in ours for virtual in found)
