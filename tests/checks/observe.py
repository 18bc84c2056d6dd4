"""One check in one mode: what an operator configures, through the agent and the check, against a server that behaves so."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any

from ocfpy.agents.ipvs_pool import IpvsPool
from ocfpy.health.checks import make_check
from ocfpy.health.checks.base import Check, Result
from ocfpy.ocf.addresses import parse_address
from ocfpy.ocf.context import Context

from tests.checks.cases import Case
from tests.checks.proxy import Fault, tcp_proxy, udp_proxy
from tests.checks.world import PROXY4, Server, World

MODES = ("works", "wrong answer", "refused", "hangs", "half-open", "slow")
PATIENCE_S = 30
"""The timeout where the answer is awaited: nothing is measured here."""
TIMEOUT_S = 1
"""The timeout where it is what ends the check."""
LATE_S = 3.0


def make(world: World, params: dict[str, str], address: str, port: int, timeout: int) -> Check:
    """The check that the agent's parameters ask for. Raises OcfError when the agent refuses them."""
    files = {path.name: str(path) for path in world.pki.directory.iterdir()}
    texts = {name: value.replace("{", "{0[").replace("}", "]}").format(files) for name, value in params.items()}
    endpoint = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    virtual = f"tcp/[2001:db8::53]:{port}" if ":" in address else f"tcp/192.0.2.53:{port}"
    given = {
        "virtual": virtual,
        "real_servers": endpoint,
        "check_interval": f"{timeout}s",
        "check_timeout": f"{timeout}s",
        **texts,
    }
    environment = {
        "OCF_RESOURCE_INSTANCE": "pool",
        "HA_RSCTMP": str(world.directory),
        "HA_LOGFACILITY": "none",
        **{f"OCF_RESKEY_{name}": value for name, value in given.items()},
    }
    pool = IpvsPool(Context(["ipvs-pool", "start"], environment, "ipvs-pool"), lenient=False)
    return make_check(parse_address(address), port, pool.check_settings())


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
    """What the check of `case` makes of its server in one of MODES."""
    server = world.started(case.wrong_server if mode == "wrong answer" and case.wrong_server else case.server)
    port = case.port or server.port
    if mode == "wrong answer":
        return attempt(world, {**case.params, **case.wrong}, server.address4, port)
    if mode == "refused":
        server.stop()
        return attempt(world, case.params, server.address4, port)
    if mode == "hangs":
        server.freeze()
        try:
            return attempt(world, case.params, server.address4, port, TIMEOUT_S)
        finally:
            server.thaw()
    if mode == "half-open":
        return through_proxy(world, case, server, Fault(cut=case.cut))
    if mode == "slow":
        return through_proxy(world, case, server, Fault(delay=LATE_S), TIMEOUT_S)
    return attempt(world, case.params, server.address4, port)


def through_proxy(world: World, case: Case, server: Server, fault: Fault, timeout: int = PATIENCE_S) -> Result:
    """The result of the check with something between it and the server."""
    port = case.port or server.port
    proxy: Any = udp_proxy if case.udp else tcp_proxy
    return attempt(world, case.params, PROXY4, port, timeout, proxy(PROXY4, server.address4, port, fault))
