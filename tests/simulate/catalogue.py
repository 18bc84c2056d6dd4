"""Puts a catalogue into a simulated cluster by each of its exports, and reads back what the CIB then says in effect."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from lxml import etree
from ocfpy.services import cib_xml
from ocfpy.services.check import load
from ocfpy.services.composition import Composition
from ocfpy.services.export import as_crm, as_pcs

from tests.simulate.cluster import Cluster

SERVICES = """
defaults: {check_interval: 1s, check_timeout: 500ms, announce: {min_peers: 2}}
sync: {nic: eth0, syncid: 53}
services:
  dns:
    addresses: [192.0.2.53, "2001:db8:53::53"]
    ports: [udp/53, tcp/53]
    real_servers: [10.0.0.11, 10.0.0.12, "2001:db8:a::11", "2001:db8:a::12"]
    check: dns
    check_name: example.com
    prefer: lb2
"""
OTHERS = """
  web-1.example:
    addresses: [192.0.2.80, 192.0.2.81, "2001:db8:53::80"]
    ports: [tcp/80]
    families: apart
    real_servers: [10.0.0.21, "2001:db8:a::21"]
    check: tcp
    check_request: 'a "quoted" $(word), \\r\\n and #'
    check_expect: "it's"
    operations: {ipvs-pool: {start: {timeout: 90s}}, bgp-announce: {monitor: {on-fail: block}}}
    ipv6: {check_port: 8080, announce: {route_map: six}}
  ecmp:
    addresses: [192.0.2.90, "2001:db8:53::90"]
    ports: [tcp/90]
    real_servers: [10.0.0.31, "2001:db8:a::31"]
    active: both
  unicast:
    addresses: [198.51.100.7/24, "2001:db8:9::7"]
    ports: [tcp/443]
    real_servers: [10.0.0.41, "2001:db8:a::41"]
    nic: eth1
    announce: none
"""

PCS_LIMIT_S = 300
_PCS = """
import json, os, sys
from pcs import app
for words in json.load(open(sys.argv[1])):
    child = os.fork()
    if child == 0:
        app.main(words)
        sys.exit(0)
    status = os.waitpid(child, 0)[1]
    if status:
        sys.exit(f"pcs {' '.join(words)}: {status}")
"""


def composition(text: str) -> Composition:
    return load(text).composition


def load_crm(cluster: Cluster, text: str) -> str:
    file = cluster.work / "catalogue.crm"
    file.write_text(as_crm(composition(text)))
    return cluster.load(file)


def load_pcs(cluster: Cluster, text: str) -> str:
    """Runs each command in a process of its own that has pcs loaded already: loading it takes most of a command's time."""
    script = cluster.work / "pcs.json"
    lines = [line for line in as_pcs(composition(text)).splitlines() if line.startswith('pcs -f "$cib" ')]
    script.write_text(json.dumps([["-f", str(cluster.cib), *shlex.split(line)[3:]] for line in lines]))
    return cluster.run("/usr/bin/python3", "-c", _PCS, str(script), limit_s=PCS_LIMIT_S)


def load_xml(cluster: Cluster, text: str) -> str:
    file = cluster.work / "catalogue.xml"
    file.write_text(cib_xml.document(composition(text)))
    return cluster.run("cibadmin", "--modify", "--allow-create", "--scope", "configuration", "--xml-file", str(file))


def effective(cib: Path) -> dict[str, Any]:
    """What the configuration means, however it is written: templates are expanded, and only ids that can be referred to count."""
    configuration = etree.parse(str(cib)).getroot().find("configuration")
    templates = {template.get("id"): template for template in configuration.iterfind("resources/template")}
    found: dict[str, Any] = {}
    for primitive in configuration.iterfind("resources//primitive"):
        template = templates.get(primitive.get("template"), primitive)
        agent = [template.get(name) for name in ("class", "provider", "type")]
        settings = [{**_pairs(template, kind), **_pairs(primitive, kind)} for kind in ("instance", "meta")]
        found[primitive.get("id")] = (agent, settings, {**_operations(template), **_operations(primitive)})
    for clone in configuration.iterfind("resources/clone"):
        found[clone.get("id")] = (clone.find("primitive").get("id"), _pairs(clone, "meta"))
    for constraint in configuration.find("constraints"):
        rule = [(part.tag, _plain(part)) for part in constraint.iter("rule", "expression")]
        found[constraint.get("id")] = (constraint.tag, {**_DEFAULTS.get(constraint.tag, {}), **_plain(constraint)}, rule)
    for tag in configuration.iterfind("tags/tag"):
        found[f"tag {tag.get('id')}"] = [reference.get("id") for reference in tag if reference.get("id") not in templates]
    return found


_DEFAULTS = {"rsc_order": {"first-action": "start", "then-action": "start"}}
"""What Pacemaker takes for granted, and pcs writes nevertheless."""


def _pairs(element: Any, kind: str) -> dict[str, str]:
    return {pair.get("name"): pair.get("value") for pair in element.iterfind(f"{kind}_attributes/nvpair")}


def _operations(element: Any) -> dict[str, dict[str, str]]:
    return {op.get("name"): _plain(op) for op in element.iterfind("operations/op")}


def _plain(element: Any) -> dict[str, str]:
    return {name: value for name, value in element.items() if name != "id"}


def unfenced(work: Path, agents: Path) -> Cluster:
    work.mkdir(exist_ok=True)
    cluster = Cluster(work, agents)
    cluster.run("crm_attribute", "--type", "crm_config", "--name", "stonith-enabled", "--update", "false")
    return cluster


def serve(cluster: Cluster) -> Cluster:
    """The cluster once everything runs."""
    cluster.settle()
    for pool in cluster.pools():
        cluster.alive(pool, 2)
    cluster.settle()
    return cluster
