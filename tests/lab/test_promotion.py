"""A promotable clone on the library, seen by a real cluster: the agent of docs/agent-tutorial.md that has a promoted role."""
from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.testbed import Cluster, Lab, UmlNode, wait_for

PAGE = Path(__file__).resolve().parents[2] / "docs/agent-tutorial.md"
AGENT = "/usr/lib/ocf/resource.d/example/leader"
LIBRARY = "/usr/lib/ocf/lib/anycast"
SCORE = "master-leader"
"""Pacemaker's name for the attribute that holds a promotion score (pcmk_promotion_score_name in its libcrmcommon)."""
NOTED = "/run/leader.notified"
TIMES = " ".join(f"op {action} timeout=60s interval=0" for action in ("start", "stop", "promote", "demote", "notify"))
CONFIGURATION = f"""
primitive leader ocf:example:leader params favorite={{favorite}} {TIMES} \\
  op monitor interval=10s timeout=60s op monitor interval=11s role=Promoted timeout=60s
clone leaders leader meta promotable=true notify=true
"""
NOTE = f"""\
    def notify(self, notification):
        with open("{NOTED}", "a") as file:
            print(notification.key, notification.demote, notification.promote, notification.promoted, file=file)
"""
"""What the agent of the page is made to do besides, to see how it is notified."""


def source() -> str:
    """The agent of the page, which writes down what it is notified of."""
    blocks: list[str] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (text,) = [block for block in blocks if "class Leader" in block]
    head, notify, tail = text.partition("    def notify(self, notification):\n")
    assert notify
    return head + NOTE + tail


@pytest.fixture
def cluster(steady: Lab) -> Iterator[Cluster]:
    """Site B's cluster with the agent on both nodes; afterwards neither it nor anything of it is there."""
    cluster = steady.site_b.cluster
    for node in cluster.nodes:
        node.put(AGENT, source(), mode=0o755)
    try:
        yield cluster
    finally:
        cluster.run("crm_resource --resource leaders --clear")
        cluster.crm("resource stop leaders")
        wait_for(lambda: not cluster.where("leader"), 60, "no instance is left")
        cluster.crm("configure delete leaders leader")
        cluster.wait_idle()
        for node in cluster.nodes:
            node.run(f"rm -r {Path(AGENT).parent} {NOTED}").check()


def promoted(cluster: Cluster) -> list[str]:
    """Nodes with an instance in the promoted role."""
    said = cluster.run("crm_resource --locate --resource leaders", timeout=30).out
    return re.findall(r"running on: (\S+) (?:Promoted|Master)", said)


def scores(cluster: Cluster) -> dict[str, str]:
    """{node: promotion score}, as the cluster has them."""
    return {node: attributes[SCORE] for node, attributes in cluster.attributes().items() if SCORE in attributes}


def test_promotion(cluster: Cluster) -> None:
    """Promoted by score, moved by the operator, notified of it, demoted, stopped: and the scores follow."""
    first, second = cluster.nodes

    def wait_led_by(node: UmlNode) -> None:
        wanted = [node.name], {first.name: "100", second.name: "20" if node is second else "10"}
        wait_for(lambda: (promoted(cluster), scores(cluster)) == wanted, 120, f"{node.name} leads")
        cluster.wait_idle()
        roles = {peer.name: peer.get("/run/leader") for peer in cluster.nodes}
        assert roles == {peer.name: "promoted" if peer is node else "unpromoted" for peer in cluster.nodes}

    cluster.load(CONFIGURATION.format(favorite=first.name))
    wait_led_by(first)
    query = f"crm_attribute --promotion=leader --node={first.name} --query --quiet"
    assert cluster.run(query).check().out.split() == ["100"]
    for node in cluster.nodes:
        node.run(f"rm -f {NOTED}").check()

    cluster.run(f"crm_resource --resource leaders --move --promoted --node {second.name}").check()
    wait_led_by(second)
    for node in cluster.nodes:
        noted = node.get(NOTED).splitlines()
        print(node.name, *noted, sep="\n")
        before, after = rf"\(leader:\d@{first.name},\)", rf"\(leader:\d@{second.name},\)"
        # Should the cluster have made two plans of it, the second one knows of no promoted instance any more.
        told = [f"{when}-demote {before} .* {before}" for when in ("pre", "post")]
        told += [f"{when}-promote .* {after} .*" for when in ("pre", "post")]
        assert [line for line in told if not any(re.fullmatch(line, found) for found in noted)] == []

    cluster.crm("resource demote leaders")
    wait_for(lambda: promoted(cluster) == [], 60, "no instance is promoted")
    assert cluster.where("leader") == sorted(node.name for node in cluster.nodes)
    cluster.crm("resource stop leaders")
    wait_for(lambda: (cluster.where("leader"), scores(cluster)) == ([], {}), 60, "nothing runs, and no score is left")
    assert cluster.failed_actions() == []
