"""ocf:anycast:ipvs-pool: virtual services in the kernel's IPVS, maintained by the health daemon of the node."""

from __future__ import annotations

from zlib import crc32

from ocfpy import __version__
from ocfpy.agents.ipvs_pool_build import PoolBuild
from ocfpy.agents.ipvs_pool_config import PoolConfig, PoolParameters
from ocfpy.agents.ipvs_pool_validation import faults_of, warnings_of
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
from ocfpy.ocf.agent import Action, Agent, Status
from ocfpy.ocf.deadline import Deadline
from ocfpy.ocf.dispatch import put_in_force
from ocfpy.ocf.errors import HostError, OcfError
from ocfpy.ocf.lifecycle import await_unclaimed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocfpy.healthd.trusted_files import Running
    from ocfpy.pool.spec import PoolSpec

MONITOR_TIMEOUT_S = 2.0
"""How long the daemon may take to answer; it does nothing that blocks. Half of the time left, if that is less."""
LEAST_TIMEOUT_S = 0.1
PARAMETERS = "parameters"
"""In the claim file: a digest of the parameters that the daemon was last told of."""
_READS = ("start", "reload-agent", "validate-all")
"""The actions that read an ldirectord.cf. Monitor, stop and probe use what start recorded."""
PROBED = "probed"
"""The same of the parameters with which Pacemaker found it running, if they differ."""


class IpvsPool(Agent, PoolParameters):
    """What the cluster wants, as far as the daemon needs to know it."""

    name = "ipvs-pool"
    provider = "anycast"
    version = __version__
    shortdesc = "IPVS virtual services with health-checked real servers"
    longdesc = """
Adds virtual services and their real servers to the kernel's IPVS table and starts a daemon that checks the
real servers, maintains the table and publishes the number of live backends in a node attribute.

Existing entries of the table are adopted, and only differences are changed, so that no packet is lost when the
daemon or the resource is restarted. Virtual services of other programs are never touched; external changes of
the pool's own services are reverted within one check_interval. A pool without a live backend has not failed:
its monitor returns 190 (degraded) with the reason, and the attribute is 0. Use it as a clone, together with
anycast-vip and a location rule on the attribute.
"""
    actions = (
        Action("start", "60s"),
        Action("stop", "30s"),
        Action("monitor", "20s", interval="10s", depth=0),
        Action("reload-agent", "60s"),
    )

    example = {"virtual": "tcp/192.0.2.53:80", "real_servers": "10.0.0.11 10.0.0.12", "check": "http"}
    is_clone = True
    _build: PoolBuild | None = None
    see_also = ("ocf_anycast_anycast-vip(7)", "ocf_anycast_ipvs-sync(7)", "anycastctl(8)", "ipvsadm(8)")

    @property
    def paths(self) -> Paths:
        """The pool's files."""
        return Node(self.context.rundir).pool(self.context.key)

    @property
    def build(self) -> PoolBuild:
        """What the configuration means, computed once."""
        if self._build is None:
            self._build = PoolBuild(PoolConfig(self.values, self.context.params))
        return self._build

    def check_config(self) -> list[str]:
        return faults_of(self.build.config, self.build)

    def config_warnings(self) -> list[str]:
        return super().config_warnings() + warnings_of(self.build.config, self.build)

    def check_host(self) -> None:
        from ocfpy.healthd import preflight
        from ocfpy.healthd.trusted_files import require_trusted
        from ocfpy.ipvs.connection import require_ipvs

        require_ipvs(self.context.deadline)
        services = self.build.services()
        if self.context.action == "validate-all":  # a start gets the kernel's own error
            preflight.require_schedulers(services, self.context.deadline)
        for check in self.build.check_types():
            preflight.require_module(check)
        preflight.require_files(services, self.context.deadline)
        require_trusted(
            services, self.config or "", self.check_command_user or "", self.context.log, self.context.deadline, self._running()
        )
        preflight.require_reply_path(services)

    def _running(self) -> Running | None:
        """What a reload replaces. Any other action that asks begins anew."""
        from ocfpy.healthd.trusted_files import Running
        from ocfpy.pool.spec import read_spec

        if self.context.action not in ("reload-agent", "monitor"):
            return None
        try:
            return Running(read_spec(self.paths.spec), self.build.loaded().digest if self.config else "")
        except (OSError, ValueError):
            return None

    def check_claim(self, claim: dict[str, str]) -> None:
        from ocfpy.healthd import preflight

        preflight.require_unclaimed(self.context.other_claims(self.name), claim)

    def claim(self) -> dict[str, str]:
        return {"virtual": " ".join(self._virtual_services()), "attribute": self._attribute_name()}

    def _virtual_services(self) -> list[str]:
        """The virtual services, as texts. Raises OcfError if they are in a file that cannot be used."""
        if not self.config:
            return list(map(str, self.virtual))
        if self.context.action in _READS:
            return [str(service.virtual) for service in self.build.services()]
        record = self.context.state.read()
        return record["virtual"].split() if record and "virtual" in record else []

    def _attribute_name(self) -> str:
        """The node attribute with the number of live backends."""
        return self.attribute or f"healthy-{self.context.resource}"

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

    def shortcut_facts(self) -> Sequence[str]:
        return ("daemon",)

    def _asked(self, timeout_s: float = MONITOR_TIMEOUT_S) -> tuple[str, str]:
        """The first word of what the daemon says of the pool, and the reason. Raises NoDaemon, DaemonHangs."""
        limit_s = max(LEAST_TIMEOUT_S, min(timeout_s, self.context.deadline.remaining() / 2))
        paths = self.paths
        word, _, reason = ask(paths.node.socket, f"monitor {paths.key} {__version__}", limit_s).partition(" ")
        return word, reason

    def _with_daemon_replaced(self, fault: str) -> Status:
        """Replace a lost daemon; return the status that the monitor reports.

        The new daemon adopts the tables of all pools, and no client notices; the restart after a failure would remove the
        services from the kernel, and the addresses from the node.
        """
        from ocfpy.healthd.lifecycle import ANSWERS_AGAIN_S, STARVED_S, ensure_daemon

        try:
            started = ensure_daemon(self.paths.node, self.context.deadline, self.context.log, ANSWERS_AGAIN_S)
            word, reason = self._asked(STARVED_S)
        except OcfError as error:
            return Status.failed(f"{fault}, and a new one does not start: {error.reason}")
        except (NoDaemon, DaemonHangs):
            return Status.failed(f"{fault}, and so is its replacement: see the system log")
        if word in (RUNNING, DEGRADED):
            return Status.degraded(f"{fault}: it was replaced") if started else Status.running()
        return Status.failed(f"{fault}, and its replacement answers: {word} {reason}")

    def _observe_leftovers(self, claim: dict[str, str], fault: str) -> Status:
        """Without a daemon the pool is stopped, unless a start left a daemon or services in the kernel."""
        if self.context.state.read() is None:
            return Status.stopped()
        if fault.endswith("is gone") and is_alive(self.paths.node):
            # Usually of a killed start: the daemon goes on, and will have filled the table in a moment.
            return Status.failed("the health daemon runs, but does not listen yet")
        ours = claim.get("virtual", "").split()
        if not present(list(map(parse_virtual, ours))) and not self._is_wanted():
            return Status.stopped()
        return Status.failed(f"{fault}; the real servers of {', '.join(ours)} are not checked")

    def _is_wanted(self) -> bool:
        """Return whether the pool's file exists, from which the next daemon would run it."""
        import os

        return os.path.exists(self.paths.spec)

    def _apply_pending_parameters(self) -> str:
        """Have a monitor apply parameters that the daemon has not; return why that is impossible, empty if there is nothing.

        The parameters may have been changed while the cluster was down and the daemon went on (maintenance mode). Pacemaker's
        probe finds the pool running, and from then on the cluster assumes that the new parameters are in force. All other changes
        are Pacemaker's to apply, as soon as it manages the resource.
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
                raise HostError("attribute has changed, which requires a restart")
            put_in_force(self, claim)
        except OcfError as error:
            return f"the parameters were changed while the cluster was down, and are not in force: {error.reason}"
        self.context.log.info("applied the parameters that were changed while the cluster was down")
        return ""

    def _digest(self) -> str:
        """Return the digest of the parameters that can be changed while the pool runs."""
        names = (parameter.name for parameter in self.parameters() if parameter.reloadable)
        given = sorted((name, self.context.params[name]) for name in names if self.is_set(name))
        return f"{crc32(repr(given).encode()):08x}"

    def _record_applied(self) -> None:
        """Note that the daemon applies the current parameters."""
        self.context.state.update({PARAMETERS: self._digest()})

    def spec(self) -> PoolSpec:
        """The specification for the daemon."""
        from ocfpy.pool.spec import PoolSpec

        loaded = self.build.loaded() if self.config else None
        return PoolSpec(
            resource=self.context.resource,
            services=self.build.services(),
            attribute=self._attribute_name(),
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
            # The claim is written already: if two pools claim the same, one of them sees it here.
            # A monitor does not wait for the other pool: the next monitor tries again.
            await_unclaimed(self, claim, Deadline(0.0 if context.interval else context.deadline.remaining() / 2))
            self.check_host()

        context = self.context
        pool_control.reload(context.state, claim, self.paths, self.spec(), check, context.deadline, context.log)
        self._record_applied()
