"""The framing of FRR's vty protocol, against a fake bgpd at the other end of a socket pair."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ocfpy.bgp.errors import BgpdDead, BgpdHung, CommandRefused, FrrError
from ocfpy.bgp.vty import LINE_MAX_BYTES, RESPONSE_LIMIT_S, Patience, Session, Vty, listener_pid
from ocfpy.ocf.deadline import Deadline
from ocfpy.ocf.errors import DeadlineError, HostError

SHORT_S = 0.2


def patience() -> Patience:
    return Patience("/run/frr/bgpd.vty", Deadline(60), SHORT_S)


class FakeBgpd:
    """Answers each command with the next of its replies, each given as the pieces it is sent in."""

    def __init__(self, *replies: Sequence[bytes], closes: bool = False) -> None:
        ours, theirs = socket.socketpair()
        self.session = Session(ours, patience())
        self.commands: list[bytes] = []
        self._replies = replies
        self._closes = closes
        self._socket = theirs
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        for pieces in self._replies:
            command = b""
            while not command.endswith(b"\0"):
                got = self._socket.recv(1)
                if not got:
                    return
                command += got
            self.commands.append(command)
            for piece in pieces:
                self._socket.sendall(piece)
        if not self._closes:
            self._socket.recv(1)  # until the other side closes
        self._socket.close()


def framed(text: bytes, status: int) -> bytes:
    return text + b"\0\0\0" + bytes([status])


def split_everywhere(reply: bytes) -> Iterator[list[bytes]]:
    for cut in range(1, len(reply)):
        yield [reply[:cut], reply[cut:]]
    yield [bytes([byte]) for byte in reply]


@pytest.mark.parametrize("text", [b"", b"{}\n", b"a line\nand another\n"])
def test_reply_split_at_every_byte(text: bytes) -> None:
    for pieces in split_everywhere(framed(text, 0)):
        assert FakeBgpd(pieces).session.command("show version") == text.decode()


@pytest.mark.parametrize("status", [1, 2, 13, 16, 255])
def test_status_split_at_every_byte(status: int) -> None:
    for pieces in split_everywhere(framed(b"% no\n", status)):
        with pytest.raises(CommandRefused) as refusal:
            FakeBgpd(pieces).session.command("no network 192.0.2.53/32")
        assert refusal.value.status == status
        assert refusal.value.text == "% no\n"
        assert "no network 192.0.2.53/32" in refusal.value.reason


TEXTS = st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=300)


@settings(deadline=None)
@given(TEXTS, st.integers(0, 255), st.data())
def test_any_reply_in_any_pieces(text: str, status: int, data: st.DataObject) -> None:
    reply = framed(text.encode(), status)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(reply) - 1), max_size=6)))
    pieces = [reply[start:end] for start, end in zip([0, *cuts], [*cuts, len(reply)])]
    session = FakeBgpd(pieces).session
    if status == 0:
        assert session.command("x") == text
    else:
        with pytest.raises(CommandRefused) as refusal:
            session.command("x")
        assert (refusal.value.status, refusal.value.text) == (status, text)


def test_commands_end_in_one_nul_and_wait_for_their_reply() -> None:
    bgpd = FakeBgpd([framed(b"", 0)], [framed(b"two", 0)])
    bgpd.session.command("enable")
    assert bgpd.session.command("show two") == "two"
    assert bgpd.commands == [b"enable\0", b"show two\0"]


def test_silence_is_a_hung_bgpd() -> None:
    with pytest.raises(BgpdHung):
        FakeBgpd([]).session.command("show version")


def test_silence_in_python_3_9(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until 3.10 a socket's timeout is an OSError of its own, and no TimeoutError."""

    class Timeout(OSError):
        pass

    class Silent:
        def settimeout(self, seconds: float) -> None:
            pass

        def getsockopt(self, *_: int) -> bytes:
            return bytes(12)

        def send(self, line: bytes) -> int:
            return len(line)

        def recv(self, size: int) -> bytes:
            raise Timeout("timed out")

    monkeypatch.setattr("ocfpy.bgp.vty._socket.timeout", Timeout)
    with pytest.raises(BgpdHung):
        Session(Silent(), patience()).command("show version")  # type: ignore[arg-type]


def test_half_a_reply_is_a_hung_bgpd() -> None:
    for cut in range(4):
        with pytest.raises(BgpdHung):
            FakeBgpd([framed(b"", 0)[:cut]]).session.command("show version")


def test_end_of_file_is_a_dead_bgpd() -> None:
    for cut in range(4):
        with pytest.raises(BgpdDead):
            FakeBgpd([framed(b"", 0)[:cut]], closes=True).session.command("show version")


@pytest.mark.parametrize("reply", [b"text\0\0x\0", b"text\0x\0\0", b"\0\0\0\0more", b"a\0\0\0\0b\0\0\0\0"])
def test_another_protocol_is_recognised(reply: bytes) -> None:
    """A bgpd that answers is not dead, and may hold the route."""
    with pytest.raises(FrrError, match="protocol") as failure:
        FakeBgpd([reply]).session.command("show version")
    assert not isinstance(failure.value, BgpdDead)


@pytest.mark.parametrize("line", ["a\nb", "a\0b", "a\rb", "\t", "x" * LINE_MAX_BYTES, "é" * (LINE_MAX_BYTES // 2), "\udce9", ""])
def test_what_is_not_one_line_is_never_sent(line: str) -> None:
    bgpd = FakeBgpd([framed(b"", 0)])
    with pytest.raises(ValueError, match="not a line"):
        bgpd.session.command(line)
    assert bgpd.commands == []


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Callable[[int], str]]:
    """Listens on a socket and never accepts."""
    server = socket.socket(socket.AF_UNIX)

    def listen(backlog: int) -> str:
        path = str(tmp_path / "bgpd.vty")
        server.bind(path)
        server.listen(backlog)
        return path

    yield listen
    server.close()


def test_no_socket_and_no_process_behind_it(tmp_path: Path) -> None:
    with pytest.raises(BgpdDead, match="does not run"):
        Vty(str(tmp_path / "absent"), Deadline(1)).show("x")
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "left"))
    left.close()
    with pytest.raises(BgpdDead, match="does not run"):
        Vty(str(tmp_path / "left"), Deadline(1)).show("x")


def test_path_that_no_socket_can_have() -> None:
    with pytest.raises(HostError):
        Vty("/" + "x" * 200, Deadline(1)).show("x")


def test_hung_bgpd_takes_two_seconds_to_tell(listener: Callable[[int], str]) -> None:
    deadline = Deadline(60)
    with pytest.raises(BgpdHung):
        Vty(listener(5), deadline).show("x")
    assert RESPONSE_LIMIT_S <= 60 - deadline.remaining() < RESPONSE_LIMIT_S + 1


def test_own_deadline_says_nothing_about_bgpd(listener: Callable[[int], str]) -> None:
    with pytest.raises(DeadlineError):
        Vty(listener(5), Deadline(SHORT_S)).show("x")


def test_full_queue_is_waited_for(listener: Callable[[int], str]) -> None:
    path = listener(0)
    first = socket.socket(socket.AF_UNIX)
    first.connect(path)
    with pytest.raises(DeadlineError):
        Vty(path, Deadline(SHORT_S)).pid()
    first.close()


def test_pid_of_the_listener(listener: Callable[[int], str]) -> None:
    path = listener(0)
    assert listener_pid(path) == os.getpid()
    assert listener_pid(path) == 0, "the first connection was not taken yet, and the queue is full"
    assert listener_pid(f"{path}.absent") == 0


def test_a_line_in_any_language() -> None:
    """Interfaces, and the peers that are called after them, may have such names."""
    bgpd = FakeBgpd([framed(b"ok", 0)])
    assert bgpd.session.command("show bgp neighbors größe@if7 json") == "ok"
    assert bgpd.commands == ["show bgp neighbors größe@if7 json".encode() + b"\0"]


BUSY = """
import socket, sys, time
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen(5)
print(flush=True)
while True:
    connection, _ = server.accept()
    while connection.recv(4096):
        end = time.monotonic() + float(sys.argv[2])
        while time.monotonic() < end:
            pass
        connection.sendall(b"done\\0\\0\\0\\0")
"""


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Callable[[float], str]]:
    """A process that uses the processor for some seconds before each answer."""
    running: list[subprocess.Popen[bytes]] = []

    def start(seconds: float) -> str:
        path = str(tmp_path / "bgpd.vty")
        running.append(subprocess.Popen([sys.executable, "-c", BUSY, path, str(seconds)], stdout=subprocess.PIPE))
        assert running[0].stdout
        assert running[0].stdout.readline()
        return path

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_a_busy_bgpd_is_waited_for(busy: Callable[[float], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocfpy.bgp.vty.RESPONSE_LIMIT_S", SHORT_S)
    assert Vty(busy(4 * SHORT_S), Deadline(60)).show("show bgp json") == "done"


def test_a_busy_bgpd_is_never_called_hung(busy: Callable[[float], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocfpy.bgp.vty.RESPONSE_LIMIT_S", SHORT_S)
    with pytest.raises(DeadlineError, match="waiting for bgpd, which is busy, to answer"):
        Vty(busy(60), Deadline(4 * SHORT_S)).show("show bgp json")


def test_a_bgpd_that_stands_still_is_hung(busy: Callable[[float], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocfpy.bgp.vty.RESPONSE_LIMIT_S", SHORT_S)
    path = busy(60)
    os.kill(listener_pid(path), signal.SIGSTOP)
    with pytest.raises(BgpdHung, match="uses no processor time"):
        Vty(path, Deadline(60)).show("show bgp json")


def test_each_conversation_begins_in_enable_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """As vtysh has it: in view mode bgpd knows neither `show running-config` nor `configure terminal`."""
    ok = [framed(b"", 0)]
    bgpds = [FakeBgpd(*[ok] * 3) for _ in range(3)]
    sessions = iter(bgpds)
    monkeypatch.setattr(Vty, "_session", lambda self: next(sessions).session)
    vty = Vty("", Deadline(20))
    vty.show("show running-config")
    vty.configure(["router bgp"])
    vty.configure_each([((), "a")])
    assert [bgpd.commands for bgpd in bgpds] == [
        [b"enable\0", b"show running-config\0"],
        [b"enable\0", b"configure terminal\0", b"router bgp\0"],
        [b"enable\0", b"configure terminal\0", b"a\0"],
    ]


def test_statements_in_one_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way to a place is said once for the statements there, and a refused statement does not end the session."""
    ok = [framed(b"", 0)]
    bgpd = FakeBgpd(ok, ok, ok, ok, ok, [framed(b"% no\n", 13)], ok, ok, ok)
    monkeypatch.setattr(Vty, "_session", lambda self: bgpd.session)
    four, six = ("router bgp", "four"), ("router bgp", "six")
    refused = Vty("", Deadline(20)).configure_each([(four, "a"), (four, "b"), (six, "c")])
    assert list(refused) == ["b"]
    said = [command.rstrip(b"\0").decode() for command in bgpd.commands]
    assert said == ["enable", "configure terminal", "router bgp", "four", "a", "b", "router bgp", "six", "c"]


def test_place_that_is_refused_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ok = [framed(b"", 0)]
    bgpd = FakeBgpd(ok, ok, [framed(b"% no\n", 13)])
    monkeypatch.setattr(Vty, "_session", lambda self: bgpd.session)
    with pytest.raises(CommandRefused, match="router bgp"):
        Vty("", Deadline(20)).configure_each([(("router bgp",), "a"), (("router bgp",), "b")])
    assert len(bgpd.commands) == 3
