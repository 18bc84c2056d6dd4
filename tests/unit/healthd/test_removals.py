"""Servers that are down, have weight 0, and are removed by another program."""

from __future__ import annotations

from ocfpy.ipvs.model import RealServer
from ocfpy.pool.desired import Desired
from ocfpy.pool.placement import Observation
from ocfpy.pool.spec import PoolSpec, ServiceSpec

from tests.unit.healthd.samples import pool

ONE, TWO = "10.0.0.11", "10.0.0.12"


class World:
    def __init__(self, spec: PoolSpec) -> None:
        self.spec = spec
        self.desired = Desired()
        self.down = {ONE}

    def _see(self, service: ServiceSpec, real: RealServer) -> Observation:
        return Observation(str(real.address) not in self.down)

    def update(self) -> dict[str, int]:
        """The weights of those that are wanted in the table."""
        self.desired.update(self.spec, self._see, 0.0)
        ((_, reals),) = self.desired.table.values()
        return {str(real.address): real.weight for real in reals.values()}


def test_they_stay_out_until_they_are_up() -> None:
    world = World(pool(readd=False))
    assert world.update() == {ONE: 0, TWO: 1}
    ((where),) = world.desired.quiescent(world.spec)
    assert str(where[1][0]) == ONE
    world.desired.leave_out([where])
    for _ in range(2):
        assert world.update() == {TWO: 1}
        assert world.desired.quiescent(world.spec) == set()
    world.down = set()
    assert world.update() == {ONE: 1, TWO: 1}
    world.down = {ONE}
    assert world.update() == {ONE: 0, TWO: 1}


def test_with_readd_no_server_is_left_out() -> None:
    world = World(pool(readd=True))
    world.update()
    assert world.desired.quiescent(world.spec) == set()
