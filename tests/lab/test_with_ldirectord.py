"""ldirectord and ipvs-pool beside each other in one node, whose cluster does not come back: the last that the lab is used for."""
from __future__ import annotations

from tests.lab.test_kernel import SCRIPTS, run
from tests.lab.testbed import Lab


def test_the_same_as_ldirectord(lab: Lab) -> None:
    """Files of ldirectord's to ldirectord and to ipvs-pool: the same tables, whatever happens to the servers."""
    node = lab.nodes[-1]
    node.power_off()  # ten Perl processes and a cluster on one core would be in each other's way
    node.power_on()
    for config in (SCRIPTS / "ldirectord").glob("*.cf"):
        node.put(f"/root/ldirectord/{config.name}", config.read_text())
    run(node, "ldirectord_same.py", "python3 /root/ldirectord_same.py /root/ldirectord", timeout=900)
