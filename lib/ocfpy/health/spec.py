"""What a pool is to be: written by the agent as JSON, read by the daemon."""

from __future__ import annotations

import json
import os

from ocfpy.health.expect import parse_status
from ocfpy.health.members import members
from ocfpy.ipvs.model import RealServer, Record, ServiceSettings, parse_endpoint, parse_virtual

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ocfpy.health.expect import StatusRange
    from ocfpy.ipvs.model import RealKey, VirtualService

    Json = dict[str, Any]


class CheckSettings(Record):
    """How every server is checked.

    `interval` and `timeout` are in seconds; `port` 0 is the one that the server's traffic goes to.
    """

    __slots__ = (
        "expect",
        "fall",
        "host",
        "interval",
        "method",
        "name",
        "path",
        "port",
        "rdtype",
        "rise",
        "status",
        "timeout",
        "type",
    )  # fmt: skip

    def __init__(
        self,
        type: str = "tcp",
        port: int = 0,
        interval: float = 2.0,
        timeout: float = 1.0,
        rise: int = 2,
        fall: int = 3,
        expect: str = "",
        host: str = "",
        path: str = "/",
        method: str = "GET",
        status: tuple[StatusRange, ...] = (),
        name: str = "",
        rdtype: str = "A",
    ) -> None:
        self.type = type
        self.port = port
        self.interval = interval
        self.timeout = timeout
        self.rise = rise
        self.fall = fall
        self.expect = expect
        self.host = host
        self.path = path
        self.method = method
        self.status = status
        self.name = name
        self.rdtype = rdtype

    def identity(self) -> str:
        """What is asked, and how: the settings that make one check of a server different from another."""
        status = ",".join(map(str, self.status))
        parts = (self.type, self.host, self.path, self.method, status, self.name, self.rdtype, self.expect)
        return "|".join(parts)


class _Members(Record):
    """Has room for what is worked out once; it is not a field, and does not tell two specifications apart."""

    __slots__ = ("_members",)


class PoolSpec(_Members):
    """A pool: its virtual services, the servers behind them, how they are checked, what is told of them."""

    __slots__ = (
        "attribute",
        "check",
        "dampen",
        "quiesce",
        "real_servers",
        "resource",
        "settings",
        "virtual",
    )  # fmt: skip

    def __init__(
        self,
        resource: str,
        virtual: tuple[VirtualService, ...],
        real_servers: tuple[RealServer, ...],
        settings: ServiceSettings,
        check: CheckSettings,
        attribute: str,
        dampen: str = "0",
        quiesce: bool = True,
    ) -> None:
        self.resource = resource
        self.virtual = virtual
        self.real_servers = real_servers
        self.settings = settings
        self.check = check
        self.attribute = attribute
        self.dampen = dampen
        self.quiesce = quiesce
        self._members: dict[VirtualService, dict[RealKey, RealServer]] = {}

    def reals(self, virtual: VirtualService) -> dict[RealKey, RealServer]:
        """The real servers behind `virtual`, by their keys, with the ports that they have there."""
        if virtual not in self._members:
            self._members[virtual] = {real.key: real for real in members(virtual, self.real_servers)}
        return self._members[virtual]

    def write(self, path: str) -> None:
        """Put the specification at `path`, whole or not at all."""
        document = _fields(
            self,
            virtual=list(map(str, self.virtual)),
            real_servers=[_fields(real, address=str(real), port=0) for real in self.real_servers],
            settings=_fields(self.settings),
            check=_fields(self.check, status=list(map(str, self.check.status))),
        )
        temporary = f"{path}.new"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(fd, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
        os.replace(temporary, path)


def read_spec(path: str) -> PoolSpec:
    """Return what `PoolSpec.write` wrote. Raises OSError, or ValueError when it is something else."""
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    try:
        check, settings = document["check"], document["settings"]
        check["status"] = tuple(map(parse_status, check["status"]))
        settings["flags"] = tuple(settings["flags"])
        document["virtual"] = tuple(map(parse_virtual, document["virtual"]))
        document["real_servers"] = tuple(map(_real, document["real_servers"]))
        document["settings"] = ServiceSettings(**settings)
        document["check"] = CheckSettings(**check)
        return PoolSpec(**document)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not the specification of a pool: {error}") from None


def _fields(record: Record, **replaced: object) -> Json:
    return {**{name: getattr(record, name) for name in record.__slots__}, **replaced}


def _real(fields: Json) -> RealServer:
    address, port = parse_endpoint(fields["address"])
    return RealServer(**{**fields, "address": address, "port": port or 0})
