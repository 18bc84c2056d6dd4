#!/usr/bin/python3
"""From ldirectord to ipvs-pool, and back, as docs/ldirectord.md says, and no client notices: from_ldirectord.py.

Run as root in a node of the lab. A load balancer, three real servers and a client are namespaces on one segment; the client
asks all the time, as in never_drops.py. Then the file is edited under the daemon. One line a step; the exit code is 1 when
one of them failed.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from clients import Stream, acquaint  # type: ignore[import-not-found]  # beside this file
from hosts import (  # type: ignore[import-not-found]  # beside this file
    OCF_DEGRADED,
    OCF_ERR_GENERIC,
    VIP4,
    VIP6,
    Agent,
    Host,
    alone,
    balanced,
    eventually,
    expect,
    run,
    story,
)

LIMIT_S = 120.0
ABOVE = "checkinterval=1\nchecktimeout=15\nautoreload=yes\n"
LOG = Path("/var/log/ldirectord.log")
SERVICES = 4
DNS = '\trequest="www.example.com"\n\treceive="^[0-9.]+$"\n'


class Director:
    """An ldirectord on a host, and the file that it has."""

    def __init__(self, host: Host, path: Path) -> None:
        self.host = host
        self.path = path
        self.pid = Path(f"/run/ldirectord.{path.name}.pid")

    def write(self, *servers: tuple[Host, int], more: str = "") -> None:
        """The file, with these real servers and their weights."""
        text = ABOVE + more
        for port, check in ((80, "\tchecktype=connect\n"), (53, DNS)):
            for six, vip in (("", VIP4), ("6", f"[{VIP6}]")):
                text += f"\nvirtual{six}={vip}:{port}\n\tscheduler=wrr\n{check}"
                for server, weight in servers:
                    text += f"\treal{six}={f'[{server.ip6}]' if six else server.ip4}:{port} gate {weight}\n"
        self.path.write_text(text)

    def start(self) -> None:
        """Returns when it has made each service, or has taken over the one that was there."""
        said = len(self._said())
        self.host.inside("/usr/sbin/ldirectord", str(self.path), "start")
        eventually(lambda: self._said()[said:].count(" virtual server: ") == SERVICES, LIMIT_S, "ldirectord starts", self._said)

    def _said(self) -> str:
        return LOG.read_text() if LOG.exists() else ""

    def kill(self) -> None:
        """End it; its table stays."""
        os.kill(int(self.pid.read_text()), signal.SIGKILL)

    def table(self) -> list[str]:
        """The lines of `ipvsadm -Sn`, sorted."""
        return sorted(self.host.inside("ipvsadm", "-Sn").splitlines())

    def wait(self, *servers: tuple[Host, int]) -> list[str]:
        """The table, as soon as it has exactly these with their weights."""
        wanted = sorted(
            f"-r {vip}:{port} -g -w {weight}"
            for server, weight in servers for vip in (server.ip4, f"[{server.ip6}]") for port in (80, 53)
        )  # fmt: skip

        def found() -> list[str]:
            return sorted(line[line.index("-r ") :].strip() for line in self.table() if " -r " in line)

        eventually(lambda: found() == wanted, LIMIT_S, f"the table has {wanted}", found)
        return self.table()


def moved(director: Director, pool: Agent, stream: Stream) -> Iterator[str]:
    """There, back, and there again; the table stays as it is."""
    table = director.table()

    def there() -> str:
        director.kill()
        stream.flow()
        took = pool.must("start")
        stream.flow()
        expect(director.table(), table, "the table after the start of ipvs-pool")
        pool.must("monitor")
        return f"kill -9 of ldirectord, and a start of ipvs-pool ({took:.2f} s): the same table"

    director.host.inside(
        "env", "OCF_ROOT=/usr/lib/ocf", "OCF_CHECK_LEVEL=10", f"OCF_RESKEY_config={director.path}", pool.path, "validate-all"
    )
    yield there()
    os.kill(daemon(pool), signal.SIGKILL)
    eventually(lambda: pool.call("probe") == OCF_ERR_GENERIC, LIMIT_S, "the daemon is gone", lambda: pool.reason)
    director.start()
    stream.flow()
    expect(director.table(), table, "the table after the start of ldirectord")
    yield "kill -9 of the daemon, and ldirectord again: the same table"
    yield there()


def daemon(pool: Agent) -> int:
    return int(Path(f"{pool.rundir}/anycast/healthd.lock").read_text())


def edited(director: Director, pool: Agent, stream: Stream, servers: list[Host]) -> Iterator[str]:
    """What autoreload=yes makes of another file."""
    one, two, three = servers
    now = (one, 5), (two, 2), (three, 1)
    director.write(*now)
    kept = director.wait(*now)
    stream.flow()
    pool.must("monitor")
    yield "the file is edited: one server more, another weight, and the table follows"

    director.write((one, 5), (two, 2), more="checkinterwal=2\n")

    def named() -> bool:
        return bool(pool.call("monitor") == OCF_DEGRADED and "line 4" in pool.reason and "checkinterwal" in pool.reason)

    eventually(named, LIMIT_S, "monitor names the line", lambda: pool.reason)
    stream.flow()
    expect(director.table(), kept, "the table")
    yield f"a wrong line changes nothing, and monitor says so: {pool.reason}"

    director.write(*now)
    eventually(lambda: pool.call("monitor") == 0, LIMIT_S, "monitor is content again", lambda: pool.reason)
    expect(director.table(), kept, "the table")
    yield "the line is right again, and so is monitor"


def steps(directory: str) -> Iterator[str]:
    with balanced() as (lb, servers, client):
        director = Director(lb, Path(directory, "moving.cf"))
        pool = Agent(lb, "ipvs-pool", f"{directory}/run", "web", config=str(director.path))
        first = [(servers[0], 3), (servers[1], 2)]
        director.write(*first)
        director.start()
        director.wait(*first)
        acquaint(client, servers[:2])
        yield "ldirectord serves"
        with Stream(client) as stream:
            yield from moved(director, pool, stream)
            yield from edited(director, pool, stream, servers)
            stream.flow()
        yield f"nothing was lost of {stream.asked}"
        pool.must("stop")


if __name__ == "__main__":
    run("modprobe", "-a", "bridge", "veth", "ip_vs")
    alone()
    sys.exit(story(steps))
