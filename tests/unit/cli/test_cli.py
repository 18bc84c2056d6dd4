"""anycastctl."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ocfpy.cli.collect import collect
from ocfpy.cli.main import main
from ocfpy.cli.show import as_text
from ocfpy.ipvs.model import ServiceSettings, parse_real_server, parse_virtual
from ocfpy.ocf.errors import ServiceError
from ocfpy.ocf.state import StateFile

from tests.unit.ipvs.fake_kernel import FakeKernel

POOL = {
    "resource": "dns",
    "state": "running",
    "attribute": {"name": "healthy-dns", "value": 1, "in_cluster": True},
    "virtual": [
        {
            "service": "udp/192.0.2.53:53",
            "alive": 1,
            "real_servers": [
                {"server": "10.0.0.11:53", "weight": 1, "state": "up", "since": 0, "reason": ""},
                {
                    "server": "10.0.0.12:53",
                    "weight": 1,
                    "state": "down",
                    "since": 9e9,
                    "reason": "connection refused",
                },
            ],
        }
    ],
}


@pytest.fixture
def rundir(tmp_path: Path) -> Path:
    """What a node has whose health daemon has just died."""
    StateFile(str(tmp_path / "ipvs-pool-dns.state")).write({"virtual": "udp/192.0.2.53:53"})
    (tmp_path / "ipvs-pool-dns.status").write_text(json.dumps(POOL))
    StateFile(str(tmp_path / "ipvs-sync-sync.state")).write({"nic": "eth0", "syncid": "7", "group": "224.0.0.81"})
    StateFile(str(tmp_path / "anycast-vip-vip4.state")).write({"ip": "192.0.2.53/32", "nic": "lo"})
    StateFile(str(tmp_path / "bgp-announce-bgp4.state")).write(
        {"prefix": "192.0.2.53/32", "vrf": "", "backend": "socket", "vty_dir": str(tmp_path / "frr")}
    )
    return tmp_path


def test_json_has_everything(rundir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json", "--rundir", str(rundir)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["pools"] == [{**POOL, "state": "failed the health daemon is gone", "stale": True}]
    assert found["sync"] == [{"resource": "sync", "nic": "eth0", "syncid": "7", "group": "224.0.0.81"}]
    assert found["addresses"] == [{"resource": "vip4", "ip": "192.0.2.53/32", "nic": "lo", "present": False}]
    (announcement,) = found["announcements"]
    assert (announcement["prefix"], announcement["neighbors"]) == ("192.0.2.53/32", None)
    assert "bgpd" in announcement["trouble"]


def test_what_the_kernel_has_counted(rundir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    virtual, real = parse_virtual("udp/192.0.2.53:53"), parse_real_server("10.0.0.11:53")
    kernel = FakeKernel({virtual: (ServiceSettings(), {real.key: real})})
    monkeypatch.setattr("ocfpy.net.genetlink.socket", lambda *_: kernel)
    found = collect(str(rundir))
    (service,) = found["pools"][0]["virtual"]
    nothing = dict.fromkeys(("connections", "in_bytes", "in_packets", "out_bytes", "out_packets"), 0)
    assert service["traffic"] == {**nothing, "connections": 7}
    assert [one.get("traffic", {}).get("connections") for one in service["real_servers"]] == [7, None]
    assert found["timeouts"] == {"tcp": 900, "tcp_fin": 120, "udp": 300}
    out = io.StringIO()
    as_text(found, out)
    assert "forgotten after 900 s (TCP), 120 s (TCP that closes), 300 s (UDP)" in out.getvalue()


def test_text_says_what_an_operator_asks(rundir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["status", "--rundir", str(rundir)])
    out = capsys.readouterr().out
    assert "dns: failed the health daemon is gone, healthy-dns=1\n" in out
    (down,) = (line for line in out.splitlines() if "10.0.0.12" in line)
    assert down.split() == ["10.0.0.12:53", "1", "down", "0", "s", "connection", "refused"]
    assert "conns" in out
    assert "sync      eth0  7       224.0.0.81" in out
    assert "vip4      192.0.2.53/32  lo" in out


def test_a_node_without_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--rundir", str(tmp_path / "nothing")]) == 0
    assert capsys.readouterr().out == "no anycast resource is started on this node\n"


def test_a_pool_that_never_got_far(tmp_path: Path) -> None:
    StateFile(str(tmp_path / "ipvs-pool-dns.state")).write({"virtual": "udp/192.0.2.53:53"})
    out = io.StringIO()
    as_text(collect(str(tmp_path)), out)
    assert out.getvalue().startswith("dns: failed the health daemon is gone\n")


def served(rundir: Path, weight: int = 0) -> Path:
    """Has two pools share a server, with this weight in the kernel: 0 as after a drain; returns their drain_dir."""
    directory = rundir / "drained"
    up = {"weight": weight, "wanted": 1, "state": "up", "since": 0, "reason": ""}
    for name, reals in (("dns", ["10.0.0.11:53", "10.0.0.12:53"]), ("web", ["10.0.0.11:80"])):
        StateFile(str(rundir / f"ipvs-pool-{name}.state")).write({})
        service = {"service": f"fwmark/{name}", "alive": len(reals), "real_servers": [{"server": one, **up} for one in reals]}
        document = {"resource": name, "state": "running", "drain_dir": str(directory), "virtual": [service]}
        (rundir / f"ipvs-pool-{name}.status").write_text(json.dumps(document))
    return directory


def files(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_drain_of_a_server_that_keeps_its_weight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that was written is no weight of 0: without a daemon it stays as it is."""
    monkeypatch.setattr("ocfpy.cli.drain.await_drained.__defaults__", (0.2,))
    directory = served(tmp_path, weight=1)
    assert main(["drain", "10.0.0.12", "--rundir", str(tmp_path)]) == 1
    assert "10.0.0.12 is marked as drained, but still has a weight in dns after 0.2 s" in capsys.readouterr().err
    assert files(directory) == ["10.0.0.12"]


def test_drain_and_undrain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = served(tmp_path)

    def say(*words: str) -> int:
        return main([*words, "--rundir", str(tmp_path)])

    assert say("drain", "10.0.0.12") == 0
    assert files(directory) == ["10.0.0.12"]
    assert say("drain", "10.0.0.11", "--pool", "dns", "--force") == 0
    assert files(directory) == ["10.0.0.12", "dns/10.0.0.11"]
    assert say("undrain", "10.0.0.12") == say("undrain", "10.0.0.11", "--pool", "dns") == 0
    assert files(directory) == []
    assert capsys.readouterr().err == ""
    for words, said in (
        (("drain", "10.0.0.11"), "10.0.0.11 is the last live backend of fwmark/web: --force"),
        (("drain", "10.0.0.13"), "no pool on this node has the real server 10.0.0.13"),
        (("undrain", "10.0.0.13"), "no pool on this node has the real server 10.0.0.13"),
        (("undrain", "10.0.0.12", "--pool", "web"), "pool web does not have the real server 10.0.0.12"),
        (("drain", "web1"), "host names are not resolved"),
        (("drain", "10.0.0.11", "--pool", "ldap"), "this node has no pool ldap"),
        (("undrain", "10.0.0.11"), "10.0.0.11 is not drained in all pools"),
    ):
        assert say(*words) == 1
        assert said in capsys.readouterr().err
    assert files(directory) == []
    assert say("drain", "10.0.0.11", "--force") == 0
    assert files(directory) == ["10.0.0.11"]
    assert say("drain", "10.0.0.12") == 1
    assert "10.0.0.12 is the last live backend of fwmark/dns" in capsys.readouterr().err, "before the daemon has looked"


def test_undrain_of_a_server_that_no_pool_has_any_more(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = served(tmp_path)
    (directory / "dns").mkdir(parents=True)
    for name in ("10.0.0.13", "dns/10.0.0.13"):
        (directory / name).touch()
    assert main(["undrain", "10.0.0.13", "--rundir", str(tmp_path)]) == 0
    assert files(directory) == ["dns/10.0.0.13"]
    assert main(["undrain", "10.0.0.13", "--pool", "dns", "--rundir", str(tmp_path)]) == 0
    assert files(directory) == []
    assert capsys.readouterr().out == "10.0.0.13 is no longer drained; no pool here has it\n" * 2


def test_drain_follows_no_link(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A link by the name of the server drains it, as any file does; what it points to stays as it was."""
    directory, victim = served(tmp_path), tmp_path / "victim"
    victim.write_text("as it was")
    directory.mkdir()
    (directory / "10.0.0.12").symlink_to(victim)
    (directory / "10.0.0.12:53").symlink_to(tmp_path / "nowhere")
    (directory / "dns").symlink_to(tmp_path)
    for server in ("10.0.0.12", "10.0.0.12:53"):
        assert main(["drain", server, "--rundir", str(tmp_path)]) == 0
        assert f"{server} has weight 0 on this node" in capsys.readouterr().out
    assert victim.read_text() == "as it was"
    assert not (tmp_path / "nowhere").exists()
    assert main(["drain", "10.0.0.12", "--pool", "dns", "--rundir", str(tmp_path)]) == 1
    assert f"{directory}/dns/10.0.0.12 cannot be created: " in capsys.readouterr().err
    assert not (tmp_path / "10.0.0.12").exists()
    assert main(["undrain", "10.0.0.12:53", "--rundir", str(tmp_path)]) == 0
    assert str(directory / "10.0.0.12") in capsys.readouterr().out, "and says so of the other link"


def test_drain_makes_its_directory_for_all_to_read(tmp_path: Path) -> None:
    directory = served(tmp_path)
    before = os.umask(0o077)
    try:
        assert main(["drain", "10.0.0.12", "--pool", "dns", "--rundir", str(tmp_path)]) == 0
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    modes = [stat.S_IMODE(os.stat(path).st_mode) for path in (directory, directory / "dns", directory / "dns/10.0.0.12")]
    assert modes == [0o755, 0o755, 0o644]


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_drain_on_a_disk_without_room_for_the_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = served(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("ocfpy.cli.drain.os.write", full)
        assert main(["drain", "10.0.0.12", "--rundir", str(tmp_path)]) == 0
    assert files(directory) == ["10.0.0.12"]
    assert "10.0.0.12 has weight 0 on this node" in capsys.readouterr().out


def test_drain_that_fails_is_no_drain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = served(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("ocfpy.cli.drain._create", full)
        assert main(["drain", "10.0.0.12", "--rundir", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"anycastctl: 10.0.0.12 is not drained: {directory}/10.0.0.12 cannot be created: No space left on device\n"
    )
    assert files(directory) == []


def test_drain_in_two_directories_one_of_which_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = served(tmp_path)
    other = tmp_path / "file"
    other.touch()
    status = tmp_path / "ipvs-pool-web.status"
    status.write_text(status.read_text().replace(str(directory), str(other)))
    assert main(["drain", "10.0.0.11", "--force", "--rundir", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert f"10.0.0.11 is not drained everywhere: {other}/10.0.0.11 cannot be created: " in said
    assert said.endswith(f"; it is drained by {directory}/10.0.0.11\n")


def test_a_node_without_pools_drains_no_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("drain", "undrain"):
        assert main([command, "10.0.0.11", "--rundir", str(tmp_path)]) == 1
        assert capsys.readouterr().err == "anycastctl: no pool is started on this node\n"


def test_undrain_names_other_files_that_drain_a_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = served(tmp_path)

    def say(*words: str) -> str:
        main([*words, "--rundir", str(tmp_path)])
        out, err = capsys.readouterr()
        return out + err

    say("drain", "10.0.0.12")
    say("drain", "10.0.0.12:53", "--pool", "dns")
    other = directory / "dns/10.0.0.12:53"
    assert f"10.0.0.12 is still drained by {other}" in say("undrain", "10.0.0.12")
    assert f"10.0.0.12 is not drained in all pools: {other} drains it" in say("undrain", "10.0.0.12")
    assert "10.0.0.12:53 gets traffic again" in say("undrain", "10.0.0.12:53", "--pool", "dns")


def test_a_kernel_that_says_no_is_an_answer(
    rundir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise ServiceError("the kernel says no")

    monkeypatch.setattr("ocfpy.cli.collect.IpvsTable", refuse)
    assert main(["status", "--rundir", str(rundir)]) == 1
    assert capsys.readouterr().err == "anycastctl: the kernel says no\n"


def test_text_shows_where_a_weight_is_going(tmp_path: Path) -> None:
    out = io.StringIO()
    real = {"server": "10.0.0.11:53", "since": 0, "reason": "", "active": 3, "inactive": 4}
    states = [
        {**real, "weight": 2, "wanted": 2, "configured": 10, "state": "up"},
        {**real, "weight": 0, "wanted": 0, "configured": 1, "state": "draining", "drain": {"until": 9e9}},
        {"server": "10.0.0.99:53", "weight": None, "wanted": 1, "state": "sorry server", "reason": ""},
    ]
    pool = {
        "resource": "dns",
        "state": "running",
        "warnings": ["set this"],
        "virtual": [{"service": "fwmark/7", "alive": 1, "quorum": False, "real_servers": states}],
    }
    as_text({"pools": [pool], "sync": [], "addresses": [], "announcements": []}, out)
    text = " ".join(out.getvalue().split())
    for said in ("fwmark/7 (1 alive, no quorum)", "2 -> 10 3+4 up", "0 3+4 draining", "- -> 1 sorry server", "set this"):
        assert said in text


GATE = {"resource": "bgp4", "prefix": "192.0.2.53/32", "attribute": "healthy-dns", "since": 1e9, "cause": "", "error": ""}
SINCE = time.strftime("since %Y-%m-%d %H:%M:%S", time.localtime(1e9))


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ({"state": "announced", "why": ""}, f"announced {SINCE}\n"),
        (
            {"state": "withdrawn", "why": "no live backend of healthy-dns"},
            f"withdrawn: no live backend of healthy-dns {SINCE}\n",
        ),
        (
            {"state": "announced", "why": "no live backend of healthy-dns", "error": "bgpd hangs"},
            f"announced {SINCE}, and cannot be changed: bgpd hangs\n",
        ),
    ],
)
def test_gate_of_an_announcement(
    rundir: Path, monkeypatch: pytest.MonkeyPatch, state: dict[str, str], shown: str
) -> None:
    def ask(path: str, command: str, timeout: float) -> str:
        assert (path, command) == (f"{rundir}/healthd.sock", "status")
        return json.dumps({"announcements": [{**GATE, **state}]})

    monkeypatch.setattr("ocfpy.cli.collect.ask", ask)
    out = io.StringIO()
    as_text(collect(str(rundir)), out)
    table = out.getvalue().partition("announcements\n")[2]
    header, line = table.splitlines()[:2]
    assert header.split()[-1] == "gate"
    assert line.startswith("  bgp4      192.0.2.53/32")
    assert line.endswith(f"  {shown.rstrip()}")


class Terminal(io.TextIOWrapper):
    """A terminal with a character set of its own; `shown` is what was written to it, without colors."""

    def __init__(self, encoding: str, is_terminal: bool = True) -> None:
        self._bytes = io.BytesIO()
        self._is_terminal = is_terminal
        super().__init__(self._bytes, encoding=encoding)

    def isatty(self) -> bool:
        return self._is_terminal

    @property
    def shown(self) -> str:
        self.flush()
        return re.sub(r"\x1b\[[0-9;]*m", "", self._bytes.getvalue().decode(self.encoding))


def status_with(reason: str, title: str = "dns") -> dict[str, Any]:
    real = {"server": "[fd00::53]:53", "weight": 0, "state": "down", "since": 0, "reason": reason}
    virtual = [{"service": "tcp/[fd00::1]:53", "alive": 0, "real_servers": [real]}]
    pool = {"resource": title, "state": f"failed {reason}", "virtual": virtual, "warnings": [reason]}
    return {"pools": [pool], "sync": [], "addresses": [{"resource": reason}], "announcements": []}


@pytest.mark.parametrize("is_terminal", [True, False])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("[/x]", "[/x]"),
        ("[link=https://example.com]here[/link]", "[link=https://example.com]here[/link]"),
        ("[fd00::53] :bomb:", "[fd00::53] :bomb:"),
        ("\x1b]0;title\x07\x1b[2J", r"\x1b]0;title\x07\x1b[2J"),
        ("two\nlines\r", r"two\nlines\r"),
        ("\u202eright to left \udc80", r"\u202eright to left \udc80"),
    ],
)
def test_the_words_of_a_server_are_data(
    monkeypatch: pytest.MonkeyPatch, reason: str, shown: str, encoding: str, is_terminal: bool
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    terminal = Terminal(encoding, is_terminal)
    as_text(status_with(reason, "pool [fd00::53]"), terminal)
    assert terminal.shown.count(shown) == 4
    assert f"pool [fd00::53]: failed {shown}" in terminal.shown
    assert "[fd00::53]:53" in terminal.shown
    assert set(filter(lambda c: not c.isprintable(), terminal.shown)) == {"\n"}


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("utf-8", "größe …"), ("latin-1", r"größe \u2026"), ("ascii", r"gr\xf6\xdfe \u2026")],
)
def test_terminals_with_fewer_characters(monkeypatch: pytest.MonkeyPatch, encoding: str, shown: str) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    terminal = Terminal(encoding)
    as_text(status_with("größe …"), terminal)
    assert terminal.shown.count(shown) == 4


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@given(reason=st.text(max_size=200), columns=st.integers(20, 200))
@settings(max_examples=50, deadline=None, database=None)
def test_no_words_break_a_table(encoding: str, reason: str, columns: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(columns))
        for is_terminal in (True, False):
            terminal = Terminal(encoding, is_terminal)
            as_text(status_with(reason), terminal)
            assert set(filter(lambda c: not c.isprintable(), terminal.shown)) == {"\n"}


def test_the_command_on_a_terminal_that_is_not_utf_8(rundir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (rundir / "ipvs-pool-dns.status").write_text(json.dumps({**POOL, "resource": "größe"}))
    terminal = Terminal("ascii")
    monkeypatch.setattr("sys.stdout", terminal)
    assert main(["status", "--rundir", str(rundir)]) == 1
    assert r"gr\xf6\xdfe: failed" in terminal.shown
