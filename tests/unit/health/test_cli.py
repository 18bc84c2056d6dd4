"""anycastctl."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from ocfpy.cli.collect import collect
from ocfpy.cli.main import main
from ocfpy.cli.show import as_text
from ocfpy.ocf.state import StateFile

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
    StateFile(str(tmp_path / "bgp-announce-bgp4.state")).write({"prefix": "192.0.2.53/32", "vrf": ""})
    return tmp_path


def test_json_has_everything(rundir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--json", "--rundir", str(rundir)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["pools"] == [{**POOL, "state": "failed the health daemon is gone"}]
    assert found["sync"] == [{"resource": "sync", "nic": "eth0", "syncid": "7", "group": "224.0.0.81"}]
    assert found["addresses"] == [{"resource": "vip4", "ip": "192.0.2.53/32", "nic": "lo"}]
    assert found["announcements"] == [{"resource": "bgp4", "prefix": "192.0.2.53/32", "vrf": ""}]


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
