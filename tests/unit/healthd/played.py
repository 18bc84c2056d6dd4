"""An engine with a kernel, a cluster and servers that are played."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

from ocfpy.checks.base import Check, Result
from ocfpy.checks.settings import CheckSettings
from ocfpy.healthd.drain_list import look_at_once
from ocfpy.healthd.engine import Engine
from ocfpy.healthd.ipvs_worker import IpvsWorker
from ocfpy.healthd.local_checks import LocalChecks
from ocfpy.healthd.pool_checks import PoolChecks
from ocfpy.healthd.publisher import Publisher
from ocfpy.healthd.vip_probe import VipPath
from ocfpy.ipvs.model import Table, VirtualService
from ocfpy.ipvs.plan import plan
from ocfpy.ocf.addresses import Address
from ocfpy.ocf.errors import OcfError
from ocfpy.pool.desired import Busy, Desired
from ocfpy.pool.spec import PoolSpec

from tests.unit.healthd import clock

if TYPE_CHECKING:
    from ocfpy.healthd.drain_list import Look

ONE, TWO = "10.0.0.11", "10.0.0.12"


class PlayedKernel:
    """A table in memory; `history` has every state with its time."""

    def __init__(self) -> None:
        self.table: Table = {}
        self.error: OcfError | None = None
        self.history: list[tuple[float, dict[str, dict[str, int]]]] = []

        self.connections_of: dict[str, int] = {}

    async def read(self, virtuals: set[VirtualService]) -> Table:
        return {virtual: (settings, dict(reals)) for virtual, (settings, reals) in self.table.items() if virtual in virtuals}

    async def connections(self, virtual: set[VirtualService]) -> dict[Any, Busy]:
        return {
            (one, key): Busy(self.connections_of.get(str(real.address), 0))
            for one in virtual
            for key, real in self.table[one][1].items()
        }

    async def make(self, wanted: Table, owned: frozenset[VirtualService]) -> list[Any]:
        if self.error is not None:
            raise self.error
        changes = plan(self.table, wanted, owned)
        self.table = {virtual: entry for virtual, entry in self.table.items() if virtual not in owned}
        self.table.update({virtual: (settings, dict(reals)) for virtual, (settings, reals) in wanted.items()})
        self.history.append((asyncio.get_running_loop().time(), self.weights()))
        return changes

    keep = make

    async def remove(self, owned: set[VirtualService]) -> list[Any]:
        return await self.make({}, frozenset(owned))

    def weights(self) -> dict[str, dict[str, int]]:
        return {
            str(virtual): {str(real.address): real.weight for real in reals.values()}
            for virtual, (_, reals) in self.table.items()
        }


class PlayedCluster:
    """Takes attribute values at once."""

    def __init__(self) -> None:
        self.value: int | None = None
        self.taken = True
        self.said = asyncio.Event()
        self.history: list[tuple[float, int | None]] = []

    def want(self, value: int | None) -> None:
        if value != self.value:
            self.value = value
            self.history.append((asyncio.get_running_loop().time(), value))
        self.said.set()

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def delete(self) -> None:
        self.want(None)


class Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, text: str) -> None:
        self.lines.append(text)

    warning = error = debug = info


class World:
    """An engine and everything around it. `dead` servers refuse, `hanging` ones time out; both by address."""

    def __init__(self, spec: PoolSpec, desired: Desired | None = None) -> None:
        self.kernel = PlayedKernel()
        self.cluster = PlayedCluster()
        self.log = Log()
        self.dead: set[str] = set()
        self.hanging: set[str] = set()
        self.checks: list[tuple[float, str]] = []
        self.faults: list[BaseException] = []
        self.ways: list[VipPath | None] = []
        self.look: Look = look_at_once
        self.local = LocalChecks(clock.wall, self.faults.append, self._make_check)
        self.engine = Engine(
            spec,
            cast(IpvsWorker, self.kernel),
            cast(Publisher, self.cluster),
            PoolChecks(spec.resource, self.local, cast(Any, self.log), wall=clock.wall),
            cast(Any, self.log),
            desired,
            on_fault=self.faults.append,
            look=lambda *args: self.look(*args),
        )

    def _make_check(
        self, address: Address, port: int, settings: CheckSettings, _: VirtualService, way: VipPath | None = None
    ) -> Check:
        self.ways.append(way)
        return _PlayedCheck(self, str(address), settings.timeout)

    def times_of(self, address: str) -> list[float]:
        return [at for at, name in self.checks if name == address]


class _PlayedCheck(Check):
    def __init__(self, world: World, address: str, timeout: float) -> None:
        self.world, self.address, self.timeout = world, address, timeout

    async def run(self) -> Result:
        loop = asyncio.get_running_loop()
        self.world.checks.append((loop.time(), self.address))
        if self.address in self.world.hanging:
            await asyncio.sleep(self.timeout)
            return Result(False, f"timed out after {self.timeout:g} s, waiting", self.timeout)
        await asyncio.sleep(0.001)
        return (
            Result(False, "connection refused", 0.001)
            if self.address in self.world.dead
            else Result(True, "", 0.001)
        )
