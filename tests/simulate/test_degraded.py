"""A pool without backends says 190, "degraded": Pacemaker does nothing about it, lists it, and forgets it by itself."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from lxml import etree
from ocfpy.ocf.context import Context

from tests.simulate.cluster import EXAMPLES, Cluster
from tests.simulate.conftest import Loader
from tests.simulate.test_examples import NAMES

OCF_DEGRADED = 190
LONG_S = 3600


def degrade(cluster: Cluster, pool: str, seconds_ago: float) -> None:
    """What the controller writes when the pool's monitor says 190: any result but 0 goes into last_failure_0.

    A later 0 goes into another entry and leaves this one (lib/pacemaker/pcmk_sched_actions.c, pcmk__create_history_xml).
    """
    cib = etree.parse(str(cluster.cib)).getroot()
    found = [one for one in cib.iterfind(".//lrm_rsc_op[@operation='monitor']") if _is_monitor_of(one, pool)]
    assert found
    for entry in found:
        failure = etree.SubElement(entry.getparent(), "lrm_rsc_op", entry.attrib)
        failure.set("id", entry.get("id").replace(entry.get("operation_key"), f"{entry.getparent().get('id')}_last_failure_0"))
        failure.set("rc-code", str(OCF_DEGRADED))
        failure.set("transition-magic", entry.get("transition-magic").replace("0:0;", f"0:{OCF_DEGRADED};"))
        failure.set("last-rc-change", str(int(time.time() - seconds_ago)))
    cluster.cib.write_bytes(etree.tostring(cib))


def _is_monitor_of(entry: etree._Element, pool: str) -> bool:
    return bool(entry.getparent().get("id").partition(":")[0] == pool and entry.get("interval") != "0")


def listed(cluster: Cluster) -> list[str]:
    """What crm_mon shows under Failed Resource Actions."""
    tree = etree.fromstring(cluster.run("crm_mon", "-1", "--output-as=xml").encode())
    return [str(failure.get("exitcode")) for failure in tree.iterfind("failures/failure")]


def feature_set(cluster: Cluster) -> str:
    """What the Pacemaker here would pass to an agent."""
    return str(etree.fromstring(cluster.run("cibadmin", "--empty").encode()).get("crm_feature_set"))


@pytest.mark.parametrize("name", NAMES)
def test_every_example_forgets(name: str) -> None:
    assert re.search(r"^rsc_defaults .*\bfailure-timeout=[1-9]", (EXAMPLES / f"{name}.crm").read_text(), re.MULTILINE)


def test_nothing_is_done_and_in_the_end_nothing_is_left(tmp_path: Path, serving: Loader) -> None:
    """By failure-timeout; a Pacemaker that does not apply it is not told at all."""
    fresh, old = serving("recommended"), serving("recommended")
    old.cib = tmp_path / "old.xml"
    old.cib.write_bytes(fresh.cib.read_bytes())
    for cluster, seconds_ago in ((fresh, 1), (old, LONG_S)):
        for pool in cluster.pools():
            degrade(cluster, pool, seconds_ago)
    context = Context(["ipvs-pool", "monitor"], {"OCF_RESKEY_crm_feature_set": feature_set(fresh)})
    assert set(listed(fresh)) == {str(OCF_DEGRADED)}
    assert (listed(old) == []) == context.cluster_expires_degraded
    for cluster in (fresh, old):
        assert not cluster.settle(), "a degraded pool is no reason to do anything"
