"""One check in one mode: what an operator configures, through the agent and the check, against a server that behaves so."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

from ocfpy.agents.ipvs_pool import IpvsPool
from ocfpy.checks import make_check
from ocfpy.checks.base import Check, Result
from ocfpy.ocf.addresses import parse_address
from ocfpy.ocf.context import Context

from tests.checks.cases import COMMAND, Case
from tests.checks.proxy import Fault, tcp_proxy, udp_proxy
from tests.checks.world import PROXY4, World

MODES = ("works", "wrong answer", "refused", "hangs", "half-open", "slow")
WAITING = ("hangs", "slow")
"""Those in which nothing comes: they are waited for by all checks at once."""
PATIENCE_S = 30
"""The timeout where the answer is awaited: nothing is measured here."""
TIMEOUT_S = 5
"""The timeout where it is what ends the check."""
LATE_S = 60.0
"""By how much a slow server is too late."""


def files(world: World) -> dict[str, Path]:
    """The files that a case's parameters name, by the name that they have there."""
    return {path.name: path for path in (*world.pki.directory.iterdir(), COMMAND)}


def filled(params: Mapping[str, str], paths: Mapping[str, object]) -> dict[str, str]:
    """A case's parameters, with the paths of its files in them."""
    return {name: value.replace("{", "{0[").replace("}", "]}").format(paths) for name, value in params.items()}


def make(world: World, params: dict[str, str], address: str, port: int, timeout: int) -> Check:
    """The check that the agent's parameters ask for. Raises OcfError when the agent refuses them."""
    endpoint = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    virtual = f"tcp/[2001:db8::53]:{port}" if ":" in address else f"tcp/192.0.2.53:{port}"
    given = {
        "virtual": virtual,
        "real_servers": endpoint,
        "check_interval": f"{timeout}s",
        "check_timeout": f"{timeout}s",
        **filled(params, files(world)),
    }
    environment = {
        "OCF_RESOURCE_INSTANCE": "pool",
        "HA_RSCTMP": str(world.directory),
        "HA_LOGFACILITY": "none",
        **{f"OCF_RESKEY_{name}": value for name, value in given.items()},
    }
    pool = IpvsPool(Context(["ipvs-pool", "start"], environment, "ipvs-pool"), lenient=False)
    return make_check(parse_address(address), port, pool.build.check_settings())


def attempt(
    world: World, params: dict[str, str], address: str, port: int, timeout: int = PATIENCE_S,
    proxy: AbstractAsyncContextManager[None] | None = None,
) -> Result:  # fmt: skip
    """The result of one check, made from inside the servers' namespace, with a proxy around it or not."""
    check = make(world, params, address, port, timeout)

    async def story() -> Result:
        async with AsyncExitStack() as stack:
            if proxy is not None:
                await stack.enter_async_context(proxy)
            return await check.run()

    return world.run(story())


def observe(world: World, case: Case, mode: str) -> Result:
    """What the check of `case` makes of its server in one of MODES but the WAITING."""
    server = world.started(case.wrong_server if mode == "wrong answer" and case.wrong_server else case.server)
    port = case.port or server.port
    if mode == "wrong answer":
        return attempt(world, {**case.params, **case.wrong}, server.address4, case.wrong_port or port)
    if mode == "refused":
        server.stop()
    if mode == "half-open":
        return through_proxy(world, case, Fault(cut=case.cut))
    return attempt(world, case.params, server.address4, port)


def through_proxy(world: World, case: Case, fault: Fault, timeout: int = PATIENCE_S) -> Result:
    """The result of the check with something between it and the server."""
    server = world.started(case.server)
    port = case.port or server.port
    return attempt(world, case.params, PROXY4, port, timeout, _proxy(case, server.address4, port, fault))


def _proxy(case: Case, server: str, port: int, fault: Fault) -> AbstractAsyncContextManager[None]:
    return udp_proxy(PROXY4, server, port, fault) if case.udp else tcp_proxy(PROXY4, server, port, fault)


def observe_waiting(world: World, cases: Sequence[Case], mode: str) -> dict[Case, Result]:
    """What all checks make, at the same time, of servers that stand still, or that answer LATE_S too late."""
    servers = {case: world.started(case.server) for case in cases}
    ports = {case: case.port or server.port for case, server in servers.items()}
    slow = mode == "slow"
    checks = [
        make(world, case.params, PROXY4 if slow else server.address4, ports[case], TIMEOUT_S)
        for case, server in servers.items()
    ]

    async def story() -> list[Result]:
        async with AsyncExitStack() as stack:
            places = {(case.udp, servers[case].address4, ports[case]): case for case in cases} if slow else {}
            for (_, address, port), case in places.items():
                await stack.enter_async_context(_proxy(case, address, port, Fault(delay=LATE_S)))
            return await asyncio.gather(*(check.run() for check in checks))

    frozen = [] if slow else list(dict.fromkeys(servers.values()))
    try:
        for server in frozen:
            server.freeze()
        return dict(zip(cases, world.run(story())))
    finally:
        for server in frozen:
            server.thaw()


class Observations:
    """What has been seen, each thing once: the table and the tests look at the same."""

    def __init__(self, world: World, cases: Sequence[Case]) -> None:
        self._world = world
        self._cases = cases
        self._seen: dict[tuple[Case, str], Result] = {}

    def __call__(self, case: Case, mode: str) -> Result:
        """What the check of `case` makes of its server in one of MODES."""
        if (case, mode) not in self._seen:
            if mode in WAITING:
                found = observe_waiting(self._world, self._cases, mode)
                self._seen.update({(case, mode): result for case, result in found.items()})
            else:
                self._seen[case, mode] = observe(self._world, case, mode)
        return self._seen[case, mode]
