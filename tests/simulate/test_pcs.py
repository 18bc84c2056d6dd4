"""What docs/installation.md says for pcs does what it says: the first configuration, and the commands beside those of crmsh."""

from __future__ import annotations

import re
import shlex
import subprocess
import textwrap
from pathlib import Path

from lxml import etree

from tests.simulate.cluster import PROGRAM_LIMIT_S, ROOT, Cluster
from tests.simulate.conftest import Loader

PAGE = (ROOT / "docs/installation.md").read_text()
INDENTED = re.compile(r"(?:^    .*\n|^\n)+", re.MULTILINE)
ROW = re.compile(r"^\| .* \| `(crm .*)` \| `(pcs .*)` \|$", re.MULTILINE)
OF_A_LIVE_CLUSTER = ("resource cleanup", "status", "config")
"""What pcs does not do on a file (pcs config also wants corosync.conf)."""


def pcs(cluster: Cluster, command: str) -> str:
    """Run a command of pcs on the cluster's CIB."""
    return cluster.run("pcs", "-f", str(cluster.cib), *shlex.split(command)[1:])


def first_configuration() -> list[str]:
    """The commands that fill the file, without those that take it from the cluster and give it back."""
    (block,) = (found for found in INDENTED.findall(PAGE) if "pcs cluster cib pair.xml" in found)
    lines = [line.strip() for line in block.replace("\\\n", "").splitlines() if line.strip()]
    assert (lines[0], lines[-1]) == ("pcs cluster cib pair.xml", "pcs cluster cib-push pair.xml")
    assert all(line.startswith("pcs -f pair.xml ") for line in lines[1:-1])
    return [line.replace("-f pair.xml ", "") for line in lines[1:-1]]


def facts(cluster: Cluster) -> set[tuple[str, ...]]:
    """What decides for the scheduler, without ids: options with their owner, timeouts, constraints."""
    found: set[tuple[str, ...]] = set()
    configuration = etree.parse(str(cluster.cib)).find("configuration")
    for element in configuration.iter("nvpair", "op", "expression", "rsc_colocation", "rsc_order"):
        above = element.iterancestors()
        names = (one.get("id") if one.tag in ("primitive", "clone") else one.get("rsc") or one.tag for one in above)
        owner = next(name for name in names if not name.endswith("_attributes") and name not in ("operations", "rule"))
        values = {key: value for key, value in element.attrib.items() if key not in ("id", "type", "first-action", "then-action")}
        if element.tag == "op":
            values["interval"] = values["interval"].rstrip("s")
        if element.tag == "rsc_order":
            values.setdefault("kind", "Mandatory")
        found.add((owner, element.tag, *map("=".join, sorted(values.items()))))
    return found


def test_first_configuration_is_single_address(configured: Loader, agents: Path, tmp_path: Path) -> None:
    work = tmp_path / "pcs"
    work.mkdir()
    cluster = Cluster(work, agents)
    for command in first_configuration():
        pcs(cluster, command)
    there, here = facts(configured("single-address")), facts(cluster)
    assert len(there) > 30
    assert there - here == set()
    added = {fact[1:4:2] for fact in here - there}
    named = {("op", f"name={action}") for action in ("reload-agent", "migrate_to", "migrate_from")}
    assert added == named, "operations with the timeout of the metadata are all that pcs adds"
    cluster.settle()
    cluster.alive("pool", 2)
    assert list(map(str, cluster.settle())) == ["vip start lb1", "bgp start lb1"]
    cluster.alive("pool", 0)
    assert list(map(str, cluster.settle())) == ["bgp stop lb1", "vip stop lb1"]


def settings(text: str) -> dict[str, set[str]]:
    """The lines of a corosync.conf by their section, without those about the log."""
    sections = re.findall(r"^(\w+) \{\n(.*?)^\}", textwrap.dedent(text), re.MULTILINE | re.DOTALL)
    return {name: {line.strip() for line in body.splitlines() if line.strip()} for name, body in sections if name != "logging"}


def test_both_ways_to_a_cluster_are_one(tmp_path: Path) -> None:
    """What pcs writes is the corosync.conf of the page."""
    (page,) = (found for found in INDENTED.findall(PAGE) if "totem {" in found)
    (setup,) = re.findall(r"^    (pcs cluster setup .*)$", PAGE, re.MULTILINE)
    by_pcs = tmp_path / "corosync.conf"
    subprocess.run([*shlex.split(setup), "--corosync_conf", by_pcs], check=True, capture_output=True, timeout=PROGRAM_LIMIT_S)
    written = settings(by_pcs.read_text())
    written["totem"] = {line for line in written["totem"] if not line.startswith("cluster_uuid")}
    assert settings(page) == written


def test_each_command_beside_that_of_crmsh_changes_something(serving: Loader) -> None:
    """In the order of the page, in which one undoes another; what needs a live cluster is left out."""
    cluster = serving("single-address")
    rows = ROW.findall(PAGE)
    assert len(rows) >= 10
    for _, command in rows:
        if not command.startswith(tuple(f"pcs {words}" for words in OF_A_LIVE_CLUSTER)):
            before = cluster.cib.read_bytes()
            pcs(cluster, command)
            assert cluster.cib.read_bytes() != before, command
