#!/usr/bin/python3
"""ldirectord and ipvs-pool with the same files: ldirectord_same.py DIRECTORY [AGENT]. Run as root in a node of the lab.

DIRECTORY holds the *.cf; a few of them are played at a time, because a ldirectord takes 30 MB and a core for seconds. Each of
the two has a network namespace, and so an IPVS table, of its own; both check the same servers, in a third one. After each of
the steps below the two tables have to become the same, line by line as `ipvsadm -Sn` shows them, and stay so. One line a
step; when one of them failed, also a second time, the exit code is 1, and the differences are the last that is said.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import ldirectord_servers  # type: ignore[import-not-found]  # beside this file
from ldirectord_servers import NETS, SILENT, UNREACHABLE

AGENT = "/usr/lib/ocf/resource.d/anycast/ipvs-pool"
WORK = Path("/run/same")
CERTIFICATE = f"{WORK}/certificate"
THEIRS, OURS, SERVERS = "same-ld", "same-us", "same-rs"
AT_A_TIME = 6
"""Files, which leave 200 of 512 MiB. All at once they use these up: then what is run is read from the disk anew each time, and
nothing settles any more. With memory enough they take as long as in two parts, on a node with one core."""
ATTEMPTS = 2
LIMIT_S = 240.0
CALM_S = 2.5
"""So long, which is more than two check intervals, must nothing change any more."""
HOSTS = """127.0.0.1 localhost
::1 localhost
192.0.2.10 vip.example.com
2001:db8::10 vip6.example.com
10.254.1.11 web1.example.com web1
fd00:254:1::11 web1.example.com web1
10.254.1.12 web2.example.com web2
fd00:254:1::12 web2.example.com web2
"""

RESOLVER = "options timeout:2 attempts:1\n"
"""ldirectord's: it does not see that a port for UDP is closed, and is to wait no longer than that."""
LOCAL = (" -r 127.0.0.1:", " -r [::1]:")
"""Where the sorry servers are."""


class StepFailed(Exception):
    """What was expected and what was found."""


def run(*argv: str, check: bool = True) -> str:
    done = subprocess.run(argv, capture_output=True, text=True)
    if check and done.returncode:
        raise StepFailed(f"{' '.join(argv)}: {done.stderr or done.stdout}")
    return done.stdout


def within(namespace: str, *argv: str) -> list[str]:
    return ["ip", "netns", "exec", namespace, *argv]


def table(namespace: str) -> list[str]:
    """The lines of `ipvsadm -Sn`, those of real servers with their service, sorted: their order is that of the changes."""
    return sorted(run("nsenter", f"--net=/run/netns/{namespace}", "ipvsadm", "-Sn").splitlines())


# ---- the wiring


class Servers:
    """The process that serves."""

    def __init__(self) -> None:
        with (WORK / "servers").open("w") as errors:
            self.process = subprocess.Popen(
                within(SERVERS, sys.executable, "-IS", ldirectord_servers.__file__, CERTIFICATE),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
        self._answer("ready")

    def tell(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        self._answer("done")

    def _answer(self, wanted: str) -> None:
        assert self.process.stdout is not None
        answer = self.process.stdout.readline().strip()
        if answer != wanted:
            raise StepFailed(f"the servers say {answer!r}, not {wanted!r}")

    def close(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


def wire() -> None:
    for namespace in (THEIRS, OURS, SERVERS):
        run("ip", "netns", "add", namespace)
        run("ip", "-n", namespace, "link", "set", "lo", "up")
        directory = Path("/etc/netns", namespace)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "hosts").write_text(HOSTS)
        (directory / "resolv.conf").write_text(RESOLVER)
    run("ip", "-n", SERVERS, "link", "add", "br0", "type", "bridge")
    run("ip", "-n", SERVERS, "link", "set", "br0", "up")
    for number in (11, 12, 13, 14, 15, 16):
        address(SERVERS, "br0", number)
    for number, namespace in enumerate((THEIRS, OURS), 1):
        port = f"port{number}"
        run("ip", "-n", namespace, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", SERVERS)
        run("ip", "-n", SERVERS, "link", "set", port, "master", "br0", "up")
        run("ip", "-n", namespace, "link", "set", "eth0", "up")
        address(namespace, "eth0", number)
        run("ip", "-n", namespace, "neigh", "add", NETS[0].format(SILENT), "lladdr", "02:00:00:00:00:18", "dev", "eth0")
        for net in NETS:
            run("ip", "-n", namespace, "route", "add", "unreachable", net.format(UNREACHABLE))


def address(namespace: str, device: str, number: int) -> None:
    run("ip", "-n", namespace, "addr", "add", NETS[0].format(number) + "/24", "dev", device)
    run("ip", "-n", namespace, "addr", "add", NETS[1].format(number) + "/64", "dev", device, "nodad")


def unwire() -> None:
    for namespace in (THEIRS, OURS, SERVERS):
        for pid in run("ip", "netns", "pids", namespace, check=False).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        run("ip", "netns", "delete", namespace, check=False)
        shutil.rmtree(Path("/etc/netns", namespace), ignore_errors=True)


def scripts() -> None:
    """What the files call; each call is noted for the one who made it, which the network namespace tells."""
    note = 'echo "$*" >>/run/same/{}.$(readlink /proc/self/ns/net | tr -dc 0-9)\n'
    executable("check.sh", f"#!/bin/sh\n{note.format('checked')}case $3.$4 in *.11.*|*.2001) exit 0;; esac\nexit 1\n")
    executable("check.pl", 'exit($ARGV[2] =~ /\\.12$/ ? 0 : 1);\n')
    executable("fallback.sh", f"#!/bin/sh\n{note.format('fallback')}")
    (WORK / "maintenance").mkdir()


def executable(name: str, text: str) -> None:
    path = WORK / name
    path.write_text(text)
    path.chmod(0o755)


def noted(name: str, namespace: str) -> list[str]:
    """The lines that a script has noted for one of the two."""
    inode = run(*within(namespace, "readlink", "/proc/self/ns/net"))
    path = WORK / f"{name}.{''.join(filter(str.isdigit, inode))}"
    return path.read_text().splitlines() if path.exists() else []


# ---- the two


class Directors:
    """One ldirectord for each file."""

    def __init__(self, configs: list[Path]) -> None:
        self.configs = configs

    def start(self) -> list[subprocess.Popen[bytes]]:
        """Each becomes a daemon when it has started, and its process ends.

        They trust the servers' certificate, without which they take https for dead; its name is that of no server.
        """
        environ = {**os.environ, "SSL_CERT_FILE": f"{CERTIFICATE}.pem"}
        return [
            subprocess.Popen(
                within(THEIRS, "/usr/sbin/ldirectord", str(config), "start"), env=environ, stdout=subprocess.DEVNULL
            )
            for config in self.configs
        ]

    def stop(self) -> None:
        """Does not wait. The signal is all that `ldirectord CONFIG stop` sends."""
        for config in self.configs:
            os.kill(int(Path(f"/run/ldirectord.{config.name}.pid").read_text()), signal.SIGTERM)


class Pools:
    """One resource for each file, called as Pacemaker calls it."""

    def __init__(self, agent: str, configs: list[Path]) -> None:
        self.agent = agent
        self.configs = configs
        self.tool = shutil.which("attrd_updater", path="/usr/sbin:/usr/bin:/sbin")
        if self.tool is None:
            raise StepFailed("attrd_updater is not installed")
        run("mount", "--bind", shutil.which("true") or "/bin/true", self.tool)

    def call(self, action: str) -> None:
        """The same with every resource, at the same time."""
        calls = [
            subprocess.Popen(
                within(OURS, self.agent, action), env=self._environ(config), stderr=subprocess.PIPE,
                stdout=subprocess.DEVNULL, text=True,
            )
            for config in self.configs
        ]  # fmt: skip
        for config, process in zip(self.configs, calls):
            _, reason = process.communicate()
            if process.returncode:
                raise StepFailed(f"{action} of {config.name} says {process.returncode}: {reason.strip()}")

    def _environ(self, config: Path) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"], "OCF_ROOT": "/usr/lib/ocf", "OCF_RESOURCE_INSTANCE": config.stem,
            "OCF_RESKEY_CRM_meta_timeout": "240000", "HA_RSCTMP": str(WORK), "HA_LOGFILE": str(WORK / "log"),
            "HA_LOGFACILITY": "none", "OCF_RESKEY_config": str(config), "OCF_RESKEY_check_command_user": "root",
        }  # fmt: skip

    def close(self) -> None:
        """Give the cluster's program back; the daemons go with their namespace."""
        assert self.tool is not None
        run("umount", self.tool)


def both(wanted: Callable[[list[str]], bool], what: str, limit: float = LIMIT_S) -> float:
    """Seconds until the two tables are the same and as wanted, and stay so."""
    begun = time.monotonic()
    last: list[list[str]] = [[], []]
    changed = [begun, begun]
    while True:
        tables = [table(THEIRS), table(OURS)]
        now = time.monotonic()
        changed = [when if new == old else now for when, new, old in zip(changed, tables, last)]
        if tables[0] == tables[1] and wanted(tables[0]) and now - max(changed) >= CALM_S:
            return max(changed) - begun
        last = tables
        if now - begun > limit:
            ago = " and ".join(f"{who}'s {now - when:.1f} s" for who, when in zip(("ldirectord", "ipvs-pool"), changed))
            raise StepFailed(f"{what}: not within {limit:.0f} s; the last change was {ago} ago\n{difference(*tables)}")
        time.sleep(0.3)


def difference(theirs: list[str], ours: list[str]) -> str:
    same = theirs == ours
    lines = theirs if same else difflib.unified_diff(theirs, ours, "ldirectord", "ipvs-pool", lineterm="", n=0)
    return "\n".join(["they are the same:" if same else "they differ:", *lines])


def agree(said: Callable[[str], object], what: str) -> None:
    """Returns when both say the same."""
    end = time.monotonic() + LIMIT_S
    while (theirs := said(THEIRS)) != (ours := said(OURS)):
        if time.monotonic() > end:
            raise StepFailed(f"{what}: ldirectord has {theirs}, ipvs-pool {ours}")
        time.sleep(0.2)


def last_words(namespace: str) -> dict[str, str]:
    """What the fallback command was told last, by its other arguments."""
    words: dict[str, str] = {}
    for line in noted("fallback", namespace):
        arguments = line.split()
        word = next(one for one in arguments if one in ("start", "stop"))
        words[" ".join(one for one in arguments if one != word)] = word
    return words


def checked(namespace: str) -> list[str]:
    """The arguments with which the check command was called."""
    return sorted(set(noted("checked", namespace)))


def story(directors: Directors, pools: Pools, servers: Servers) -> Iterator[str]:
    """Every step with some files, as what it has shown."""
    text = "".join(config.read_text() for config in pools.configs)
    begun = time.monotonic()
    starting = directors.start()
    pools.call("start")
    if any(process.wait(LIMIT_S) for process in starting):
        raise StepFailed("an ldirectord does not start")
    services = len(re.findall("^virtual", text, re.MULTILINE))  # nothing may be missing in both
    both(lambda lines: sum(line.startswith("-A") for line in lines) == services, "the first tables")
    golden = table(OURS)
    names = ", ".join(config.stem for config in pools.configs)
    yield f"{names}: {len(golden)} lines, the same after {time.monotonic() - begun:.1f} s"

    if "maintenancedir" in text:
        for name in ("10.254.1.11", "[fd00:254:1::12]:80", "web2:443"):
            (WORK / "maintenance" / name).touch()
        took = both(lambda lines: len(set(golden) - set(lines)) == 4, "servers in maintenance are out")
        for path in (WORK / "maintenance").iterdir():
            path.unlink()
        took += both(lambda lines: lines == golden, "servers are back from maintenance")
        yield f"files in maintenancedir take servers out, and give them back: {took:.1f} s"

    servers.tell("down 12")
    took = both(lambda lines: lines != golden, "without server 12")
    without = table(OURS)
    yield f"a server dies: the same after {took:.1f} s"
    servers.tell("down 11")
    took = both(lambda lines: lines != without and bool(sorry(lines, golden)) == ("fallback=" in text), "no server is left")
    agree(last_words, "what the fallback command was told")
    yield f"the last one dies, and sorry servers take over: the same after {took:.1f} s, and the same is told"
    servers.tell("up 11")
    servers.tell("up 12")
    took = both(lambda lines: lines == golden, "all are back")
    agree(last_words, "what the fallback command was told")
    agree(checked, "the arguments of the check command")
    yield f"all are back: the same after {took:.1f} s"

    removed = "[2001:db8::1]:80", "[fd00:254:1::13]:80"
    if any(removed[0] in line and removed[1] in line for line in golden):
        for namespace in (THEIRS, OURS):
            run(*within(namespace, "ipvsadm", "-d", "-t", removed[0], "-r", removed[1]))
        both(lambda lines: len(lines) == len(golden) - 1, "a quiescent server that is removed by hand stays out")
        yield "a quiescent server that is removed by hand stays out"

    directors.stop()
    pools.call("stop")
    took = both(lambda lines: not lines, "nothing is left after a stop")
    yield f"nothing is left after a stop: {took:.1f} s"


def sorry(lines: list[str], golden: list[str]) -> list[str]:
    """The sorry servers that were not there."""
    return [line for line in lines if line not in golden and any(where in line for where in LOCAL)]


def attempt(agent: str, configs: list[Path]) -> None:
    """The story, in namespaces of its own."""
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir()
    unwire()
    pools = servers = None
    try:
        wire()
        scripts()
        servers = Servers()
        pools = Pools(agent, configs)
        for line in story(Directors(configs), pools, servers):
            print(line, flush=True)
    finally:
        if pools is not None:
            pools.close()
        if servers is not None:
            servers.close()
        unwire()


def logs() -> str:
    """The last log lines of both."""
    paths = WORK / "servers", Path("/var/log/ldirectord.log"), WORK / "log"
    return "\n".join(f"--- {path}\n{path.read_text()[-2000:]}" for path in paths if path.exists())


def main(argv: list[str]) -> int:
    agent = argv[1] if len(argv) > 1 else AGENT
    configs = sorted(Path(argv[0]).glob("*.cf"))
    for first in range(0, len(configs), AT_A_TIME):
        for left in reversed(range(ATTEMPTS)):
            try:
                attempt(agent, configs[first : first + AT_A_TIME])
                break
            except StepFailed as failed:
                print(f"{logs()}\nFAILED {failed}", flush=True)
                if not left:
                    return 1
                print("once more", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
