"""What a pool is to be: written by the agent as JSON, read by the daemon."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ocfpy.health.expect import StatusRange, parse_status
from ocfpy.health.members import members
from ocfpy.ipvs.model import RealServer, ServiceSettings, VirtualService, parse_endpoint, parse_virtual

if TYPE_CHECKING:
    from ocfpy.ipvs.model import RealKey

Json = dict[str, Any]


@dataclass(frozen=True)
class CheckSettings:
    """How every server is checked. `interval` and `timeout` are in seconds; `port` 0 is the one its traffic goes to."""

    type: str = "tcp"
    port: int = 0
    interval: float = 2.0
    timeout: float = 1.0
    rise: int = 2
    fall: int = 3
    expect: str = ""
    host: str = ""
    path: str = "/"
    method: str = "GET"
    status: tuple[StatusRange, ...] = ()
    name: str = ""
    rdtype: str = "A"

    def identity(self) -> str:
        """The settings that make one check of a server different from another."""
        status = ",".join(map(str, self.status))
        parts = (self.type, self.host, self.path, self.method, status, self.name, self.rdtype, self.expect)
        return "|".join(parts)


@dataclass(frozen=True)
class PoolSpec:
    """A pool: its virtual services, the servers behind each, how they are checked and what is said about them."""

    resource: str
    virtual: tuple[VirtualService, ...]
    real_servers: tuple[RealServer, ...]
    settings: ServiceSettings
    check: CheckSettings
    attribute: str
    dampen: str = "0s"
    quiesce: bool = True

    def reals(self, virtual: VirtualService) -> dict[RealKey, RealServer]:
        """The real servers behind `virtual`, by their keys, with the ports that they have there."""
        return {real.key: real for real in members(virtual, self.real_servers)}

    def write(self, path: str) -> None:
        """Puts the specification at `path`, whole or not at all."""
        text = json.dumps(_encode(self), indent=1)
        temporary = f"{path}.new"
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)


def read_spec(path: str) -> PoolSpec:
    """What `PoolSpec.write` wrote. Raises OSError, or ValueError when it is something else."""
    with open(path, encoding="utf-8") as file:
        document = json.load(file)
    try:
        check = document.pop("check")
        check["status"] = tuple(map(parse_status, check["status"]))
        settings = document.pop("settings")
        settings["flags"] = tuple(settings["flags"])
        return PoolSpec(
            virtual=tuple(map(parse_virtual, document.pop("virtual"))),
            real_servers=tuple(map(_decode_real, document.pop("real_servers"))),
            settings=ServiceSettings(**settings),
            check=CheckSettings(**check),
            **document,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is not the specification of a pool: {error}") from None


def _encode(spec: PoolSpec) -> Json:
    check = dict(vars(spec.check), status=list(map(str, spec.check.status)))
    return dict(
        vars(spec),
        virtual=list(map(str, spec.virtual)),
        real_servers=[_slots(real, address=str(real), port=None) for real in spec.real_servers],
        settings=_slots(spec.settings),
        check=check,
    )


def _slots(record: Any, **replaced: Any) -> Json:
    return {name: getattr(record, name) for name in record.__slots__ if name not in replaced} | {
        name: value for name, value in replaced.items() if value is not None
    }


def _decode_real(fields: Json) -> RealServer:
    address, port = parse_endpoint(fields.pop("address"))
    return RealServer(address, port or 0, **fields)
