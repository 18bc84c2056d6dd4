"""The scripts in kernel/, which try the library on a kernel that has IPVS, run in a node that has little else."""
from __future__ import annotations

from pathlib import Path

from tests.lab.testbed import Lab, UmlNode
from tests.lab.testbed.bench import Bench

SCRIPTS = Path(__file__).parent / "kernel"
SHARED = (
    "hosts.py", "clients.py", "server.py", "pool_backends.py", "pool_drains.py", "ipvsadm_words.py", "random_tables.py",
    "hostile.py",
)  # fmt: skip
LIBRARY = "/usr/lib/ocf/lib/anycast"


def test_ipvs_tables(bench: Bench) -> None:
    """Random tables, in a namespace of their own; without a loopback that is up the kernel takes no real server there."""
    script = f"ip link set lo up; exec python3 /root/ipvs_roundtrip.py {LIBRARY} 10"
    run(bench.node, "ipvs_roundtrip.py", f"unshare --net sh -c '{script}'")


def test_pool_lifecycle(lab: Lab) -> None:
    """The pool's whole life, with the cluster's attrd_updater replaced by its own; the script makes its own namespace."""
    run(lab.nodes[-1], "pool_lifecycle.py", "python3 /root/pool_lifecycle.py")


def test_pool_members(bench: Bench) -> None:
    """Drains, slow start, sorry servers, min_up and quorum, with real connections between namespaces of the node."""
    run(bench.node, "pool_members.py", "python3 /root/pool_members.py", timeout=900)


def test_sync_lifecycle(bench: Bench) -> None:
    """Two load balancers that are namespaces of the node, and connections that move from one to the other."""
    run(bench.node, "sync_lifecycle.py", "python3 /root/sync_lifecycle.py")


def test_vip_checks(bench: Bench) -> None:
    """Checks by way of the virtual service, on a node with its address and without."""
    run(bench.node, "vip_checks.py", "python3 /root/vip_checks.py")


def test_foreign_tables(lab: Lab) -> None:
    """What the gate makes of tables that ldirectord and keepalived fill; the address is on a dummy interface."""
    run(lab.nodes[-1], "foreign_tables.py", "python3 /root/foreign_tables.py")


def test_vrf_announce(bench: Bench) -> None:
    """An announcement, and its address, in a VRF; both ends are namespaces of the node."""
    run(bench.node, "vrf_announce.py", "python3 /root/vrf_announce.py")


def test_never_drops(bench: Bench) -> None:
    """A client's stream through everything that is done to a pool."""
    run(bench.node, "never_drops.py", "python3 /root/never_drops.py")


def test_many_pools(bench: Bench) -> None:
    """Fifty pools: started, handed over from daemon to daemon under a client's stream, beside pools and servers that are bad."""
    run(bench.node, "many_pools.py", "python3 /root/many_pools.py", timeout=900)


def test_killed_anywhere(bench: Bench) -> None:
    """The agents that need IPVS, killed at every step that has an effect; tests/conformance and tests/frr have the others."""
    run(bench.node, "killed_anywhere.py", "python3 /root/killed_anywhere.py", timeout=900)


def run(node: UmlNode, script: str, command: str, timeout: float = 300) -> None:
    for file in (script, *SHARED):
        node.put(f"/root/{file}", (SCRIPTS / file).read_text())
    result = node.run(f"modprobe ip_vs; {command}", timeout=timeout)
    print(result.out)
    assert result.rc == 0, f"{result.out[-3000:]}\n{result.err[-3000:]}"


def test_every_script_is_run() -> None:
    text = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [path.name for path in SCRIPTS.glob("*.py") if f'"{path.name}"' not in text] == []
