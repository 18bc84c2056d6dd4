#!/usr/bin/python3
"""anycast-vip on tables that ldirectord and keepalived fill: foreign_tables.py. Run as root in a node of the lab.

Everything happens in a network namespace of its own. The two real servers are sockets on addresses of a dummy interface,
which has the anycast address as well. One line a step; the exit code is 1 when one of them failed.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hosts import (  # type: ignore[import-not-found]  # beside this file
    AGENTS,
    OCF_ERR_GENERIC,
    OCF_NOT_RUNNING,
    OCF_SUCCESS,
    VIP4,
    StepFailed,
    alone,
    eventually,
    expect,
    run,
)

REALS = ("10.254.0.11", "10.254.0.12")
SORRY = "10.254.0.99"
LIMIT_S = 30

LDIRECTORD = """\
checktimeout = 1
checkinterval = 1
negotiatetimeout = 1
checkcount = 1
quiescent = {quiescent}
virtual = {vip}:80
	real = {one}:80 gate
	real = {two}:80 gate
{sorry}	checktype = connect
	scheduler = wlc
	protocol = tcp
"""
KEEPALIVED = """\
virtual_server {vip} 80 {{
    delay_loop 1
    lb_algo wlc
    lb_kind DR
    protocol TCP
{sorry}{reals}}}
"""
KEEPALIVED_REAL = """\
    real_server {address} 80 {{
        weight 1
{inhibit}        TCP_CHECK {{
            connect_timeout 1
            retry 0
        }}
    }}
"""


class Server:
    """Accepts connections on port 80 of one address until it is stopped; the kernel does the rest."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.start()

    def start(self) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind((self.address, 80))
        self.socket.listen(1024)

    def stop(self) -> None:
        self.socket.close()


class Vip:
    """The agent, called as Pacemaker does it."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.reason = ""

    def call(self, action: str, **parameters: str) -> int:
        environ = {
            "PATH": os.environ["PATH"],
            "OCF_ROOT": "/usr/lib/ocf",
            "OCF_RESOURCE_INSTANCE": "vip",
            "OCF_RESKEY_CRM_meta_timeout": "20000",
            "OCF_RESKEY_CRM_meta_interval": "5000",
            "HA_RSCTMP": self.directory,
            "HA_LOGFACILITY": "none",
            **{f"OCF_RESKEY_{name}": value for name, value in {"ip": VIP4, "nic": "anycast0", **parameters}.items()},
        }
        done = subprocess.run([f"{AGENTS}/anycast-vip", action], env=environ, capture_output=True, text=True)
        self.reason = done.stderr.strip()
        return done.returncode

    def must(self, action: str, code: int, words: str = "", **parameters: str) -> None:
        found = self.call(action, **parameters)
        if found != code or words not in self.reason:
            raise StepFailed(f"{action} says {found}, {self.reason!r}; not {code}, {words!r}\n{table()}")


def table() -> str:
    return str(run("ipvsadm", "-Ln"))


def weights() -> dict[str, int]:
    """By address, of the real servers that there are."""
    lines = (line.split() for line in table().splitlines() if line.startswith("  -> 10."))
    return {words[1].partition(":")[0]: int(words[3]) for words in lines}


class Filler:
    """A program that fills the table, in the foreground."""

    def __init__(self, directory: str, program: str, config: str) -> None:
        path = Path(directory, f"{program}.cf")
        path.write_text(config)
        path.chmod(0o600)
        pid = f"{directory}/{program}"
        argv = {
            "ldirectord": ["ldirectord", "-d", str(path), "start"],
            "keepalived": ["keepalived", "-n", "-C", "-D", "-l", "-f", str(path), "-p", f"{pid}.pid", "-c", f"{pid}.check.pid"],
        }[program]
        self.log = Path(directory, f"{program}.log")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, cwd=directory
            )

    def stop(self) -> None:
        """It and its children; what it leaves of the table goes as well."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        run("ipvsadm", "-C")


def ldirectord(quiescent: bool, sorry: bool = False) -> str:
    line = f"\tfallback = {SORRY}:80 gate\n" if sorry else ""
    return LDIRECTORD.format(quiescent="yes" if quiescent else "no", vip=VIP4, one=REALS[0], two=REALS[1], sorry=line)


def keepalived(inhibit: bool, sorry: bool = False) -> str:
    keep = "        inhibit_on_failure\n" if inhibit else ""
    reals = "".join(KEEPALIVED_REAL.format(address=address, inhibit=keep) for address in REALS)
    return KEEPALIVED.format(vip=VIP4, sorry=f"    sorry_server {SORRY} 80\n" if sorry else "", reals=reals)


def episode(vip: Vip, servers: list[Server], directory: str, program: str, config: str, dead: str, sorry: bool) -> Iterator[str]:
    """Both alive, one dead, both dead, both back, as the gate sees it."""
    vip.must("monitor", OCF_NOT_RUNNING)
    filler = Filler(directory, program, config)
    given = {"sorry_server": f"{SORRY}:80"} if sorry else {}

    def come(wanted: dict[str, int]) -> None:
        def last() -> str:
            return table() + filler.log.read_text(errors="replace")[-2000:]

        eventually(lambda: {name: weight for name, weight in weights().items() if weight} == wanted, LIMIT_S, f"{wanted}", last)

    both = dict.fromkeys(REALS, 1)
    try:
        come(both)
        vip.must("start", OCF_SUCCESS, **given)
        vip.must("monitor", OCF_SUCCESS, **given)
        servers[0].stop()
        come({REALS[1]: 1})
        vip.must("monitor", OCF_SUCCESS, **given)
        vip.must("monitor", OCF_ERR_GENERIC, "", min_backends="2", **given)
        servers[1].stop()
        come({SORRY: 1} if sorry else {})
        vip.must("monitor", OCF_ERR_GENERIC, dead, **given)
        yield f"{program}, both dead: {vip.reason}"
        if sorry:
            vip.must("monitor", OCF_SUCCESS)
            yield f"{program}: a sorry server that the agent has not been told of counts as alive"
        vip.must("stop", OCF_SUCCESS, **given)
        vip.must("start", OCF_ERR_GENERIC, dead, **given)
        for server in servers:
            server.start()
        come(both)
        vip.must("start", OCF_SUCCESS, **given)
        vip.must("stop", OCF_SUCCESS, **given)
        expect(run("ip", "-o", "address", "show", "to", f"{VIP4}/32"), "", "the address after stop")
        yield f"{program}: one dead is no failure, both are one, and start goes again when they are back"
    finally:
        filler.stop()


def story(directory: str) -> Iterator[str]:
    servers = [Server(address) for address in REALS]
    vip = Vip(directory)
    cases = [
        ("ldirectord", ldirectord(quiescent=True), "at weight 0", False),
        ("ldirectord", ldirectord(quiescent=False), "has no backends", False),
        ("ldirectord", ldirectord(quiescent=False, sorry=True), "has no backends", True),
        ("keepalived", keepalived(inhibit=False), "has no backends", False),
        ("keepalived", keepalived(inhibit=True), "at weight 0", False),
        ("keepalived", keepalived(inhibit=False, sorry=True), "has no backends", True),
    ]
    for program, config, dead, sorry in cases:
        yield from episode(vip, servers, directory, program, config, dead, sorry)


def main() -> int:
    alone()
    run("ip", "link", "add", "anycast0", "type", "dummy")
    run("ip", "link", "set", "anycast0", "up")
    for address in (*REALS, SORRY):
        run("ip", "address", "add", f"{address}/32", "dev", "anycast0")
    with tempfile.TemporaryDirectory(prefix="foreign-tables-") as directory:
        try:
            for step in story(directory):
                print(f"ok    {step}", flush=True)
        except (StepFailed, OSError) as failed:
            print(f"FAILED  {failed}", flush=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
