#!/usr/bin/python3
"""ldirectord and ipvs-pool with the same files: ldirectord_same.py DIRECTORY [AGENT]. Run as root in a node of the lab.

DIRECTORY holds the *.cf. Each of the two has a network namespace, and so an IPVS table, of its own; both check the same
servers, in a third one. After each of the steps below the two tables have to become the same, line by line as
`ipvsadm -Sn` shows them, and stay so. One line a step; the exit code is 1, with the differences, when one of them failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Callable

AGENT = "/usr/lib/ocf/resource.d/anycast/ipvs-pool"
WORK = Path("/run/same")
THEIRS, OURS, SERVERS = "same-ld", "same-us", "same-rs"
LIMIT_S = 240.0
CALM_S = 2.5
"""So long, which is more than two check intervals, must nothing change any more."""
LEAST_LINES = 95
"""Of the first tables: nothing that is in the files may be missing in both."""
NETS = ("10.254.1.{}", "fd00:254:1::{}")
HOSTS = """127.0.0.1 localhost
::1 localhost
192.0.2.10 vip.example.com
2001:db8::10 vip6.example.com
10.254.1.11 web1.example.com web1
fd00:254:1::11 web1.example.com web1
10.254.1.12 web2.example.com web2
fd00:254:1::12 web2.example.com web2
"""

ALIVE = (11, 12, 14, 15, 16)
"""Last parts of the addresses: 11 is right in everything, 12 does not know the password, 13 refuses everything and answers
pings, 14 says something else, 15 is there on port 8080 only, 16 sends redirects and fails in the DNS; others are not there."""


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
    return sorted(run(*within(namespace, "ipvsadm", "-Sn")).splitlines())


# ---- the servers


def page(number: int, path: str, method: str) -> bytes:
    status, more = "200 OK", ""
    body = "Other Page" if "other" in path else "Wrong Page" if number == 14 else "Test Page\n"
    if number == 16 and path != "/index.html":
        status, more, body = "301 Moved Permanently", "Location: /index.html\r\n", ""
    elif "missing" in path:
        status, body = "404 Not Found", "nothing"
    head = f"HTTP/1.1 {status}\r\n{more}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return (head + ("" if method == "HEAD" else body)).encode()


async def http(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    request = (await reader.readuntil(b"\r\n\r\n")).decode()
    method, path, _ = request.split(None, 2)
    writer.write(page(number, path, method))


def dns_answer(number: int, query: bytes) -> bytes:
    """An address for www.example.com, a name for 192.0.2.7; another address from 14, SERVFAIL from 16."""
    end = query.index(b"\0", 12) + 5
    question = query[12:end]
    if number == 16:
        return query[:2] + b"\x84\x02\0\1\0\0\0\0\0\0" + question
    if question[-4:-2] == b"\0\x0c":
        kind, data = b"\0\x0c", b"\3www\7example\3com\0"
    else:
        kind, data = b"\0\1", bytes((192, 0, 2, 9 if number == 14 else 7))
    record = b"\xc0\x0c" + kind + b"\0\1\0\0\0\x3c" + len(data).to_bytes(2, "big") + data
    return query[:2] + b"\x84\0\0\1\0\1\0\0\0\0" + question + record


async def dns_tcp(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    size = int.from_bytes(await reader.readexactly(2), "big")
    answer = dns_answer(number, await reader.readexactly(size))
    writer.write(len(answer).to_bytes(2, "big") + answer)


class DnsUdp(asyncio.DatagramProtocol):
    def __init__(self, number: int) -> None:
        self.number = number

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport)
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(dns_answer(self.number, data), addr)


async def smtp(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"554 go away\r\n" if number == 14 else b"220 here\r\n")
    while not (line := await reader.readline()).upper().startswith(b"QUIT") and line:
        writer.write(b"250 here\r\n")
    writer.write(b"221 bye\r\n")


async def pop(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"+OK here\r\n")
    while not (line := await reader.readline()).upper().startswith(b"QUIT") and line:
        refused = line.upper().startswith(b"PASS") and number == 12
        answer = b"+OK\r\nUSER\r\n.\r\n" if line.upper().startswith(b"CAPA") else b"+OK 0 0\r\n"
        writer.write(b"-ERR no\r\n" if refused else answer)
    writer.write(b"+OK bye\r\n")


async def imap(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"* OK [CAPABILITY IMAP4rev1] here\r\n")
    while line := await reader.readline():
        tag, verb, *_ = line.decode().split()
        refused = verb.upper() == "LOGIN" and number == 12
        if verb.upper() == "CAPABILITY":
            writer.write(b"* CAPABILITY IMAP4rev1\r\n")
        writer.write(f"{tag} {'NO' if refused else 'OK'} done\r\n".encode())
        if verb.upper() == "LOGOUT":
            break


async def nntp(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"502 no\r\n" if number == 14 else b"200 here\r\n")
    await reader.read()


async def echo(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    line = await reader.readline()
    writer.write(b"welcome\nyou said " + line)


SPEAKERS = {
    25: smtp, 53: dns_tcp, 80: http, 110: pop, 119: nntp, 143: imap, 7000: echo, 8080: http,
}  # fmt: skip


async def serve() -> None:
    """Serves at all addresses; "down 12" and "up 12" on standard input take one out and bring it back."""
    listening: dict[int, list[asyncio.AbstractServer | asyncio.BaseTransport]] = {}

    async def start(number: int) -> None:
        found = listening.setdefault(number, [])
        for net in NETS:
            host = net.format(number)
            for port, speak in SPEAKERS.items():
                if number != 15 or port == 8080:
                    found.append(await asyncio.start_server(speaker(number, speak), host, port))
            udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: DnsUdp(number), (host, 53))
            found.append(udp)

    for number in ALIVE:
        await start(number)
    print("ready", flush=True)
    while command := await asyncio.to_thread(sys.stdin.readline):
        word, address = command.split()
        if word == "up":
            await start(int(address))
        else:
            for one in listening.pop(int(address)):
                one.close()
        print("done", flush=True)


Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Speak = Callable[[int, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def speaker(number: int, speak: Speak) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, asyncio.IncompleteReadError):
            await speak(number, reader, writer)
            await writer.drain()
        writer.close()

    return talk


class Servers:
    """The process that serves."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            within(SERVERS, sys.executable, "-IS", os.path.abspath(__file__), "--serve"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
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


# ---- the wiring


def wire() -> None:
    for namespace in (THEIRS, OURS, SERVERS):
        run("ip", "netns", "add", namespace)
        run("ip", "-n", namespace, "link", "set", "lo", "up")
        directory = Path("/etc/netns", namespace)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "hosts").write_text(HOSTS)
        (directory / "resolv.conf").write_text("")
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


def ldirectord(config: Path, action: str) -> None:
    run(*within(THEIRS, "/usr/sbin/ldirectord", str(config), action))


class Pools:
    """One resource for each file, called as Pacemaker calls it."""

    def __init__(self, agent: str, configs: list[Path]) -> None:
        self.agent = agent
        self.configs = configs
        self.tool = shutil.which("attrd_updater", path="/usr/sbin:/usr/bin:/sbin")
        if self.tool is None:
            raise StepFailed("attrd_updater is not installed")
        run("mount", "--bind", shutil.which("true") or "/bin/true", self.tool)

    def call(self, config: Path, action: str) -> tuple[int, str]:
        environ = {
            "PATH": os.environ["PATH"], "OCF_ROOT": "/usr/lib/ocf", "OCF_RESOURCE_INSTANCE": config.stem,
            "OCF_RESKEY_CRM_meta_timeout": "240000", "HA_RSCTMP": str(WORK), "HA_LOGFILE": str(WORK / "log"),
            "HA_LOGFACILITY": "none", "OCF_RESKEY_config": str(config),
        }  # fmt: skip
        done = subprocess.run(within(OURS, self.agent, action), env=environ, capture_output=True, text=True)
        return done.returncode, done.stderr.strip()

    def all(self, action: str) -> None:
        """The same with every resource."""
        for config in self.configs:
            code, reason = self.call(config, action)
            if code:
                raise StepFailed(f"{action} of {config.name} says {code}: {reason}")

    def close(self) -> None:
        """Give the cluster's program back; the daemons go with their namespace."""
        assert self.tool is not None
        run("umount", self.tool)


def both(wanted: Callable[[list[str]], bool], what: str, limit: float = LIMIT_S) -> float:
    """Seconds until the two tables are the same and as wanted, and stay so."""
    begun = time.monotonic()
    since = None
    last: list[list[str]] = [[], []]
    while True:
        tables = [table(THEIRS), table(OURS)]
        now = time.monotonic()
        if tables != last or tables[0] != tables[1] or not wanted(tables[0]):
            since = now
        elif since is not None and now - since >= CALM_S:
            return since - begun
        last = tables
        if now - begun > limit:
            raise StepFailed(f"{what}: not within {limit:.0f} s\n{difference(*tables)}")
        time.sleep(0.2)


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


def story(pools: Pools, servers: Servers) -> Iterator[str]:
    """Every step, as what it has shown."""
    begun = time.monotonic()
    starting = [
        subprocess.Popen(within(THEIRS, "/usr/sbin/ldirectord", str(config), "start"), stdout=subprocess.DEVNULL)
        for config in pools.configs
    ]
    pools.all("start")
    if any(process.wait(LIMIT_S) for process in starting):
        raise StepFailed("an ldirectord does not start")
    both(lambda lines: len(lines) >= LEAST_LINES, "the first tables")
    golden = table(OURS)
    yield f"{len(pools.configs)} files, {len(golden)} lines: the same, after {time.monotonic() - begun:.1f} s"

    for name in ("10.254.1.11", "[fd00:254:1::12]:80", "web2:443"):
        (WORK / "maintenance" / name).touch()
    took = both(lambda lines: len(set(golden) - set(lines)) == 4, "servers in maintenance are out")
    for path in (WORK / "maintenance").iterdir():
        path.unlink()
    took += both(lambda lines: lines == golden, "servers are back from maintenance")
    yield f"files in maintenancedir take servers out, and give them back: {took:.1f} s"

    servers.tell("down 12")
    took = both(lambda lines: len(lines) < len(golden), "without server 12")
    yield f"a server dies: the same after {took:.1f} s"
    servers.tell("down 11")
    took = both(lambda lines: any("192.0.2.8:85 -r 127.0.0.1:85 " in line for line in lines), "nobody is left")
    agree(last_words, "what the fallback command was told")
    yield f"the last one dies, and sorry servers take over: the same after {took:.1f} s, and the same is told"
    servers.tell("up 11")
    servers.tell("up 12")
    took = both(lambda lines: lines == golden, "all are back")
    agree(last_words, "what the fallback command was told")
    agree(checked, "the arguments of the check command")
    yield f"all are back: the same after {took:.1f} s"

    for namespace in (THEIRS, OURS):
        run(*within(namespace, "ipvsadm", "-d", "-t", "[2001:db8::1]:80", "-r", "[fd00:254:1::13]:80"))
    both(lambda lines: len(lines) == len(golden) - 1, "a quiescent server that is removed by hand stays out")
    yield "a quiescent server that is removed by hand stays out"


def main(argv: list[str]) -> int:
    if argv == ["--serve"]:
        asyncio.run(serve())
        return 0
    configs = sorted(Path(argv[0]).glob("*.cf"))
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir()
    unwire()
    pools = servers = None
    try:
        wire()
        scripts()
        servers = Servers()
        pools = Pools(argv[1] if len(argv) > 1 else AGENT, configs)
        for line in story(pools, servers):
            print(line, flush=True)
        return 0
    except StepFailed as failed:
        print(f"FAILED {failed}")
        log = WORK / "log"
        print(log.read_text()[-3000:] if log.exists() else "")
        return 1
    finally:
        if pools is not None:
            pools.close()
        if servers is not None:
            servers.close()
        unwire()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
