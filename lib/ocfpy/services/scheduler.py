"""What Pacemaker's scheduler would do with a CIB, as crm_simulate says it."""

from __future__ import annotations

import copy
import heapq
import os
import subprocess
import tempfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lxml import etree

from ocfpy.services.cib import Cib, CibError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LIMIT_S = 300
"""How long a program of Pacemaker may take."""
ACTIONS = ("start", "stop", "reload", "reload-agent", "migrate_to", "migrate_from", "promote", "demote")
"""What counts as a step; monitors come and go with everything else, and a deletion concerns the history of a resource."""


@dataclass(frozen=True)
class Step:
    """One action on a resource, of ACTIONS."""

    resource: str
    action: str
    node: str

    def __str__(self) -> str:
        return f"{self.resource} {self.action} on {self.node}"


@dataclass(frozen=True)
class Forecast:
    """The steps in order.

    verdicts are the scheduler's words for each resource that it acts on: restart, reload, migrate ... complaints are its
    errors about the CIB, such as that it starts nothing without fencing. is_blind: no node is online in the CIB, so nothing
    is known of what the cluster would do.
    """

    steps: tuple[Step, ...] = ()
    verdicts: Mapping[str, str] = field(default_factory=dict)
    complaints: tuple[str, ...] = ()
    is_blind: bool = False


def live_cib() -> Cib:
    """Return the CIB of the running cluster. Raises CibError."""
    try:
        return Cib.parse(run(["cibadmin", "--query"])[0])
    except CibError as error:
        advice = "run this on a node of the cluster, as root, or name a CIB with --cib FILE"
        raise CibError([f"the CIB of this node cannot be read: {advice} ({'; '.join(error.reasons)})"]) from None


def forecast(cib: Cib, pools: Mapping[str, str]) -> Forecast:
    """Return what the scheduler does, as if every action succeeded. Raises CibError.

    pools are those that are new, each with its attribute: they publish live backends once they run.
    """
    with tempfile.TemporaryDirectory(prefix="anycastctl-") as directory:
        before, graph = os.path.join(directory, "cib.xml"), os.path.join(directory, "graph.xml")
        with open(before, "wb") as file:
            file.write(_with_attributes(cib, pools.values()).text())
        # Not --simulate: executing the graph of 200 new services takes minutes, and working it out takes a second.
        said, errors = run(["crm_simulate", "--verbose", "--xml-file", before, "--save-graph", graph, "--output-as", "xml"])
        with open(graph, "rb") as file:
            transition = _xml(file.read())
    # "(unpack_resources) \t error: Resource start-up disabled ..."
    complaints = [line.partition("error: ")[2].strip() for line in errors.splitlines()]
    summary = _xml(said)
    is_blind = not summary.findall(".//node[@online='true']")
    return Forecast(tuple(in_order(transition)), _verdicts(summary), tuple(filter(None, complaints)), is_blind)


def _xml(data: bytes) -> Any:
    try:
        return etree.fromstring(data, etree.XMLParser(huge_tree=True))
    except etree.XMLSyntaxError as error:
        raise CibError([f"crm_simulate gave no XML: {error}"]) from None


def in_order(graph: Any) -> list[Step]:
    """Return the steps of a transition graph in an order in which the cluster may take them.

    A synapse has actions, and the actions that come before these. Of steps that may be taken at the same time, the one
    with the lower number comes first.
    """
    inputs: dict[int, set[int]] = {}
    steps: dict[int, Step] = {}
    for synapse in graph.iterfind("synapse"):
        before = {int(action.get("id")) for action in synapse.iterfind("inputs/trigger/*")}
        for action in synapse.iterfind("action_set/*"):
            number = int(action.get("id"))
            inputs[number] = before
            primitive = action.find("primitive")
            if action.tag == "rsc_op" and primitive is not None and action.get("operation") in ACTIONS:
                steps[number] = Step(_bare(primitive.get("id")), action.get("operation"), action.get("on_node"))
    missing = {number: len(before & inputs.keys()) for number, before in inputs.items()}
    followers: dict[int, list[int]] = {}
    for number, before in inputs.items():
        for other in before & inputs.keys():
            followers.setdefault(other, []).append(number)
    ready = [number for number, count in missing.items() if not count]
    heapq.heapify(ready)
    found = []
    while ready:
        number = heapq.heappop(ready)
        if number in steps:
            found.append(steps[number])
        for follower in followers.get(number, ()):
            missing[follower] -= 1
            if not missing[follower]:
                heapq.heappush(ready, follower)
    return found


def _verdicts(root: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for action in root.iterfind("actions/rsc_action"):
        found.setdefault(_bare(action.get("resource")), action.get("action"))
    return found


def _bare(resource: str) -> str:
    """The resource without the number of its instance."""
    name, colon, number = resource.rpartition(":")
    return name if colon and number.isdigit() else resource


def _with_attributes(cib: Cib, names: Iterable[str]) -> Cib:
    """The CIB with these node attributes at 1 on all nodes."""
    wanted = list(names)
    changed = Cib(copy.deepcopy(cib.root))
    for state in changed.root.iterfind("status/node_state") if wanted else ():
        node = state.get("id")
        transient = state.find("transient_attributes")
        if transient is None:
            transient = etree.SubElement(state, "transient_attributes", id=node)
        values = transient.find("instance_attributes")
        if values is None:
            values = etree.SubElement(transient, "instance_attributes", id=f"status-{node}")
        known = {pair.get("name"): pair for pair in values.iterfind("nvpair")}
        for name in wanted:
            if name in known:
                values.remove(known[name])
            etree.SubElement(values, "nvpair", id=f"status-{node}-{name}", name=name, value="1")
    return changed


def run(command: Sequence[str]) -> tuple[bytes, str]:
    """Return the standard output of a program of Pacemaker, and its messages. Raises CibError with these if it fails."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S)
    except FileNotFoundError:
        raise CibError([f"{command[0]} is not installed: it is part of Pacemaker"]) from None
    except subprocess.TimeoutExpired:
        raise CibError([f"{command[0]} did not end within {LIMIT_S} s"]) from None
    messages = done.stderr.decode("utf-8", "replace")
    if done.returncode:
        raise CibError([f"{command[0]} failed: {' '.join(messages.split()) or f'exit code {done.returncode}'}"])
    return done.stdout, messages
