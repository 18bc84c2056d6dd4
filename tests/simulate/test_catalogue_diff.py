"""`anycastctl services diff`: what it says of a change is what the scheduler then does."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from ocfpy.cli.main import main
from ocfpy.services.cib import Cib
from ocfpy.services.keys import AGENTS

from tests.simulate.catalogue import OTHERS, SERVICES, composition
from tests.simulate.cluster import Cluster

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def serving_cib(catalogued: bytes) -> bytes:
    """The CIB of a pair that serves, with the digests by which Pacemaker tells a reload from a restart."""
    return with_restart_digests(catalogued)


@pytest.fixture
def cluster(tmp_path: Path, agents: Path, serving_cib: bytes) -> Cluster:
    found = Cluster(tmp_path, agents)
    found.cib.write_bytes(serving_cib)
    return found


def replace(cluster: Cluster, text: str) -> None:
    """Puts the catalogue in the place of the one before."""
    cluster.cib.write_bytes(Cib.parse(cluster.cib.read_bytes()).replaced(composition(text)).text())


def with_restart_digests(data: bytes) -> bytes:
    """Adds to each action in the history what the controller records of an agent with reload-agent (lib/common/digest.c)."""
    cib = Cib.parse(data)
    resources = cib.resources()
    for history in cib.root.iterfind("status//lrm_resource"):
        resource = resources[history.get("id").partition(":")[0]]
        agent = AGENTS.get(resource.agent.rpartition(":")[2])
        if agent is None or not agent.can_reload():
            continue
        fixed = sorted(parameter.name for parameter in agent.parameters() if not parameter.reloadable)
        given = {name: resource.parameters[name] for name in fixed if name in resource.parameters}
        parameters = etree.Element("parameters", given)
        digest = hashlib.md5(f" {etree.tostring(parameters).decode()}\n".encode()).hexdigest()
        for operation in history:
            operation.set("op-force-restart", f" {' '.join(fixed)} ")
            operation.set("op-restart-digest", digest)
    return cib.text()


def diff(cluster: Cluster, text: str, capsys: Captured, *options: str) -> tuple[int, str, str]:
    file = cluster.work / "services.yaml"
    file.write_text(text)
    code = main(["services", "diff", str(file), "--cib", str(cluster.cib), *options])
    said = capsys.readouterr()
    return code, said.out, said.err


def changes(cluster: Cluster, text: str, capsys: Captured) -> dict[str, Any]:
    """The diff as a document, after it was found to be what happens."""
    code, out, err = diff(cluster, text, capsys, "--json")
    assert (code, err) == (2, "")
    found: dict[str, Any] = json.loads(out)
    pools = set(cluster.pools())
    replace(cluster, text)
    steps = [f"{step['resource']} {step['action']} {step['node']}" for step in found["steps"]]
    for pool in set(cluster.pools()) - pools:
        cluster.alive(pool, 1)
    done = [str(step) for step in cluster.simulate() if step.kind != "delete"]
    assert done
    assert sorted(done) == sorted(steps)
    for chain in {_chain(step) for step in steps}:
        assert [step for step in done if _chain(step) == chain] == [step for step in steps if _chain(step) == chain]
    return found


def _chain(step: str) -> tuple[str, str]:
    """What the order of steps is certain within: the resources of one address on one node."""
    resource, _, node = step.split()
    return resource.replace("-bgp", "-vip"), node


def service(found: dict[str, Any], name: str) -> Any:
    (one,) = [one for one in found["services"] if one["name"] == name]
    return one


def test_the_same_catalogue_changes_nothing(cluster: Cluster, capsys: Captured) -> None:
    assert diff(cluster, SERVICES + OTHERS, capsys) == (0, "no changes\n", "")


def test_a_reload(cluster: Cluster, capsys: Captured) -> None:
    text = (SERVICES + OTHERS).replace("example.com", "example.org")
    code, out, _ = diff(cluster, text, capsys)
    assert code == 2
    assert out.splitlines()[:4] == [
        "service dns: changed",
        "  dns-pool: changed, is reloaded",
        "    check_name: example.com -> example.org",
        "  clients notice: nothing",
    ]
    assert out.splitlines()[4] == "the cluster will, in this order:"
    assert sorted(out.splitlines()[5:]) == ["  dns-pool reload-agent on lb1", "  dns-pool reload-agent on lb2"]


def test_a_restart(cluster: Cluster, capsys: Captured) -> None:
    found = changes(cluster, (SERVICES + OTHERS).replace("192.0.2.53", "192.0.2.54"), capsys)
    (dns,) = found["services"]
    assert (dns["name"], dns["state"]) == ("dns", "changed")
    parts = {part["id"]: part for part in dns["resources"]}
    assert parts["dns-vip4"]["changes"] == [{"name": "ip", "old": "192.0.2.53", "new": "192.0.2.54"}]
    assert parts["dns-vip4"]["effect"] == "restarted"
    assert dns["clients"] == "the route is withdrawn and announced again, sessions through this pair are reset"


def test_a_move(cluster: Cluster, capsys: Captured) -> None:
    found = changes(cluster, (SERVICES + OTHERS).replace("prefer: lb2", "prefer: lb1"), capsys)
    (dns,) = found["services"]
    assert dns["constraints"] == [
        {
            "id": f"dns-vip{family}-prefers",
            "state": "changed",
            "effect": "",
            "changes": [{"name": "node", "old": "lb2", "new": "lb1"}],
        }
        for family in (4, 6)
    ]
    assert dns["clients"] == "nothing: the other node announces the address before this one withdraws it"
    assert {"resource": "dns-bgp4", "action": "migrate_from", "node": "lb1"} in found["steps"]


def test_a_service_that_is_added(cluster: Cluster, capsys: Captured) -> None:
    replace(cluster, SERVICES)
    cluster.simulate()
    found = changes(cluster, SERVICES + OTHERS, capsys)
    assert {one["name"]: one["state"] for one in found["services"]} == {
        "web-1.example": "added",
        "ecmp": "added",
        "unicast": "added",
    }
    assert service(found, "ecmp")["clients"] == "the service becomes reachable"
    steps = [f"{step['resource']} {step['action']}" for step in found["steps"]]
    for before, after in (("pool4", "vip4"), ("vip4", "bgp4"), ("pool6", "vip6"), ("vip6", "bgp6")):
        assert steps.index(f"web-1.example-{before} start") < steps.index(f"web-1.example-{after} start")


def test_a_service_that_is_removed(cluster: Cluster, capsys: Captured) -> None:
    found = changes(cluster, SERVICES, capsys)
    assert {one["name"]: one["state"] for one in found["services"]} == {
        "web-1.example": "removed",
        "ecmp": "removed",
        "unicast": "removed",
    }
    assert service(found, "ecmp")["clients"] == (
        "the address is removed while the route is being withdrawn, requests are lost until the routers know: "
        "stop ecmp-bgp4 ecmp-bgp6 first"
    )
    assert service(found, "unicast")["clients"] == "the address is removed"
    assert not [step for step in found["steps"] if step["resource"].startswith("dns-")]


def test_a_secret_is_not_shown(cluster: Cluster, capsys: Captured) -> None:
    text = (SERVICES + OTHERS).replace('a "quoted" $(word), ', "hunter2")
    code, out, _ = diff(cluster, text, capsys)
    assert code == 2
    assert "    check_request: (not shown) -> (not shown)" in out.splitlines()
    assert "hunter2" not in out
    assert "quoted" not in out


def test_a_cluster_without_fencing_starts_nothing(tmp_path: Path, agents: Path, capsys: Captured) -> None:
    code, out, _ = diff(Cluster(tmp_path, agents), SERVICES, capsys)
    assert code == 2
    end = out.splitlines()[out.splitlines().index("the cluster will do nothing") :]
    assert end[1] == "Pacemaker says: Resource start-up disabled since no STONITH resources have been defined"


def test_without_a_node_that_is_online_nothing_is_promised(cluster: Cluster, capsys: Captured) -> None:
    cib = Cib.parse(cluster.cib.read_bytes())
    cib.root.find("status").clear()
    cluster.cib.write_bytes(cib.text())
    code, out, _ = diff(cluster, SERVICES.replace("192.0.2.53", "192.0.2.54") + OTHERS, capsys)
    assert code == 2
    assert "clients notice: unknown: no node is online in this CIB" in out
    assert "clients notice: nothing" not in out
    assert "what the cluster will do is unknown: no node is online in this CIB, which needs the status section" in out


def test_the_cib_of_the_running_cluster(cluster: Cluster, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """cibadmin reads a file in the place of the cluster's CIB when CIB_file says so."""
    file = cluster.work / "services.yaml"
    file.write_text(SERVICES + OTHERS)
    monkeypatch.setenv("CIB_file", str(cluster.cib))
    assert main(["services", "diff", str(file)]) == 0
    assert capsys.readouterr() == ("no changes\n", "")
    monkeypatch.setenv("CIB_file", str(cluster.work / "none.xml"))
    assert main(["services", "diff", str(file)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(
        "anycastctl: the CIB of this node cannot be read: run this on a node of the cluster, as root, or name a CIB with"
        " --cib FILE (cibadmin failed: "
    )


def test_what_cannot_be_compared(cluster: Cluster, capsys: Captured, tmp_path: Path) -> None:
    file = tmp_path / "services.yaml"
    assert diff(cluster, SERVICES.replace("check: dns", "chek: dns"), capsys) == (
        1,
        "",
        f"{file}:9:5: unknown key chek in service dns: did you mean check?\n",
    )
    cluster.cib.write_text("<cib/>")
    assert diff(cluster, SERVICES, capsys) == (1, "", "anycastctl: the document has no <configuration>: it is not a CIB\n")
    cluster.cib.unlink()
    code, out, err = diff(cluster, SERVICES, capsys)
    assert (code, out) == (1, "")
    assert err == f"anycastctl: {cluster.cib}: No such file or directory\n"
