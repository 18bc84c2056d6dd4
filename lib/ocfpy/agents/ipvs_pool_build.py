"""Builds the specification of a pool's services from its configuration."""

from __future__ import annotations

from ocfpy.ipvs.model import ServiceSettings, by_key, parse_netmask, parse_real_server
from ocfpy.pool.backends import members

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.agents.ipvs_pool_config import PoolConfig
    from ocfpy.checks.settings import CheckSettings
    from ocfpy.ipvs.model import RealServer, VirtualService
    from ocfpy.ldirectord.reader import Loaded
    from ocfpy.pool.spec import ServiceSpec


class PoolBuild:
    """What the configuration means for each virtual service. Computed once: a monitor of a large pool asks again and again."""

    def __init__(self, config: PoolConfig) -> None:
        self.config = config
        self._reals: tuple[RealServer, ...] | None = None
        self._behind: dict[VirtualService, list[RealServer]] = {}
        self._loaded: Loaded | None = None

    def reals(self) -> tuple[RealServer, ...]:
        """The real servers, with the pool's defaults applied."""
        if self._reals is None:
            self._reals = tuple(map(self.real, self.config.real_servers))
        return self._reals

    def sorry(self) -> tuple[RealServer, ...]:
        """The sorry servers, with the pool's defaults applied."""
        return tuple(map(self.real, self.config.sorry_server))

    def behind(self, virtual: VirtualService) -> list[RealServer]:
        """The real servers of a virtual service."""
        if virtual not in self._behind:
            self._behind[virtual] = members(virtual, self.reals())
        return self._behind[virtual]

    def real(self, text: str) -> RealServer:
        """Parse one real server."""
        config = self.config
        real = parse_real_server(text, config.forward)
        if real.forward == "tunnel":
            if ",tunnel_type=" not in text:
                real = real.replace(tunnel_type=config.tunnel_type)
            if ",tunnel_port=" not in text and config.tunnel_port:
                real = real.replace(tunnel_port=config.tunnel_port)
        return real

    def settings(self) -> ServiceSettings:
        """The scheduling of every virtual service of the pool."""
        config, netmask = self.config, None
        if config.persistence_netmask:
            netmask = parse_netmask(config.persistence_netmask, config.virtual[0].family)
        return ServiceSettings(
            config.scheduler,
            tuple(sorted(set(config.scheduler_flags))),
            int(config.persistence_timeout),
            netmask,
            config.persistence_engine or "",
            config.one_packet,
        )

    def check_settings(self) -> CheckSettings:
        """How every real server is checked."""
        from ocfpy.checks.settings import CheckSettings

        config = self.config
        return CheckSettings(
            type=config.check,
            port=config.check_port or 0,
            interval=config.check_interval,
            timeout=config.check_timeout,
            rise=config.rise,
            fall=config.fall,
            options=config.options().items(),
            retry_interval=config.check_retry_interval or 0.0,
        )

    def services(self) -> tuple[ServiceSpec, ...]:
        """The specification of each virtual service for the daemon. Raises OcfError if they are in a file that cannot be used."""
        if self.config.config:
            from ocfpy.pool.spec import with_command_user

            return with_command_user(self.loaded().services, self.config.check_command_user or "")
        settings, check = self.settings(), self.check_settings()
        return tuple(self._service(virtual, settings, check) for virtual in self.config.virtual)

    def _service(self, virtual: VirtualService, settings: ServiceSettings, check: CheckSettings) -> ServiceSpec:
        from ocfpy.pool.spec import ServiceSpec

        config = self.config
        reals, sorry = by_key(self.behind(virtual)), self.sorry()
        total = len(reals)
        return ServiceSpec(
            virtual,
            reals,
            settings.meant_for(virtual),
            check,
            quiesce=config.quiesce,
            sorry=by_key(members(virtual, sorry)) if sorry else {},
            min_up=config.min_up.of(total),
            quorum=config.quorum.of(total),
            quorum_up=(config.quorum_up or config.quorum).of(total),
            # A scheduler that drops the clients of a server at weight 0 cannot drain one.
            drain_timeout=0.0 if settings.drops_at_zero else config.drain_timeout,
            slow_start=config.slow_start,
        )

    def check_types(self) -> list[str]:
        """The types of the checks that are made. Raises OcfError."""
        if not self.config.config:
            return [self.config.check]
        checks = (check for service in self.services() for check in (service.check, *service.checks.values()))
        return sorted({check.type for check in checks})

    def loaded(self) -> Loaded:
        """The ldirectord.cf, read once. Raises OcfError."""
        from ocfpy.ldirectord.reader import load

        if self._loaded is None:
            self._loaded = load(self.config.config)
        return self._loaded

    @property
    def file_warnings(self) -> tuple[str, ...]:
        """What the ldirectord.cf has that is probably not meant, if it was read."""
        return tuple(self._loaded.warnings) if self._loaded else ()
