"""An ipvs-pool agent in a directory of its own, and a daemon whose answers are known."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ocfpy.agents.ipvs_pool import IpvsPool
from ocfpy.ocf.context import Context

DNS = "udp/192.0.2.53:53"
LIMIT_S = 20
MINIMUM = {"virtual": DNS, "real_servers": "10.0.0.11 10.0.0.12", "check": "tcp"}


def environ(rundir: Path, params: Mapping[str, str], **more: str) -> dict[str, str]:
    return {
        "OCF_RESOURCE_INSTANCE": "dns:1",
        "OCF_RESOURCE_PROVIDER": "anycast",
        "HA_RSCTMP": str(rundir),
        "HA_LOGFACILITY": "none",
        **{f"OCF_RESKEY_{name}": value for name, value in params.items()},
        **more,
    }


def agent(rundir: Path, **params: str) -> IpvsPool:
    context = Context(["ipvs-pool", "monitor"], environ(rundir, {**MINIMUM, **params}), "ipvs-pool")
    return IpvsPool(context, lenient=False)


@contextmanager
def daemon_that_says(pool: IpvsPool, *answers: str) -> Iterator[list[str]]:
    """Answers one question after the other; yields the questions."""
    Path(pool.context.rundir).mkdir(exist_ok=True)
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(pool.paths.node.socket)
        server.listen()
        server.settimeout(LIMIT_S)

        def serve() -> None:
            for answer in answers:
                connection, _ = server.accept()
                with connection:
                    heard.append(connection.recv(100).decode().strip())
                    connection.sendall(f"{answer}\n".encode())

        thread = threading.Thread(target=serve)
        thread.start()
        yield heard
        thread.join(LIMIT_S)
