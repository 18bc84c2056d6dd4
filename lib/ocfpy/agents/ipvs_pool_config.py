"""The parameter `config` of ocf:anycast:ipvs-pool: an ldirectord.cf instead of the parameters that describe services."""

from __future__ import annotations

from ocfpy.agents.ipvs_pool_check_parameters import CheckParameters
from ocfpy.ocf.parameters import PathParam

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ocfpy.ldirectord.reader import Loaded
    from ocfpy.pool.spec import ServiceSpec

_NEEDED = ("virtual", "real_servers")
_BESIDE = ("config", "check_command_user", "attribute", "dampen", "drain_dir")
"""Parameters of a pool that has its services from a file."""
_READS = ("start", "reload-agent", "validate-all")
"""The actions that read the file. Monitor, stop and probe use what start recorded."""


class ConfigParameters(CheckParameters):
    """Reads the services from the file, if there is one."""

    config = PathParam(
        "ldirectord's configuration",
        "An ldirectord.cf, read like ldirectord does, instead of all parameters that describe services and checks. Each node has"
        " its own file; start and reload-agent read it, and with autoreload=yes in it the daemon applies changes of the file by"
        " itself. Host names are resolved when the file is read. An unsupported directive is an"
        " error that names its line.",
        reloadable=True,
    )

    _loaded: Loaded | None = None

    def check_config(self) -> list[str]:
        faults = super().check_config()
        if self.is_set("config"):
            return faults + [
                f"config and {name} exclude each other: remove {name}, the file sets it"
                for name in (parameter.name for parameter in self.parameters())
                if name not in _BESIDE and self.is_set(name)
            ]
        return [f"parameter {name}: required, but not set" for name in _NEEDED if not self.is_set(name)] + faults

    def _given_options(self) -> dict[str, str]:
        options = super()._given_options()
        if self.is_set("config"):
            options.pop("command_user", None)  # it is of the commands in the file
        return options

    def config_warnings(self) -> list[str]:
        return super().config_warnings() + list(self._loaded.warnings if self._loaded else ())

    def loaded(self) -> Loaded:
        """The file, read once. Raises OcfError."""
        from ocfpy.ldirectord.reader import load

        if self._loaded is None:
            self._loaded = load(self.config)
        return self._loaded

    def services(self) -> tuple[ServiceSpec, ...]:
        if not self.config:
            return super().services()
        from ocfpy.pool.spec import with_command_user

        return with_command_user(self.loaded().services, self.check_command_user or "")

    def virtual_services(self) -> list[str]:
        """The virtual services, as texts. Raises OcfError if they are in a file that cannot be used."""
        if not self.config:
            return list(map(str, self.virtual))
        if self.context.action in _READS:
            return [str(service.virtual) for service in self.services()]
        record = self.context.state.read()
        return record["virtual"].split() if record and "virtual" in record else []

    def check_types(self) -> list[str]:
        """The types of the checks that are made."""
        if not self.config:
            return [self.check]
        checks = (check for service in self.services() for check in (service.check, *service.checks.values()))
        return sorted({check.type for check in checks})
