"""The specification of a pool: written by the agent as JSON, read by the daemon.

The file has a schema number. A daemon reads its own and the previous one, so that it adopts the pools of an older version.
"""

from __future__ import annotations

import json

from ocfpy.checks.settings import CheckSettings
from ocfpy.ipvs.model import RealServer, ServiceSettings, by_key, parse_endpoint, parse_virtual
from ocfpy.ocf.state import replace_file
from ocfpy.ocf.values import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ocfpy.ipvs.model import RealKey, VirtualService

    Json = dict[str, Any]


SCHEMA = 1


class ServiceSpec(Record):
    """One virtual service of a pool, with all settings that may differ between services.

    `reals` are its real servers by their keys, with the ports that they have behind it. Those in `checks`
    have a check of their own, all others `check`. Without `quiesce` a failed server is removed.
    `sorry` are the servers for when no other server has traffic. `min_up`, `quorum` and `quorum_up` are numbers of
    servers, see placement.py. `drain_timeout` and `slow_start` are in seconds; without a `drain_timeout` (None)
    nothing drains: a leaving server is removed, and a weight of 0 in the configuration is a weight like any other.
    `fallback_command` is a program that is told when the last server goes and the first comes, see fallback_command.py. Without
    `readd` a server at weight 0 because it is down is not added again after another program removed it.
    """

    __slots__ = (
        "check",
        "checks",
        "drain_timeout",
        "fallback_command",
        "min_up",
        "quiesce",
        "quorum",
        "quorum_up",
        "readd",
        "reals",
        "settings",
        "slow_start",
        "sorry",
        "virtual",
    )

    def __init__(
        self,
        virtual: VirtualService,
        reals: dict[RealKey, RealServer],
        settings: ServiceSettings,
        check: CheckSettings,
        checks: dict[RealKey, CheckSettings] | None = None,
        quiesce: bool = True,
        sorry: dict[RealKey, RealServer] | None = None,
        min_up: int = 0,
        quorum: int = 1,
        quorum_up: int = 1,
        drain_timeout: float | None = None,
        slow_start: float = 0.0,
        fallback_command: str = "",
        readd: bool = True,
    ) -> None:
        self.virtual = virtual
        self.reals = reals
        self.settings = settings
        self.check = check
        self.checks = checks or {}
        self.quiesce = quiesce
        self.sorry = sorry or {}
        self.min_up = min_up
        self.quorum = quorum
        self.quorum_up = quorum_up
        self.drain_timeout = drain_timeout
        self.slow_start = slow_start
        self.fallback_command = fallback_command
        self.readd = readd

    def check_of(self, real: RealServer) -> CheckSettings:
        """How a real server of this service is checked."""
        return self.checks.get(real.key, self.check) if self.checks else self.check


class PoolSpec(Record):
    """A pool: its virtual services, and the attribute that it publishes.

    `former` are the virtual services that the previous daemon had: those no longer wanted are removed.
    `drain_dir` is the directory of files that drain servers, see drained.py; none if empty; `drain_hosts` are names of
    servers, with their addresses, that files may have there. `config` is the path of the ldirectord.cf with the services,
    if the daemon has to apply its changes; `config_digest` identifies its content; `command_user` is the user of the
    commands in it.
    """

    __slots__ = (
        "attribute",
        "command_user",
        "config",
        "config_digest",
        "dampen",
        "drain_dir",
        "drain_hosts",
        "former",
        "resource",
        "services",
    )

    def __init__(
        self,
        resource: str,
        services: tuple[ServiceSpec, ...],
        attribute: str,
        dampen: str = "0",
        former: tuple[VirtualService, ...] = (),
        drain_dir: str = "",
        drain_hosts: Iterable[Iterable[str]] = (),
        config: str = "",
        config_digest: str = "",
        command_user: str = "",
    ) -> None:
        self.resource = resource
        self.services = services
        self.attribute = attribute
        self.dampen = dampen
        self.former = former
        self.drain_dir = drain_dir
        self.drain_hosts = tuple((host, address) for host, address in drain_hosts)
        self.config = config
        self.config_digest = config_digest
        self.command_user = command_user

    @property
    def virtual(self) -> list[VirtualService]:
        """The virtual services of the pool."""
        return [service.virtual for service in self.services]

    @property
    def interval(self) -> float:
        """Seconds between two checks of the most often checked servers."""
        return min(check.interval for check in self._checks())

    @property
    def first_verdict_s(self) -> float:
        """The longest time of a first verdict: `fall` attempts without a pause, for a server that was in service before."""
        return max(check.fall * check.timeout for check in self._checks())

    def _checks(self) -> Iterable[CheckSettings]:
        return (check for service in self.services for check in (service.check, *service.checks.values()))

    def write(self, path: str) -> None:
        """Write the specification to `path`, atomically. Raises OSError, which names the file."""
        services = list(map(_service_document, self.services))
        former = list(map(str, self.former))
        document = {"schema": SCHEMA, **_fields(self, services=services, former=former)}
        replace_file(path, json.dumps(document, indent=1).encode())


def with_command_user(services: Iterable[ServiceSpec], user: str) -> tuple[ServiceSpec, ...]:
    """Return the services with `user` as the user of their checks' commands; unchanged if it is empty."""

    def changed(check: CheckSettings) -> CheckSettings:
        if check.type != "external" or not user:
            return check
        return check.replace(options={**dict(check.options), "command_user": user}.items())

    return tuple(
        service.replace(check=changed(service.check), checks={key: changed(check) for key, check in service.checks.items()})
        for service in services
    )


def read_spec(path: str) -> PoolSpec:
    """Read a specification of this version or the previous one. Raises OSError, or ValueError for anything else."""
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    try:
        schema = document.pop("schema", 0)  # 0.1.0 wrote none, but its version
        if schema not in (SCHEMA, SCHEMA - 1):
            raise ValueError(f"{path} has schema {schema}: this version reads {SCHEMA - 1} and {SCHEMA}")
        document.pop("version", None)
        document["services"] = tuple(map(_service, document["services"]))
        document["former"] = tuple(map(parse_virtual, document["former"]))
        return PoolSpec(**document)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not the specification of a pool: {error}") from None


def virtual_in(path: str) -> list[str]:
    """Return the virtual services, also the former ones, in a specification of any version; none if the file is missing."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        if "services" not in document:  # until 0.1.0
            return list(map(str, document["virtual"]))
        return [*(str(service["virtual"]) for service in document["services"]), *map(str, document["former"])]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def server_document(real: RealServer, check: CheckSettings | None = None) -> Json:
    """Return a real server, with its own way of being checked if it has one, as `read_server` takes it."""
    document = _real_document(real)
    return document if check is None else {**document, "check": _fields(check)}


def read_server(document: Json) -> tuple[RealServer, CheckSettings | None]:
    """Return what `server_document` was given. Raises ValueError, KeyError, TypeError or AttributeError for something else."""
    fields = dict(document)
    check = fields.pop("check", None)
    return _real(fields), None if check is None else CheckSettings(**check)


def _service_document(service: ServiceSpec) -> Json:
    document = _fields(
        service,
        virtual=str(service.virtual),
        reals=[server_document(real, service.checks.get(real.key)) for real in service.reals.values()],
        sorry=list(map(_real_document, service.sorry.values())),
        settings=_fields(service.settings),
        check=_fields(service.check),
    )
    del document["checks"]
    return document


def _service(fields: Json) -> ServiceSpec:
    servers = list(map(read_server, fields["reals"]))
    settings = fields["settings"]
    settings["flags"] = tuple(settings["flags"])
    return ServiceSpec(
        **{
            **fields,
            "virtual": parse_virtual(fields["virtual"]),
            "reals": by_key(real for real, _ in servers),
            "sorry": by_key(map(_real, fields["sorry"])),
            "settings": ServiceSettings(**settings),
            "check": CheckSettings(**fields["check"]),
            "checks": {real.key: check for real, check in servers if check is not None},
        }
    )


def _real_document(real: RealServer) -> Json:
    document = _fields(real, address=str(real))
    del document["port"]
    return document


def _real(fields: Json) -> RealServer:
    address, port = parse_endpoint(fields["address"])
    return RealServer(**{**fields, "address": address, "port": port or 0})


def _fields(record: Record, **replaced: object) -> Json:
    return {**{name: getattr(record, name) for name in record.__slots__}, **replaced}
