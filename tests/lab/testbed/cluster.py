"""A pair's Corosync and Pacemaker, seen and driven the way an operator does: crm, crm_mon, attrd."""
from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence

from .base import LabError, Result, wait_for
from .uml import UmlNode

COROSYNC_CONF = """\
totem {{
    version: 2
    cluster_name: {name}
    transport: udpu
    token: 3000
}}
nodelist {{
{nodes}
}}
quorum {{
    provider: corosync_votequorum
{quorum}
}}
system {{
    sched_rr: no
    move_to_root_cgroup: no
}}
logging {{
    to_syslog: no
    to_stderr: no
    to_logfile: yes
    logfile: /lab/log/corosync.log
    timestamp: hires
}}
"""

START = "corosync && { PCMK_logfile=${PCMK_logfile:-none} setsid pacemakerd -f </dev/null >/dev/null 2>&1 & }"
"""No systemd in a node. What Pacemaker has to say goes to syslog, and so to log/syslog; its detail log costs too much here."""

SEED = """\
<cib crm_feature_set="3.16.0" validate-with="pacemaker-3.7" epoch="1" num_updates="0" admin_epoch="0">
  <configuration><crm_config><cluster_property_set id="cib-bootstrap-options">
    <nvpair id="cib-bootstrap-options-stonith-enabled" name="stonith-enabled" value="false"/>
    <nvpair id="cib-bootstrap-options-dc-deadtime" name="dc-deadtime" value="2s"/>
    <nvpair id="cib-bootstrap-options-load-threshold" name="load-threshold" value="400%"/>
    <nvpair id="cib-bootstrap-options-node-action-limit" name="node-action-limit" value="8"/>
    <nvpair id="cib-bootstrap-options-pe-input-series-max" name="pe-input-series-max" value="0"/>
  </cluster_property_set></crm_config><nodes/><resources/><constraints/></configuration><status/>
</cib>
"""
"""The very first configuration. Without dc-deadtime a new cluster waits 20 s for a DC that does not exist; without the two limits
Pacemaker takes a node with a quarter of a core for overloaded and runs one action at a time; each transition's input would be
packed and written to the disk before its first action."""

IDLE_LOOKS = 3
"""So often in a row, 0.2 s and more apart: between two transitions, and before the first one, the DC is idle for a moment."""

CIB = "/var/lib/pacemaker/cib/cib.xml"


class Cluster:
    """The cluster of one site's nodes. Questions go to the first node that answers."""

    def __init__(self, name: str, nodes: Sequence[UmlNode], addresses: Sequence[str]) -> None:
        self.name = name
        self.nodes = nodes
        self._addresses = addresses
        self.started = False

    def install(self) -> None:
        """Write corosync.conf and the seed configuration on every node."""
        members = "\n".join(
            f"    node {{\n        ring0_addr: {address}\n        name: {node.name}\n        nodeid: {number}\n    }}"
            for number, (node, address) in enumerate(zip(self.nodes, self._addresses), 1)
        )
        # Without wait_for_all a node that comes back alone after a power cut takes up its work.
        quorum = "    two_node: 1\n    wait_for_all: 0" if len(self.nodes) == 2 else "    expected_votes: 1"
        for node in self.nodes:
            node.put("/etc/corosync/corosync.conf", COROSYNC_CONF.format(name=self.name, nodes=members, quorum=quorum))
            node.put(CIB, SEED, mode=0o600)
            node.run(f"chown hacluster:haclient {CIB}").check()

    def start(self) -> None:
        """Start Corosync and Pacemaker everywhere, now and at every later power-on; they are not online yet."""
        self.install()
        self.started = True
        for node in self.nodes:
            node.write_boot(f"{node.boot}\n{START}")
            node.run(START).check()

    def answering(self) -> UmlNode:
        """A node that can be asked."""
        for node in self.nodes:
            if node.powered:
                return node
        raise LabError(f"no node of {self.name} has power")

    def run(self, command: str, timeout: float = 60) -> Result:
        """Run shell text on a node of the cluster."""
        return self.answering().run(command, timeout)

    def crm(self, words: str, timeout: float = 90) -> Result:
        """`crm WORDS`; LabError unless it ends with 0."""
        return self.run(f"crm -F {words}", timeout).check()

    def load(self, text: str) -> None:
        """`crm configure load update` of a configuration, then crm_verify; LabError with what either said."""
        self.answering().put("/run/lab.crm", text)
        self.crm("configure load update /run/lab.crm")
        self.run("crm_verify --live-check").check()

    def erase(self) -> None:
        """Stop and remove every resource, forget every failure, end every standby: an empty cluster again."""
        self.crm("configure property stop-all-resources=true")
        self.wait_idle()
        self.run(
            "cibadmin --replace --xml-text '<constraints/>' --scope constraints && "
            "cibadmin --replace --xml-text '<resources/>' --scope resources && "
            "crm_attribute -n stop-all-resources -D && crm_resource --refresh"
        ).check()
        for node in self.nodes:
            self.run(f"crm_attribute -N {node.name} -n standby -D")
        self.wait_idle()

    def status(self) -> str:
        """What crm_mon says, as text."""
        return self.run("crm_mon -1rfA", timeout=20).out

    def _state(self) -> ElementTree.Element:
        result = self.run("crm_mon --output-as=xml -1rfA", timeout=20).check()
        try:
            return ElementTree.fromstring(result.out)
        except ElementTree.ParseError as error:
            raise LabError(f"{result.command} said {result.out[:200]!r}") from error

    def online(self) -> list[str]:
        """Names of the nodes that are online (in standby or not)."""
        return [node.attrib["name"] for node in self._state().iterfind("nodes/node") if node.get("online") == "true"]

    def wait_online(self, *names: str, limit: float = 120) -> None:
        """Return when these nodes (default: all) are online and there is a DC."""
        wanted = set(names or (node.name for node in self.nodes))

        def ready() -> bool:
            state = self._state()
            dc = state.find("summary/current_dc")
            online = {node.attrib["name"] for node in state.iterfind("nodes/node") if node.get("online") == "true"}
            if dc is None or dc.get("present") != "true" or not wanted <= online:
                raise LabError(f"DC {None if dc is None else dc.attrib}, online {sorted(online)}")
            return True

        wait_for(ready, limit, f"{self.name}: {sorted(wanted)} online", every=0.3)

    def wait_idle(self, limit: float = 60) -> None:
        """Return when the DC has nothing more to do: idle, and still idle a moment later.

        `crm_resource --wait` says the same, but looks only every two seconds and runs the scheduler each time.
        """
        looks = "; ".join(["crmadmin -S $(crmadmin -qD) || exit 1", "sleep 0.2"] * IDLE_LOOKS)

        def idle() -> bool:
            said = self.run(looks, timeout=20).check().out
            if said.count("S_IDLE") != IDLE_LOOKS:
                raise LabError(said)
            return True

        try:
            wait_for(idle, limit, f"{self.name} is idle")
        except LabError as error:
            raise LabError(f"{error}\n{self.status()}") from error

    def who_is_active(self, resource: str) -> str | None:
        """Node on which a primitive runs, or None; LabError when it runs on several."""
        where = self.where(resource)
        if len(where) > 1:
            raise LabError(f"{resource} runs on {where}")
        return where[0] if where else None

    def where(self, resource: str) -> list[str]:
        """Nodes on which a resource, or an instance of its clone, runs."""
        found = set()
        for element in self._state().iter("resource"):
            if element.attrib["id"].split(":")[0] == resource and element.get("active") == "true":
                found |= {node.attrib["name"] for node in element.iterfind("node")}
        return sorted(found)

    def wait_active(self, resource: str, node: str | None = None, limit: float = 60) -> str:
        """Name of the node where the resource runs, once it runs (on `node`, when one is given)."""

        def there() -> str | None:
            where = self.who_is_active(resource)
            return where if node in (None, where) else None

        try:
            return wait_for(there, limit, f"{resource} active on {node or 'any node'}", every=0.2) or ""
        except LabError as error:
            raise LabError(f"{error}\n{self.status()}") from error

    def failed_actions(self) -> list[str]:
        """Failed actions that the cluster remembers, one sentence each; empty when all is well."""
        return [
            f"{failure.get('op_key')} on {failure.get('node')}: {failure.get('exitstatus')} "
            f"({failure.get('exitreason') or 'no reason'})"
            for failure in self._state().iterfind("failures/failure")
        ]

    def fail_counts(self) -> dict[str, dict[str, str]]:
        """{node: {resource: fail count}}, without the zeroes."""
        found: dict[str, dict[str, str]] = {}
        for node in self._state().iterfind("node_history/node"):
            for history in node.iterfind("resource_history"):
                count = history.get("fail-count", "0")
                if count != "0":
                    found.setdefault(node.attrib["name"], {})[history.attrib["id"]] = count
        return found

    def attributes(self) -> dict[str, dict[str, str]]:
        """{node: {attribute: value}} of the transient and permanent node attributes."""
        return {
            node.attrib["name"]: {item.attrib["name"]: item.attrib["value"] for item in node.iterfind("attribute")}
            for node in self._state().iterfind("node_attributes/node")
        }
