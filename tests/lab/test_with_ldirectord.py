"""ldirectord and ipvs-pool beside each other in one node, whose cluster does not come back: the last that the lab is used for."""
from __future__ import annotations

import pytest

from tests.lab.test_kernel import SCRIPTS, run
from tests.lab.testbed import Lab, UmlNode


@pytest.fixture(scope="module")
def node(lab: Lab) -> UmlNode:
    """A node for these tests alone: a cluster, FRR and Perl processes on one core would be in each other's way."""
    node = lab.nodes[-1]
    node.power_off()
    node.write_boot("modprobe -a ip_vs bridge veth")
    node.power_on()
    return node


def test_moving_from_ldirectord(node: UmlNode) -> None:
    """A client's stream while ipvs-pool takes the table that ldirectord left, and while the file is edited."""
    run(node, "from_ldirectord.py", "python3 /root/from_ldirectord.py", timeout=600)


def test_the_same_as_ldirectord(node: UmlNode) -> None:
    """Files of ldirectord's to ldirectord and to ipvs-pool: the same tables, in every state of the servers."""
    for config in (SCRIPTS / "ldirectord").glob("*.cf"):
        node.put(f"/root/ldirectord/{config.name}", config.read_text())
    node.put("/root/ldirectord_servers.py", (SCRIPTS / "ldirectord_servers.py").read_text())
    run(node, "ldirectord_same.py", "python3 /root/ldirectord_same.py /root/ldirectord", timeout=1800)
