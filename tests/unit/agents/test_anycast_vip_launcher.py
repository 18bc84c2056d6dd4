"""anycast-vip as it is installed, with real addresses in a network namespace."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.agents import launchers

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def launcher(tmp_path: Path) -> Path:
    """The agent as it is installed, with the library of this tree."""
    agent = tmp_path / "lib/ocf/resource.d/anycast/anycast-vip"
    agent.parent.mkdir(parents=True)
    agent.write_text(launchers.launcher("anycast-vip"))
    agent.chmod(0o755)
    library = tmp_path / "lib/ocf/lib/anycast"
    library.mkdir(parents=True)
    shutil.copy(ROOT / "bin/agent", library / "agent")
    (library / "ocfpy").symlink_to(ROOT / "lib/ocfpy")
    return agent


@pytest.mark.parametrize(
    ("ip", "shown"),
    [
        ("192.0.2.53", "inet 192.0.2.53/32 scope host lo"),
        ("2001:db8::53", "inet6 2001:db8::53/128 scope global nodad deprecated"),
    ],
)
def test_real_address_in_a_namespace(launcher: Path, tmp_path: Path, ip: str, shown: str) -> None:
    script = f"""
        ip link set lo up
        {launcher} monitor; echo "rc=$?"
        {launcher} start; echo "rc=$?"
        {launcher} start; echo "rc=$?"
        {launcher} monitor; echo "rc=$?"
        ip address show dev lo
        {launcher} stop; echo "rc=$?"
        {launcher} stop; echo "rc=$?"
        {launcher} monitor; echo "rc=$?"
        ip address show dev lo | grep -cF {ip}
    """
    environ = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HA_RSCTMP": str(tmp_path / "run"),
        "HA_LOGFACILITY": "none",
        "OCF_RESOURCE_INSTANCE": f"vip-{os.getpid()}",
        "OCF_RESKEY_ip": ip,
        "OCF_RESKEY_gate": "none",
    }
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c", script],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    codes_seen = [int(line[3:]) for line in done.stdout.splitlines() if line.startswith("rc=")]
    assert codes_seen == [7, 0, 0, 0, 0, 0, 7], done
    assert shown in done.stdout
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""
