"""The pool's engine without a kernel's IPVS and without a cluster: python3 -m bench.engine ADDRESS... checks them for ever."""
from __future__ import annotations

import asyncio
import os
import sys
import time

from ocfpy.checks.settings import CheckSettings
from ocfpy.healthd.engine import Engine
from ocfpy.healthd.ipvs_worker import IpvsWorker
from ocfpy.healthd.local_checks import LocalChecks
from ocfpy.healthd.pool_checks import PoolChecks
from ocfpy.healthd.publisher import NodePublisher
from ocfpy.ipvs.model import RealKey, ServiceSettings, Table, VirtualService, by_key, parse_real_server, parse_virtual
from ocfpy.ipvs.plan import Change
from ocfpy.ocf.log import Log
from ocfpy.pool.spec import PoolSpec, ServiceSpec


class EmptyTable:
    """A table that accepts everything, and is never read."""

    def read(self, only: object = None) -> Table:
        return {}

    def read_services(self, virtuals: object) -> Table:
        return {}

    def connections(self, virtual: VirtualService) -> dict[RealKey, int]:
        return {}

    def apply(self, changes: list[Change]) -> None:
        pass


def no_proc(only: object) -> dict[VirtualService, object]:
    raise FileNotFoundError  # as where IPVS is not loaded: what was made is believed


class Deaf:
    """Takes the place of Pacemaker's attribute manager."""

    def put(self, name: str, value: int, dampen: str, first: bool) -> bool:
        return True


def _raise(error: BaseException) -> None:
    raise error


async def run(addresses: list[str]) -> None:
    check = CheckSettings("tcp", interval=1.0, timeout=0.9)
    reals = by_key(parse_real_server(f"{address}:80") for address in addresses)
    service = ServiceSpec(parse_virtual("tcp/192.0.2.1:80"), reals, ServiceSettings(), check)
    kernel = IpvsWorker(EmptyTable, no_proc)  # type: ignore[arg-type]
    publisher = NodePublisher(Deaf()).of("bench")  # type: ignore[arg-type]
    log = Log("bench", "bench", os.environ)
    checks = PoolChecks("bench", LocalChecks(time.time, _raise), log)
    await Engine(PoolSpec("bench", (service,), "bench"), kernel, publisher, checks, log).start()
    await asyncio.Event().wait()


asyncio.run(run(sys.argv[1:]))
