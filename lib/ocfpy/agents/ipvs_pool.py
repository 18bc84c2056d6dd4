"""ocf:anycast:ipvs-pool: virtual services in the kernel's IPVS, kept true by the health daemon of the node."""

from __future__ import annotations

from zlib import crc32

from ocfpy import __version__
from ocfpy.agents.ipvs_pool_config import ConfigParameters
from ocfpy.healthd.client import (
    DEGRADED,
    OTHER_VERSION,
    RUNNING,
    UNKNOWN,
    DaemonHangs,
    NoDaemon,
    Node,
    Paths,
    ask,
    is_alive,
)
from ocfpy.ipvs.model import parse_virtual
from ocfpy.ipvs.presence import present
from ocfpy.ocf.agent import Action, Status
from ocfpy.ocf.deadline import Deadline
from ocfpy.ocf.dispatch import put_in_force
from ocfpy.ocf.errors import HostError, OcfError
from ocfpy.ocf.lifecycle import await_unclaimed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.pool.spec import PoolSpec

MONITOR_TIMEOUT_S = 2.0
"""How long the daemon may take to answer; it does nothing that blocks. Half of the time that is left, if that is less."""
LEAST_TIMEOUT_S = 0.1
PARAMETERS = "parameters"
"""In the record: a digest of the parameters that the daemon was told of last."""
PROBED = "probed"
"""The same of those with which Pacemaker found it running, where they were others."""


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
        """The pool's files."""
        return Node(self.context.rundir).pool(self.context.key)

    def check_host(self) -> None:
        super().check_host()
        from ocfpy.healthd import preflight
        from ocfpy.ipvs.connection import require_ipvs

        require_ipvs(self.context.deadline)
        super().check_host()
        for check in self.check_types():
            preflight.require_module(check)
        services = self.services()
        preflight.require_files(services, self.context.deadline)
        preflight.require_reply_path(services)

    def check_claim(self, claim: dict[str, str]) -> None:
        from ocfpy.healthd import preflight

        preflight.require_unclaimed(self.context.other_claims(self.name), claim)

    def claim(self) -> dict[str, str]:
        return {"virtual": " ".join(self.virtual_services()), "attribute": self.attribute_name()}

    def observe(self, claim: dict[str, str]) -> Status:
        fault = ""
        try:
            word, reason = self._asked()
        except DaemonHangs:
            fault = "the health daemon does not answer"
        except NoDaemon:
            fault = "the health daemon is gone"
        else:
            if word in (RUNNING, DEGRADED):
                reason = self._apply_pending_parameters() or reason
                return Status.degraded(reason) if reason else Status.running()
            if word == OTHER_VERSION:
                fault = f"the health daemon is of version {reason}"
            elif word == UNKNOWN:
                return self._observe_leftovers(claim, "the health daemon does not run this pool")
            else:
                return Status.failed(reason)
        if self.context.interval and self.context.state.read() is not None:
            return self._with_daemon_replaced(fault)
        return self._observe_leftovers(claim, fault)

    def _asked(self, timeout_s: float = MONITOR_TIMEOUT_S) -> tuple[str, str]:
        """The first word of what the daemon says of the pool, and the reason. Raises NoDaemon, DaemonHangs."""
        limit_s = max(LEAST_TIMEOUT_S, min(timeout_s, self.context.deadline.remaining() / 2))
        paths = self.paths
        word, _, reason = ask(paths.node.socket, f"monitor {paths.key} {__version__}", limit_s).partition(" ")
        return word, reason

    def _with_daemon_replaced(self, fault: str) -> Status:
        """What a monitor says that has found the daemon lost, and another one in its place.

        That one adopts the tables of all pools, and no client notices; the restart that a failure leads to would take the
        services out of the kernel, and the addresses off the node.
        """
        from ocfpy.healthd.lifecycle import ANSWERS_AGAIN_S, STARVED_S, ensure_daemon

        try:
            started = ensure_daemon(self.paths.node, self.context.deadline, self.context.log, ANSWERS_AGAIN_S)
            word, reason = self._asked(STARVED_S)
        except OcfError as error:
            return Status.failed(f"{fault}, and another one does not start: {error.reason}")
        except (NoDaemon, DaemonHangs):
            return Status.failed(f"{fault}, and so is the one that was started in its place: the system log may say why")
        if word in (RUNNING, DEGRADED):
            return Status.degraded(f"{fault}: another one has taken its place") if started else Status.running()
        return Status.failed(f"{fault}, and the next one says: {word} {reason}")

    def _observe_leftovers(self, claim: dict[str, str], fault: str) -> Status:
        """Where no daemon answers for the pool it is stopped, unless a start left a daemon or something in the kernel."""
        if self.context.state.read() is None:
            return Status.stopped()
        if fault.endswith("is gone") and is_alive(self.paths.node):
            # Of a start that was killed, as a rule: the daemon goes on, and will have filled the table in a moment.
            return Status.failed("the health daemon is there, but does not listen yet")
        ours = claim.get("virtual", "").split()
        if not present(list(map(parse_virtual, ours))) and not self._is_wanted():
            return Status.stopped()
        return Status.failed(f"{fault}; the real servers of {', '.join(ours)} are not checked")

    def _is_wanted(self) -> bool:
        """Whether the pool's file is there, by which the next daemon would run it."""
        import os

        return os.path.exists(self.paths.spec)

    def _apply_pending_parameters(self) -> str:
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

    def _record_applied(self) -> None:
        """The daemon goes by the parameters as they are."""
        self.context.state.update({PARAMETERS: self._digest()})

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
            command_user=(loaded and self.check_command_user) or "",
        )

    def start(self, claim: dict[str, str]) -> None:
        from ocfpy.healthd import pool_control

        pool_control.start(self.paths, self.spec(), self.context.deadline, self.context.log)
        self._record_applied()

    def stop(self, claim: dict[str, str]) -> None:
        from ocfpy.healthd import pool_control

        pool_control.stop(self.paths, claim, self.context.deadline, self.context.log)

    def transitional_claim(self, claim: dict[str, str]) -> dict[str, str]:
        from ocfpy.healthd import pool_control

        return pool_control.transitional(self.paths, claim)

    def reload_agent(self, claim: dict[str, str]) -> None:
        from ocfpy.healthd import pool_control

        def check() -> None:
            # The record is written already: of two pools that want the same, one sees the other here.
            # A monitor does not wait for the other one: the next monitor looks again.
            await_unclaimed(self, claim, Deadline(0.0 if context.interval else context.deadline.remaining() / 2))
            self.check_host()

        context = self.context
        pool_control.reload(context.state, claim, self.paths, self.spec(), check, context.deadline, context.log)
        self._record_applied()
