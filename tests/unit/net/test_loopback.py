"""Real addresses in a network namespace of the test's own; root is needed for that."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from ocfpy.net import loopback, netlink
from ocfpy.ocf.addresses import parse_address

LIBRARY = Path(__file__).resolve().parents[3] / "lib"
PREAMBLE = """
import os, subprocess, sys
sys.path.insert(0, sys.argv[1])
from ocfpy.net.loopback import add_address, find_address, locate, remove_address
from ocfpy.ocf.addresses import Address, parse_address
from ocfpy.ocf.errors import OcfError

def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True).stdout

def refused(call, *arguments):
    try:
        call(*arguments)
    except OcfError as error:
        return type(error).__name__ + ": " + error.reason
    return "not refused"

v4, v6 = parse_address("192.0.2.53"), parse_address("2001:db8::53")
ip("link", "set", "lo", "up")
"""


def in_namespace(script: str) -> list[str]:
    """The lines that a script prints, run with an empty loopback of its own."""
    done = subprocess.run(
        ["unshare", "-n", sys.executable, "-I", "-c", PREAMBLE + script, str(LIBRARY)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "LC_ALL": "C"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("address", ["v4", "v6"])
def test_added_found_removed(address: str) -> None:
    assert in_namespace(f"""
a = {address}
print(locate(a), find_address(a))
add_address(a, "lo")
print(locate(a), find_address(a))
add_address(a, "lo")
print(len(locate(a)))
remove_address(a, "lo")
print(locate(a))
remove_address(a, "lo")
""") == [
        "[] []",
        f"[('lo', {32 if address == 'v4' else 128})] ['lo']",
        "1",
        "[]",
    ]


def test_never_a_source_address() -> None:
    shown = in_namespace("""
add_address(v4, "lo")
add_address(v6, "lo")
print(ip("-d", "address", "show", "dev", "lo"))
""")
    text = "\n".join(shown)
    assert "inet 192.0.2.53/32 scope host lo" in text
    assert "inet6 2001:db8::53/128 scope global nodad deprecated" in text
    assert "preferred_lft 0sec" in text


def test_same_address_elsewhere_or_with_another_length() -> None:
    assert in_namespace("""
ip("link", "add", "veth-a", "type", "veth", "peer", "name", "veth-b")
ip("address", "add", "192.0.2.53/24", "dev", "veth-a")
ip("address", "add", "2001:db8::53/64", "dev", "lo")
print(locate(v4), find_address(v4))
print(locate(v6))
add_address(v4, "lo")
print(sorted(locate(v4)))
remove_address(v4, "lo")
print(locate(v4))
""") == [
        "[('veth-a', 24)] ['veth-a']",
        "[('lo', 64)]",
        "[('lo', 32), ('veth-a', 24)]",
        "[('veth-a', 24)]",
    ]


def test_peer_address_is_not_ours() -> None:
    assert in_namespace("""
ip("link", "add", "veth-a", "type", "veth", "peer", "name", "veth-b")
ip("address", "add", "192.0.2.1", "peer", "192.0.2.53", "dev", "veth-a")
print(locate(v4), locate(parse_address("192.0.2.1")))
""") == ["[] [('veth-a', 32)]"]


def test_many_addresses_take_more_than_one_message() -> None:
    assert in_namespace("""
batch = "".join(f"address add 10.{n // 250}.{n % 250}.1/32 dev lo\\n" for n in range(2000))
subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True)
add_address(v4, "lo")
print(locate(v4), locate(parse_address("10.7.249.1")))
""") == ["[('lo', 32)] [('lo', 32)]"]


def test_refusals_say_what_to_do() -> None:
    assert in_namespace("""
print(refused(add_address, v4, "nope0"))
print(refused(remove_address, v4, "nope0"))
open("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "w").write("1")
print(refused(add_address, v6, "lo"))
os.setuid(65534)
print(refused(add_address, v4, "lo"))
print(refused(remove_address, v4, "lo"))
print(locate(parse_address("127.0.0.1")))
""") == [
        "HostError: there is no network interface nope0",
        "not refused",
        "HostError: cannot add 2001:db8::53/128 on lo: IPv6 is switched off there "
        "(sysctl net.ipv6.conf.lo.disable_ipv6)",
        "PermissionDeniedError: cannot add 192.0.2.53/32 on lo: this requires root (CAP_NET_ADMIN)",
        "PermissionDeniedError: cannot remove 192.0.2.53/32 on lo: this requires root (CAP_NET_ADMIN)",
        "[('lo', 8)]",
    ]


def test_a_dump_is_repeated_when_addresses_changed_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel skipped an address here, and says that it may have."""
    address = parse_address("192.0.2.53")
    body = bytes([2, 32, 0, 0]) + (1).to_bytes(4, sys.byteorder) + netlink.attribute(loopback.IFA_LOCAL, address.packed)
    done = netlink.message(netlink.NLMSG_DONE, 0, 1, bytes(4))
    answers = [
        netlink.message(netlink.NLMSG_DONE, netlink.NLM_F_DUMP_INTR, 1, bytes(4)),
        netlink.message(loopback.RTM_NEWADDR, 0, 1, body) + done,
    ]

    class Kernel:
        def __init__(self, *_: int) -> None:
            pass

        def sendto(self, *_: object) -> None:
            pass

        def recv(self, size: int) -> bytes:
            return answers.pop(0)

        def close(self) -> None:
            pass

    monkeypatch.setattr(loopback, "socket", Kernel)
    assert loopback.find_address(address) == ["lo"]
