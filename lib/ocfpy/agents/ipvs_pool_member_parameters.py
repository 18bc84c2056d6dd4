"""The parameters of ocf:anycast:ipvs-pool that say which real servers get traffic, beyond the checks."""

from __future__ import annotations

from ocfpy.agents.ipvs_pool_parameters import PoolParameters, real_server_word, twice
from ocfpy.ipvs.model import ONE_PACKET_PROTOCOLS, by_key
from ocfpy.ipvs.refusals import real_problems
from ocfpy.ocf.parameters import DurationParam, ListParam, NumberOrPercentParam, PathParam
from ocfpy.pool.backends import members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.ipvs.model import RealServer
    from ocfpy.pool.spec import ServiceSpec

DRAIN_DIR = "/var/lib/ocf-anycast/drained"


class MemberParameters(PoolParameters):
    """Declares min_up, quorum, the sorry servers, drains and slow start, and builds a pool's services from them."""

    min_up = NumberOrPercentParam(
        "servers kept in service",
        "This many real servers of each virtual service, or this percentage of them, stay in service even when their"
        " checks fail: those that failed last, shown as down but pooled. For checks that may be wrong about"
        " many servers at once. Drained servers are counted, but not kept. The node attribute"
        " counts only servers that are up. 0: every server that fails is taken out.",
        default="0",
        reloadable=True,
    )
    quorum = NumberOrPercentParam(
        "quorum",
        "With fewer real servers up than this, or this percentage, a virtual service is dead for the cluster: the"
        " node attribute is 0. The servers that are up stay in service.",
        minimum=1,
        default="1",
        reloadable=True,
    )
    quorum_up = NumberOrPercentParam(
        "quorum to come back",
        "This many servers have to be up for a virtual service to regain its quorum. Unset: quorum.",
        minimum=1,
        reloadable=True,
    )
    sorry_server = ListParam(
        "sorry servers",
        "Servers, written like those of real_servers, that get the clients when no real server does; for example"
        " with a page that apologizes. They are not checked and do not count as alive.",
        parse=real_server_word,
        reloadable=True,
    )
    drain_timeout = DurationParam(
        "drain timeout",
        "A drained real server (weight=0, no longer in real_servers, or `anycastctl"
        " drain`) gets no new clients, and is removed when its connections have ended, at the latest after this"
        " time. A client of UDP counts until the kernel's time-out, five minutes after its last packet (ipvsadm --set);"
        " one with persistence until persistence_timeout after its last connection, unless"
        " net.ipv4.vs.expire_quiescent_template=1 sends it elsewhere. 0s: it is removed at once.",
        maximum="24h",
        default="5min",
        reloadable=True,
    )
    drain_dir = PathParam(
        "directory of drained servers",
        "A file in it that is named after a real server, 10.0.0.11 or 10.0.0.11:53, drains that server until the file"
        " is removed; in the subdirectory named after the resource only in this pool. `anycastctl drain` and"
        " `undrain` create and remove the files.",
        default=DRAIN_DIR,
        reloadable=True,
    )
    slow_start = DurationParam(
        "slow start",
        "The weight of a real server that is back grows to its configured weight in this time, in ten steps. Needs weights"
        " with room for steps, such as weight=10.",
        maximum="1h",
        default="0s",
        reloadable=True,
    )

    def check_config(self) -> list[str]:
        faults = super().check_config() + self._faults_of_sorry_servers()
        if self.slow_start:
            faults += [
                f"slow_start: weight 1 of {real} has no room for steps: set weight=10 or more"
                for real in self.reals()
                if real.weight == 1
            ]
        for virtual in self.virtual:
            total = len(self.behind(virtual))
            keeps, restores = self.quorum.of(total), (self.quorum_up or self.quorum).of(total)
            if restores < keeps:
                faults.append(f"{virtual}: quorum_up ({restores} servers) is less than quorum ({keeps})")
            if total and self.min_up.of(total) > total:
                faults.append(f"{virtual}: min_up is {self.min_up}, but it has only {total} real servers")
            if total and max(keeps, restores) > total:
                faults.append(f"{virtual}: its quorum is {max(keeps, restores)}, but it has only {total} real servers")
        return faults

    def config_warnings(self) -> list[str]:
        from ocfpy.ipvs.schedulers import WITHOUT_WEIGHTS

        warnings = super().config_warnings()
        if self.slow_start and self.scheduler in WITHOUT_WEIGHTS:
            warnings.append(
                f"slow_start has no effect with scheduler={self.scheduler}, which ignores weights:"
                f" {WITHOUT_WEIGHTS[self.scheduler]} does"
            )
        return warnings

    def _faults_of_sorry_servers(self) -> list[str]:
        sorry, faults = self.sorry(), []
        if sorry and self.min_up.value:
            faults.append("min_up keeps failed servers in service, and sorry_server never gets a client: set only one")
        faults += [f"sorry_server {real} has weight 0, and never gets a client" for real in sorry if not real.weight]
        families = {virtual.family for virtual in self.virtual}
        for real in sorry:
            if families and real.forward != "tunnel" and real.address.family not in families:
                faults.append(f"sorry_server {real} has no virtual service of its address family")
        for virtual in self.virtual:
            known, behind = by_key(self.behind(virtual)), members(virtual, sorry)
            faults += [f"{virtual}: sorry_server {text} is given twice" for text in twice(list(map(str, behind)))]
            for real in behind:
                if real.key in known:
                    faults.append(f"{virtual}: sorry_server {real} is one of its real servers")
                faults += [
                    f"{virtual}: sorry_server {real}: {fault}"
                    for fault in real_problems(virtual, real, self.one_packet and virtual.proto in ONE_PACKET_PROTOCOLS)
                ]
        return faults

    def sorry(self) -> tuple[RealServer, ...]:
        """The sorry servers, with the pool's defaults applied."""
        return tuple(map(self.real, self.sorry_server))

    def services(self) -> tuple[ServiceSpec, ...]:
        # A scheduler that drops the clients of a server at weight 0 cannot drain one.
        can_drain = not self.settings().drops_at_zero
        return tuple(self._service(service, self.drain_timeout if can_drain else 0.0) for service in super().services())

    def _service(self, service: ServiceSpec, drain_timeout: float) -> ServiceSpec:
        total = len(service.reals)
        return service.replace(
            sorry=by_key(members(service.virtual, self.sorry())),
            min_up=self.min_up.of(total),
            quorum=self.quorum.of(total),
            quorum_up=(self.quorum_up or self.quorum).of(total),
            drain_timeout=drain_timeout,
            slow_start=self.slow_start,
        )
