"""Who would answer for an address, by the settings of the kernel and by the kernel itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ocfpy.net.arp import exposure
from ocfpy.ocf.addresses import parse_address

ROOT = Path(__file__).resolve().parents[3]
V4 = parse_address("192.0.2.53")
V6 = parse_address("2001:db8::53")
UP, LOOPBACK, NOARP = 0x1003, 0x9, 0x83


class Host:
    def __init__(self, directory: Path) -> None:
        self.conf = directory / "conf"
        self.links = directory / "net"
        self.nic("all")
        self.nic("default")
        self.nic("lo", LOOPBACK)

    def nic(self, name: str, flags: int = UP, ignore: int = 0, announce: int = 0) -> None:
        (self.conf / name).mkdir(parents=True, exist_ok=True)
        (self.conf / name / "arp_ignore").write_text(f"{ignore}\n")
        (self.conf / name / "arp_announce").write_text(f"{announce}\n")
        if name not in ("all", "default"):
            (self.links / name).mkdir(parents=True, exist_ok=True)
            (self.links / name / "flags").write_text(f"{flags:#x}\n")

    def say(self, nic: str = "lo", address: str = "") -> str:
        return exposure(parse_address(address) if address else V4, nic, str(self.conf), str(self.links))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_without_an_interface_that_speaks_arp_no_interface_answers(host: Host) -> None:
    assert host.say() == ""
    host.nic("dummy0", NOARP)
    host.nic("eth9", flags=0x1002)
    assert host.say() == ""
    assert host.say("dummy0") == ""


@pytest.mark.parametrize(
    ("all_", "own", "answers"),
    [((0, 0), (0, 0), True), ((1, 0), (0, 0), True), ((0, 2), (0, 0), True), ((1, 2), (0, 0), False), ((0, 0), (1, 2), False),
     ((8, 2), (0, 0), False)],
)  # fmt: skip
def test_the_higher_setting_counts(host: Host, all_: tuple[int, int], own: tuple[int, int], answers: bool) -> None:
    host.nic("eth0", UP, *own)
    host.nic("all", UP, *all_)
    assert ("eth0 would answer ARP for 192.0.2.53" in host.say()) is answers


def test_an_address_on_the_card_is_answered_for_all_the_same(host: Host) -> None:
    host.nic("eth0", UP, 1, 2)
    assert "put it on lo" in host.say("eth0")
    assert "neighbor discovery" in host.say("eth0", "2001:db8::53")
    assert host.say("lo", "2001:db8::53") == ""


SCRIPT = """
set -e
ip link set lo up
ip link add name here type veth peer name there
ip addr add 192.0.2.53/32 dev lo scope host
ip addr add 10.7.0.1/24 dev here
ip link set here up
unshare --net sleep 60 & other=$!
while [ "$(readlink /proc/$other/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do :; done
ip link set there netns $other
inside() { nsenter --net=/proc/$other/ns/net "$@"; }
inside ip addr add 10.7.0.2/24 dev there
inside ip link set there up
inside ip route add 192.0.2.53 dev there
mount -t sysfs sysfs /sys
ask() {
    inside ip neigh flush dev there
    inside ping -c 1 -W 1 192.0.2.53 >/dev/null 2>&1 && answered=1 || answered=0
    said=$("$PYTHON" -IS -c "import sys; sys.path.insert(0, sys.argv[1])
from ocfpy.net.arp import exposure
from ocfpy.ocf.addresses import parse_address
print(int(bool(exposure(parse_address('192.0.2.53'), 'lo'))))" "$LIBRARY")
    echo "$1 answered=$answered said=$said"
}
ask before
sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2
ask after
kill $other
"""


def test_the_kernel_agrees(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHON": sys.executable, "LIBRARY": str(ROOT / "lib")}
    argv = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", SCRIPT]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["before answered=1 said=1", "after answered=0 said=0"], done
