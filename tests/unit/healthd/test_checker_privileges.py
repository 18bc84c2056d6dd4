"""What a checker may do, and what the keeper does for it: files that only root reads, sockets that take privilege, commands."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import pytest
from ocfpy.checks.command_mark import MARK
from ocfpy.checks.settings import CheckSettings
from ocfpy.healthd import checker_process, privileges
from ocfpy.healthd.check_request import CheckRequest
from ocfpy.healthd.orphans import kill_orphans
from ocfpy.healthd.socket_grants import SocketGrants, make_socket
from ocfpy.healthd.vip_probe import VipPath
from ocfpy.ocf.addresses import parse_address

from tests.unit.healthd.checker_world import (
    IS_ROOT,
    LIBRARY,
    VIRTUAL,
    World,
    free_port,
    is_gone,
    launcher,
    run,
    status_of,
    until,
)
from tests.unit.healthd.processes import open_files

SO_MARK = 36
"""asm-generic/socket.h."""


def test_a_checker_has_no_privileges(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        told = await world.begin(CheckSettings("tcp"), await world.serve())
        await until(lambda: told.up)
        status = status_of(world.pid)
        user = privileges.find_user()
        assert status["Uid"].split() == [str(user.uid)] * 4
        assert status["Gid"].split() == [str(user.gid)] * 4
        assert status["NoNewPrivs"] == "1"
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(status[name], 16) == 0
        limits = Path(f"/proc/{world.pid}/limits").read_text().splitlines()
        soft = {line[:26].strip(): line[26:].split()[0] for line in limits[1:]}
        assert soft["Max core file size"] == "0"
        assert soft["Max address space"] == str(privileges.MEMORY)
        if IS_ROOT:
            assert user.uid
            assert status["Groups"] == ""
        assert os.getsid(world.pid) == world.pid

    run(tmp_path / "base", story)


def test_nothing_of_the_keeper_is_open_in_a_checker(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        fd = os.open(tmp_path, os.O_RDONLY)
        os.set_inheritable(fd, False)
        told = await world.begin(CheckSettings("tcp"), await world.serve())
        await until(lambda: told.up)
        assert str(tmp_path) not in open_files(world.pid)
        os.close(fd)

    run(tmp_path / "base", story)


@pytest.mark.parametrize("mode", ["a directory that only root enters", "files that only root reads"])
def test_a_checker_runs_from_a_library_that_its_user_cannot_reach(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    place = tmp_path / "private"
    shutil.copytree(LIBRARY, place / "lib")
    place.chmod(0o700)
    if mode.startswith("files"):
        for path in (place / "lib").rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o600)
    monkeypatch.setattr(checker_process, "LIBRARY", str(place / "lib"))
    monkeypatch.setattr(checker_process, "LAUNCHER", str(place / "lib/ocfpy/healthd/checker_launch.py"))

    async def story(world: World) -> None:
        port = await world.serve(lambda _: b"HTTP/1.0 200 OK\r\n\r\nhello")
        http = await world.begin(CheckSettings("http"), port)
        https = await world.begin(CheckSettings("https", timeout=10.0, interval=10.0, fall=1), port)
        dns = await world.begin(CheckSettings("dns", name="example.com", transport="tcp", fall=1), free_port())
        await until(lambda: http.up and https.up is False and dns.up is False)
        assert (https.state.reason, dns.state.reason) == ("the server does not speak TLS", "connection refused")

    run(tmp_path / "base", story)


def test_a_secret_is_read_by_the_keeper_again_and_again(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("first\n")
    secret.chmod(0o600)
    tmp_path.chmod(0o700)

    def answer(request: bytes) -> bytes:
        wanted = b"Authorization: Basic dXNlcjpzZWNvbmQ="  # user:second
        return b"HTTP/1.0 200 OK\r\n\r\n" if wanted.lower() in request.lower() else b"HTTP/1.0 401 Who?\r\n\r\n"

    async def story(world: World) -> None:
        settings = CheckSettings("http", interval=0.3, timeout=0.3, rise=1, fall=1, user="user", secret=str(secret))
        told = await world.begin(settings, await world.serve(answer))
        await until(lambda: told.up is False)
        secret.write_text("second\n")
        await until(lambda: told.up)
        os.kill(world.pid, signal.SIGKILL)
        await until(lambda: world.replaced == 1)
        secret.unlink()
        await until(lambda: told.state.reason == f"the secret in {secret} cannot be read: No such file or directory")
        shown = Path(f"/proc/{world.pid}/environ").read_bytes() + Path(f"/proc/{world.pid}/cmdline").read_bytes()
        assert b"second" not in shown

    run(tmp_path / "base", story)


def test_a_secret_on_a_file_server_that_is_gone_holds_up_only_its_checks(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    async def story(world: World) -> None:
        port = await world.serve(lambda _: b"HTTP/1.0 200 OK\r\n\r\n")
        needy = await world.begin(CheckSettings("http", interval=1.0, timeout=0.2, user="user", secret=str(pipe)), port)
        other = await world.begin(CheckSettings("http", interval=1.0, timeout=1.0), port)
        await until(lambda: needy.up is False and other.up)
        assert needy.state.reason == f"timed out after 0.2 s, reading the secret in {pipe}"
        writer = os.open(pipe, os.O_WRONLY)  # else a thread would wait for ever
        os.write(writer, b"x\n")
        os.close(writer)
        await until(lambda: needy.up)
        needy.handle.end()
        end = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        os.write(end, b"x\n")
        await asyncio.sleep(0.1)
        os.close(end)

    run(tmp_path / "base", story)


def certificate(path: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, and its key."""
    cert, key = path / "cert.pem", path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    cert.chmod(0o600)
    return cert, key


def test_tls_files_are_read_by_the_keeper(tmp_path: Path) -> None:
    import ssl

    cert, key = certificate(tmp_path)
    tmp_path.chmod(0o700)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cert)
    ca = tmp_path / "ca.pem"

    async def story(world: World) -> None:
        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.read(1000)
                writer.write(b"HTTP/1.0 200 OK\r\n\r\n")
                await writer.drain()
            except OSError:
                pass
            writer.close()

        server = await asyncio.start_server(client, "127.0.0.1", 0, ssl=context)
        world.servers.append(server)
        files = {"ca": str(ca), "cert": str(cert), "key": str(key)}
        settings = CheckSettings("https", interval=1.0, timeout=1.0, rise=1, fall=1, options=files.items())
        told = await world.begin(settings, server.sockets[0].getsockname()[1])
        await until(lambda: told.state.reason == f"{ca}: No such file or directory")
        ca.write_text("rubbish")
        await until(lambda: told.state.reason.startswith(f"{ca} or {cert} or {key} cannot be used for TLS: "))
        ca.write_bytes(cert.read_bytes())
        await until(lambda: told.up)

    run(tmp_path / "base", story)


class Path53:
    """A way through a virtual service, without one."""

    mark = 0x4F430001
    address = parse_address("127.0.0.1")

    def __init__(self) -> None:
        self.opened = 0
        self.trouble: OSError | None = None

    def open(self) -> None:
        self.opened += 1
        if self.trouble is not None:
            raise self.trouble

    def source(self) -> str:
        return "127.0.0.5"

    def hint(self) -> str:
        return "look there"


def request(settings: CheckSettings, path: Path53 | None = None, address: str = "127.0.0.1") -> CheckRequest:
    where = parse_address(address)
    return CheckRequest((where, 80, settings, None, ""), "x", where, 80, settings, VIRTUAL, cast(VipPath, path))


needs_root = pytest.mark.skipif(not IS_ROOT, reason="takes root")


@needs_root
def test_a_check_by_way_of_the_service_gets_its_marked_socket_from_the_keeper(tmp_path: Path) -> None:
    seen: list[str] = []

    async def story(world: World) -> None:
        way = Path53()

        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append(writer.get_extra_info("peername")[0])
            writer.close()

        server = await asyncio.start_server(client, "127.0.0.1", 0)
        world.servers.append(server)
        port = server.sockets[0].getsockname()[1]
        told = await world.begin(CheckSettings("tcp", interval=0.3, timeout=0.3, fall=1, via="vip"), port, path=way)
        await until(lambda: told.up and way.opened >= 2)
        assert set(seen) == {"127.0.0.5"}
        way.trouble = OSError(24, "")
        await until(lambda: told.state.reason == "this node could not make the check: too many open files")
        assert told.up
        way.trouble = None
        server.close()
        await until(lambda: told.up is False)
        assert told.state.reason == "connection refused (through 127.0.0.1: look there)"

    run(tmp_path / "base", story)


@needs_root
def test_the_socket_has_the_mark_and_the_source_of_its_check() -> None:
    with make_socket(request(CheckSettings("tcp", via="vip"), Path53()), socket.SOCK_STREAM) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, SO_MARK) == Path53.mark
        assert sock.getsockname()[0] == "127.0.0.5"
    bound = CheckSettings("tcp", via="vip", bind="::1 127.0.0.9")
    with make_socket(request(bound, Path53()), socket.SOCK_DGRAM) as sock:
        assert sock.getsockname()[0] == "127.0.0.9"
    with make_socket(request(CheckSettings("ping"), None, "::1"), socket.SOCK_RAW) as sock:
        assert (sock.family, sock.type, sock.proto) == (socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        assert sock.getsockopt(socket.SOL_SOCKET, SO_MARK) == 0


@pytest.mark.parametrize(
    ("question", "fault"),
    [
        ([1, 1, socket.SOCK_RAW], "check=tcp does not use"),
        ([1, 1, socket.SOCK_STREAM], "check=tcp does not use"),
        ([1, 2, socket.SOCK_STREAM], "check=ping does not use"),
        ([1, 2, True], "check=ping does not use"),
        ([1, 3, socket.SOCK_RAW], "check=tcp does not use"),
        ([1, -1, socket.SOCK_RAW], "a number outside its limits"),
        ([1, 1], "unknown socket"),
        (7, "unknown socket"),
    ],
)
def test_a_checker_gets_no_socket_that_its_checks_do_not_need(question: Any, fault: str) -> None:
    checks = {1: request(CheckSettings("tcp")), 2: request(CheckSettings("ping")), 3: request(CheckSettings("tcp"), Path53())}

    async def story() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        faults: list[str] = []
        grants = SocketGrants(ours, checks.get, faults.append)
        theirs.send(json.dumps(question).encode())
        await until(lambda: faults)
        assert fault in faults[0]
        grants.close()
        theirs.setblocking(False)
        assert theirs.recv(100) == b""
        theirs.close()

    asyncio.run(story())


@needs_root
def test_a_checker_that_takes_no_sockets_is_asked_no_more_and_all_answers_arrive() -> None:
    async def story() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        theirs.setblocking(False)
        grants = SocketGrants(ours, {1: request(CheckSettings("ping"))}.get, lambda _: None)
        asked = 0
        answered: list[int] = []
        while asked < 100 or len(answered) < 100:
            try:
                if asked < 100:
                    theirs.send(json.dumps([asked, 1 if asked % 2 else 0, socket.SOCK_RAW]).encode())
                    asked += 1
                    continue
            except BlockingIOError:
                pass
            await asyncio.sleep(0)
            try:
                data, fds, _, _ = socket.recv_fds(theirs, 4096, 1)
            except BlockingIOError:
                continue
            token, number, reason = json.loads(data)
            answered.append(token)
            assert (len(fds), number, reason) == ((1, 0, "") if token % 2 else (0, 0, "the check has ended"))
            for fd in fds:
                os.close(fd)
        assert answered == list(range(100))
        grants.close()
        theirs.close()

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("refused", [False, True])
def test_a_ping_uses_a_socket_of_the_keeper_where_it_must(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: bool
) -> None:
    if refused and not IS_ROOT:
        return
    patch = """
from ocfpy.healthd import checker_provider
import socket
connecting = checker_provider.connecting
def refuse(check, kind, proto, port):
    if proto == socket.IPPROTO_ICMP:
        raise PermissionError(1, "ping_group_range")
    return connecting(check, kind, proto, port)
checker_provider.connecting = refuse
"""
    launcher(tmp_path / "launcher", monkeypatch, patch if refused else "")

    async def story(world: World) -> None:
        told = await world.begin(CheckSettings("ping", timeout=20.0, interval=20.0), 0)
        await until(lambda: told.up)

    run(tmp_path / "base", story)


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


SAY = "id -un; exit 1"
EXTERNAL = CheckSettings("external", interval=30.0, timeout=30.0, fall=1)


def external(command: str, **more: str) -> CheckSettings:
    return EXTERNAL.replace(options={"command": command, **more}.items())


def test_commands_run_as_the_user_that_is_configured(public_path: Path) -> None:
    command = script(public_path / "who", SAY)
    me = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()

    async def story(world: World) -> None:
        default = await world.begin(external(command), 80)
        chosen = await world.begin(external(command, command_user=me), 80)
        await until(lambda: default.up is False and chosen.up is False)
        assert default.state.reason == privileges.find_user().name
        assert chosen.state.reason == me
        assert len(world.pids()) == 2
        for pid in world.pids():
            assert status_of(pid)["NoNewPrivs"] == "1"

    run(public_path / "base", story)


@needs_root
def test_a_command_that_the_user_may_not_execute_is_said_with_what_to_do(tmp_path: Path) -> None:
    command = script(tmp_path / "who", SAY)
    tmp_path.chmod(0o700)

    async def story(world: World) -> None:
        told = await world.begin(external(command), 80)
        await until(lambda: told.up is False)
        assert told.state.reason.startswith(f"{command}: Permission denied: user {privileges.find_user().name} may not")
        assert "check_command_user" in told.state.reason

    run(tmp_path / "base", story)


def test_commands_have_the_usual_limits(public_path: Path) -> None:
    async def story(world: World) -> None:
        command = script(public_path / "limit", "echo $(ulimit -v) $(ulimit -n) $(ulimit -c); exit 1")
        told = await world.begin(external(command), 80)
        await until(lambda: told.up is False)
        memory, files, core = told.state.reason.split()
        assert (memory, core) == ("unlimited", "0")
        assert int(files) <= 1024

    run(public_path / "base", story)


def test_what_leaves_the_session_of_its_command_is_ended(public_path: Path) -> None:
    new, pid = public_path / "pid.new", public_path / "pid"
    text = f"setsid sh -c 'echo $$ >{new}; mv {new} {pid}; exec sleep 1000' & while [ ! -e {pid} ]; do sleep 0.05; done; exit 0"
    command = script(public_path / "leave", text)

    async def story(world: World) -> None:
        told = await world.begin(external(command), 80)
        await until(lambda: told.up and (public_path / "pid").exists())
        stray = int((public_path / "pid").read_text())
        await until(lambda: is_gone(stray))
        assert world.replaced == 0

    run(public_path / "base", story)


@needs_root
def test_marked_processes_of_other_users_are_not_killed(tmp_path: Path) -> None:
    base = str(tmp_path / "base")
    other = privileges.find_user().uid + 1

    def start(mark: str, uid: int = 0) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["/bin/sleep", "1000"], env={MARK: mark}, user=uid, start_new_session=True)

    ours, numbered = start(base), start(f"{base}#7", privileges.find_user().uid)
    theirs, longer, second = start(base, other), start(f"{base}-2"), start(f"{base}#8")
    try:
        kill_orphans(f"{base}#8")
        assert second.wait(20) == -signal.SIGKILL
        assert [one.poll() for one in (ours, numbered, theirs, longer)] == [None] * 4
        kill_orphans(base)
        assert (ours.wait(20), numbered.wait(20)) == (-signal.SIGKILL, -signal.SIGKILL)
        assert (theirs.poll(), longer.poll()) == (None, None)
        kill_orphans(base, {other})
        assert theirs.wait(20) == -signal.SIGKILL
    finally:
        for one in (ours, numbered, theirs, longer, second):
            one.kill()
            one.wait()


FEW_DESCRIPTORS = """
import resource
set_limits = checker.set_limits
def few():
    set_limits()
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
checker.set_limits = few
"""


def test_a_checker_with_few_descriptors_checks_600_servers_and_none_goes_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher(tmp_path / "launcher", monkeypatch, FEW_DESCRIPTORS)

    async def story(world: World) -> None:
        async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(0.05)
            writer.write(b"hello\n")
            writer.close()

        server = await asyncio.start_server(client, "127.0.0.1", 0, backlog=1024)
        world.servers.append(server)
        port = server.sockets[0].getsockname()[1]
        settings = CheckSettings("tcp", interval=20.0, timeout=20.0, rise=1, fall=1, expect="hello")
        told, requests = zip(*(world.request(settings, port, key=str(number)) for number in range(600)))
        began = time.monotonic()
        for one, wanted in zip(told, requests):
            world.checks.begin(one.state, wanted, one.on_change)
        await until(lambda: all(one.up is not None for one in told))
        assert {one.up for one in told} == {True}
        assert {reason for one in told for reason in one.reasons} == {""}
        assert time.monotonic() - began > 600 / 64 * 0.05 * 0.9, "64 at a time"

    run(tmp_path / "base", story)


def test_a_keeper_that_may_not_limit_its_programs_limits_itself() -> None:
    """Without CAP_SETPCAP, as in some containers, the bounding set cannot be changed."""
    program = (
        f"import ctypes, sys; sys.path[:0] = {[LIBRARY]!r}\n"
        "from ocfpy.healthd import privileges as p\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "p._set_capabilities(libc, sum(1 << n for n in range(64) if n != 8))\n"
        "p.limit_keeper()\n"
        "print(open('/proc/self/status').read())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    found = dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)
    wanted = sum(1 << number for number, _ in privileges.KEPT.values())
    assert int(found["CapEff"], 16) == int(status_of(os.getpid())["CapEff"], 16) & wanted
    assert found["NoNewPrivs"] == "1"
