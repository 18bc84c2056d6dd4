"""The three that check real servers: how each is told to check the same servers in the same way, started and stopped."""
from __future__ import annotations

import base64
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.testbed.uml import UmlNode

AGENT = "/usr/lib/ocf/resource.d/anycast/ipvs-pool"
FALL = 3


@dataclass(frozen=True)
class Service:
    """A virtual service (address, port 80) and its real servers."""

    virtual: str
    reals: Sequence[str]


class Checker:
    """`pattern` is what its processes are known by. `interval_s` is whole seconds: the others know no less."""

    name: str
    pattern: str
    keeps_up_with = 1000
    """Servers that it can be given at once."""

    def start(self, node: UmlNode, services: Sequence[Service], interval_s: int) -> None:
        """Returns when it has begun to check."""
        raise NotImplementedError

    def stop(self, node: UmlNode) -> None:
        """Ends it, and clears the table."""
        raise NotImplementedError


class Pool(Checker):
    """One resource per virtual service is the agent's way; here one resource holds them all, as the others do."""

    pattern = "healthd"

    def __init__(self, name: str = "ipvs-pool", **parameters: str) -> None:
        self.name = name
        self.parameters = parameters

    def start(self, node: UmlNode, services: Sequence[Service], interval_s: int) -> None:
        more = " ".join(f"OCF_RESKEY_{name}={value}" for name, value in self.parameters.items())
        for number, service in enumerate(services):
            real_servers = " ".join(service.reals)
            node.put(f"/root/pool-{number}.env", f"""\
export OCF_ROOT=/usr/lib/ocf OCF_RA_VERSION_MAJOR=1 OCF_RA_VERSION_MINOR=1 OCF_RESKEY_CRM_meta_timeout=120000
export OCF_RESOURCE_INSTANCE=pool-{number} OCF_RESOURCE_TYPE=ipvs-pool OCF_RESOURCE_PROVIDER=anycast
export OCF_RESKEY_virtual='tcp/{service.virtual}:80' OCF_RESKEY_real_servers='{real_servers}'
export OCF_RESKEY_check_interval={interval_s}s OCF_RESKEY_check_timeout=900ms OCF_RESKEY_fall={FALL} {more}
""")
            node.run(f". /root/pool-{number}.env; {AGENT} start", timeout=130).check()

    def stop(self, node: UmlNode) -> None:
        node.run(f"for e in /root/pool-*.env; do (. $e; {AGENT} stop) || exit 1; rm $e; done", timeout=130).check()


class Keepalived(Checker):
    """retry counts the failures after the first one."""

    name = "keepalived"
    pattern = "^keepalived|/keepalived "

    def start(self, node: UmlNode, services: Sequence[Service], interval_s: int) -> None:
        check = (
            f"TCP_CHECK {{\n connect_timeout 1\n retry {FALL - 1}\n delay_before_retry {interval_s}\n }}"
        )
        text = "global_defs {\n}\n"
        for service in services:
            reals = "".join(f"real_server {real} 80 {{\n weight 1\n inhibit_on_failure\n {check}\n}}\n" for real in service.reals)
            text += (
                f"virtual_server {service.virtual} 80 {{\n delay_loop {interval_s}\n lb_algo wlc\n lb_kind DR\n protocol TCP\n"
                f"{reals}}}\n"
            )
        node.put("/etc/keepalived/keepalived.conf", text)
        node.run("keepalived --check --use-file /etc/keepalived/keepalived.conf </dev/null >/dev/null 2>&1", timeout=60).check()

    def stop(self, node: UmlNode) -> None:
        node.run(
            "kill $(cat /run/keepalived.pid); for i in $(seq 100); do pidof keepalived || break; sleep 0.1; done; ipvsadm -C",
            timeout=60,
        ).check()


class Ldirectord(Checker):
    """With fork=yes, one process per virtual service; without it one server's timeout holds up all the others."""

    name = "ldirectord"
    pattern = "ldirectord"
    keeps_up_with = 100  # with a thousand it had checked none after 75 s: it runs ipvsadm for each of them first

    def start(self, node: UmlNode, services: Sequence[Service], interval_s: int) -> None:
        text = (
            f"checktimeout=1\ncheckinterval={interval_s}\nfailurecount={FALL}\nquiescent=yes\nfork=yes\n"
            "logfile=\"/root/ldirectord.log\"\n"
        )
        for service in services:
            reals = "".join(f"\treal={real}:80 gate 1\n" for real in service.reals)
            text += f"virtual={service.virtual}:80\n{reals}\tscheduler=wlc\n\tprotocol=tcp\n\tchecktype=connect\n"
        node.put("/etc/ha.d/bench.cf", text)
        node.run("ldirectord /etc/ha.d/bench.cf start </dev/null >/dev/null 2>&1", timeout=120).check()

    def stop(self, node: UmlNode) -> None:
        node.run("ldirectord /etc/ha.d/bench.cf stop; pkill -9 ldirectord; ipvsadm -C; true", timeout=120).check()


class Floor(Checker):
    """What no checker can do without: a program in C that connects and closes, and neither judges nor tells."""

    name = "connect and close, in C"
    pattern = "^/root/floor "

    def start(self, node: UmlNode, services: Sequence[Service], interval_s: int) -> None:
        with tempfile.TemporaryDirectory() as directory:
            program = compile_floor(Path(directory)).read_bytes()
        node.put("/root/floor.base64", base64.encodebytes(program).decode())
        node.run("base64 -d /root/floor.base64 >/root/floor; chmod 755 /root/floor").check()
        reals = " ".join(real for service in services for real in service.reals)
        node.run(f"setsid /root/floor {interval_s} {reals} </dev/null >/dev/null 2>&1 &").check()

    def stop(self, node: UmlNode) -> None:
        node.run(f"pkill -f '{self.pattern}'").check()


def compile_floor(directory: Path) -> Path:
    """The program of floor.c, made in a directory."""
    program = directory / "floor"
    subprocess.run(["cc", "-O2", "-o", program, Path(__file__).parent / "floor.c"], check=True)
    return program


CHECKERS: Sequence[Checker] = (Pool(), Keepalived(), Ldirectord())
