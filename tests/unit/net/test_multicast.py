"""Group memberships out of /proc, as the kernel prints them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ocfpy.net.multicast import is_down, is_member
from ocfpy.ocf.addresses import parse_address

IGMP = """\
Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter
1\tlo        :     1      V3
\t\t\t\t{all}     1 0:00000000\t\t0
2\teth0      :     2      V3
\t\t\t\t{sync}     1 0:00000000\t\t0
\t\t\t\t{all}     1 0:00000000\t\t0
3\teth01     :     1      V3
\t\t\t\t{all}     1 0:00000000\t\t0
"""
IGMP6 = """\
1    lo              ff020000000000000000000000000001     1 0000000C 0
2    eth0            ff020000000000000000000000000081     1 00000004 0
3    eth01           ff020000000000000000000000000001     1 0000000C 0
"""


@pytest.fixture
def proc_net(tmp_path: Path) -> str:
    groups = {name: parse_address(text).packed for name, text in (("all", "224.0.0.1"), ("sync", "224.0.0.81"))}
    numbers = {name: f"{int.from_bytes(packed, sys.byteorder):08X}" for name, packed in groups.items()}
    (tmp_path / "igmp").write_text(IGMP.format(**numbers))
    (tmp_path / "igmp6").write_text(IGMP6)
    return str(tmp_path)


@pytest.mark.parametrize(
    ("group", "nic", "expected"),
    [
        ("224.0.0.81", "eth0", True),
        ("224.0.0.81", "lo", False),
        ("224.0.0.81", "eth01", False),
        ("224.0.0.82", "eth0", False),
        ("ff02::81", "eth0", True),
        ("ff02::81", "eth01", False),
        ("ff02::82", "eth0", False),
    ],
)
def test_is_member(proc_net: str, group: str, nic: str, expected: bool) -> None:
    assert is_member(parse_address(group), nic, proc_net) is expected


def test_a_kernel_without_multicast(tmp_path: Path) -> None:
    assert not is_member(parse_address("224.0.0.81"), "eth0", str(tmp_path))
    assert not is_member(parse_address("ff02::81"), "eth0", str(tmp_path))


@pytest.mark.parametrize(("state", "expected"), [("up", False), ("unknown", False), ("down", True), ("lowerlayerdown", True)])
def test_is_down(tmp_path: Path, state: str, expected: bool) -> None:
    (tmp_path / "eth0").mkdir()
    (tmp_path / "eth0/operstate").write_text(f"{state}\n")
    assert is_down("eth0", str(tmp_path)) is expected
    assert not is_down("eth1", str(tmp_path))
