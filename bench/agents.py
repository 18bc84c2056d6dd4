"""What the agents' actions take, in turn with their shell and Python peers, in one node with real IPVS and FRR."""
from __future__ import annotations

import json
import shutil
from typing import Any

from bench.balancer import SCRIPTS
from tests.lab.testbed import rootfs
from tests.lab.testbed.bench import PLAN, Bench
from tests.lab.testbed.network import Fabric, sweep

ROUNDS = 15
SERVICES = 100
INTERVAL_S = 10
VIP = "192.0.2.53"
PEER_VIP = "192.0.2.99"
RESOURCES = "/usr/lib/ocf/resource.d"


def run() -> dict[str, Any]:
    """Rows: median milliseconds of wall clock a call, and beside the peer that does the like."""
    sweep()
    with_peers = Bench(Fabric(), rootfs.CACHE / "bench-agents", packages=rootfs.FULL)
    try:
        with_peers.start()
        with_peers.node.run("mkdir -p /etc/ha.d").check()
        with_peers.node.put("/etc/ha.d/ldirectord.cf", LDIRECTORD)
        with_peers.node.put("/root/agents", (SCRIPTS / "agents").read_text(), 0o755)
        answer = with_peers.node.run(f"/root/agents {ROUNDS}", timeout=600, stdin=json.dumps(_round())).check()
        medians: dict[str, float] = {label: 1000 * seconds for label, seconds in json.loads(answer.out).items()}
    finally:
        with_peers.close()
        with_peers.fabric.close()
        shutil.rmtree(rootfs.CACHE / "bench-agents", ignore_errors=True)
    return {"rows": _rows(medians), "bars": _bars(medians), **_node_cost(medians)}


LDIRECTORD = f"""\
checktimeout=1
checkinterval=10
quiescent=yes
virtual={PEER_VIP}:80
\treal={PLAN.lan4(1)}:80 gate
\tprotocol=tcp
\tchecktype=on
"""


def _agent(provider: str, name: str, **parameters: str) -> tuple[str, dict[str, str]]:
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "OCF_ROOT": "/usr/lib/ocf", "HA_LOGFACILITY": "none",
        "OCF_RA_VERSION_MAJOR": "1", "OCF_RA_VERSION_MINOR": "1", "OCF_RESOURCE_INSTANCE": f"bench-{name}",
        "OCF_RESOURCE_PROVIDER": provider, "OCF_RESOURCE_TYPE": name, "OCF_RESKEY_CRM_meta_timeout": "20000",
        **{f"OCF_RESKEY_{key}": value for key, value in parameters.items()},
    }
    return f"{RESOURCES}/{provider}/{name}", environment


def _round() -> dict[str, list[Any]]:
    """What is done once before and after, and in every round: [label, argv, environment, exit code]."""
    pool = _agent(
        "anycast", "ipvs-pool", virtual=f"tcp/{VIP}:80", real_servers=f"{PLAN.lan4(1)}:80", check="on"
    )
    vip = _agent("anycast", "anycast-vip", ip=VIP)
    bgp = _agent("anycast", "bgp-announce", prefix=VIP, settle="0")
    address = _agent("heartbeat", "IPaddr2", ip=PEER_VIP, nic="lo", cidr_netmask="32")
    director = _agent("heartbeat", "ldirectord", configfile="/etc/ha.d/ldirectord.cf")
    python_peer = _agent("heartbeat", "gcp-vpc-move-vip")
    both = [(vip, "anycast-vip"), (bgp, "bgp-announce")]
    return {
        "before": [_call("", pool, "start"), _call("", director, "start")],
        "round": [
            ["interpreter", ["/usr/bin/python3", "-IS", "-c", "pass"], {}, 0],
            ["modules", ["/usr/bin/python3", "-IS", *LOADED], {}, 0],
            _call("IPaddr2 start", address, "start"),
            _call("IPaddr2 monitor", address, "monitor"),
            _call("IPaddr2 stop", address, "stop"),
            _call("IPaddr2 meta-data", address, "meta-data"),
            *(_call(f"{name} start", agent, "start") for agent, name in both),
            *(call for agent, name in both for call in _monitors(name, agent)),
            *(_call(f"{name} stop", agent, "stop") for agent, name in both[::-1]),
            *(_call(f"{name} meta-data", agent, "meta-data") for agent, name in [*both, (pool, "ipvs-pool")]),
            *_monitors("ipvs-pool", pool),
            _call("ldirectord monitor", director, "monitor"),
            _call("gcp-vpc-move-vip meta-data", python_peer, "meta-data"),
        ],
        "after": [_call("", pool, "stop"), _call("", director, "stop")],
    }


# An action that does nothing: what it takes beyond the interpreter's time goes to the loading of the modules.
LOADED = ("/usr/lib/ocf/lib/anycast/agent", "ocfpy.agents.anycast_vip:AnycastVip", "usage")


def _call(label: str, agent: tuple[str, dict[str, str]], action: str) -> list[Any]:
    path, environment = agent
    interval = {"OCF_RESKEY_CRM_meta_interval": "10000"} if action == "monitor" else {}
    return [label, [path, action], {**environment, **interval}, 0]


def _monitors(name: str, agent: tuple[str, dict[str, str]]) -> list[list[Any]]:
    """A monitor that takes an interpreter, for its check level; one that notes what it found; one that goes by the note."""
    path, environment = agent
    return [
        _call(f"{name} monitor, interpreter", (path, {**environment, "OCF_CHECK_LEVEL": "1"}), "monitor"),
        _call("", agent, "monitor"),
        _call(f"{name} monitor", agent, "monitor"),
    ]


def _rows(ms: dict[str, float]) -> list[dict[str, Any]]:
    rows = []
    for label, value in ms.items():
        if not label:
            continue
        action = label.partition(" ")[2].partition(",")[0]
        peer = f"{'gcp-vpc-move-vip' if action == 'meta-data' else 'IPaddr2'} {action}"
        rows.append({"what": label, "ms": value, **({"beside": peer, "ratio": value / ms[peer]} if peer in ms else {})})
    vip = ms["anycast-vip monitor, interpreter"]
    rows.append({"what": "anycast-vip monitor: modules", "ms": ms["modules"] - ms["interpreter"]})
    rows.append({"what": "anycast-vip monitor: work", "ms": vip - ms["modules"]})
    return rows


def _bars(ms: dict[str, float]) -> dict[str, bool]:
    bars = {}
    for name in ("anycast-vip", "bgp-announce", "ipvs-pool"):
        bars[f"{name}: monitor at most 0.25 of IPaddr2's"] = ms[f"{name} monitor"] <= 0.25 * ms["IPaddr2 monitor"]
        bars[f"{name}: meta-data at most 0.5 of gcp-vpc-move-vip's"] = (
            ms[f"{name} meta-data"] <= 0.5 * ms["gcp-vpc-move-vip meta-data"]
        )
    for name in ("anycast-vip", "bgp-announce"):
        for action in ("start", "stop"):
            bars[f"{name}: {action} at most 1.0 of IPaddr2's"] = ms[f"{name} {action}"] <= ms[f"IPaddr2 {action}"]
    return bars


def _node_cost(ms: dict[str, float]) -> dict[str, float]:
    """Share of one core that the monitors of SERVICES services take, each called every INTERVAL_S seconds."""
    a_second = SERVICES / INTERVAL_S / 1000
    ours = sum(ms[f"{name} monitor"] for name in ("ipvs-pool", "anycast-vip", "bgp-announce"))
    peers = ms["IPaddr2 monitor"] + ms["ldirectord monitor"]
    return {"services": SERVICES, "three_agents_cores": ours * a_second, "ipaddr2_and_ldirectord_cores": peers * a_second}
