"""A Pacemaker cluster that is a CIB file only: crmsh fills it, the real scheduler says what it will do.

Nothing of the host changes: the agents of the stage tree show up under /usr/lib/ocf in a mount namespace.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

from lxml import etree

ROOT = Path(__file__).resolve().parent.parent.parent
STAGE = ROOT / "build/stage"
EXAMPLES = ROOT / "cib-examples"
PROGRAM_LIMIT_S = 60

# The agents that crmsh is to see; and a place for its log, which need not be this host's /var/log.
_INSIDE = """
set -e
mount --bind "$0" /usr/lib/ocf
mount -t tmpfs tmpfs /var/log
mkdir /var/log/crmsh /var/log/pacemaker
exec "$@"
"""

_ACTION = re.compile(r"^\s+\* Resource action: (\S+)\s+(\S+) on (\S+)$")


class SimulationError(AssertionError):
    """A program of Pacemaker or crmsh refused; the message has its command line and what it said."""


@dataclass(frozen=True)
class Step:
    """One action of a transition: `kind` is start, stop, migrate_to, ...; `resource` comes without ":0"."""

    resource: str
    kind: str
    node: str

    def __str__(self) -> str:
        return f"{self.resource} {self.kind} {self.node}"


class Transition(list[Step]):
    """What the scheduler did, in order; monitors are left out, they come and go with everything else."""

    def __init__(self, text: str) -> None:
        self.text = text
        found = [match.groups() for match in map(_ACTION.match, text.splitlines()) if match]
        super().__init__(
            Step(resource.partition(":")[0], kind, node)
            for resource, kind, node in found
            if not kind.startswith("monitor")
        )

    def about(self, *resources: str) -> list[str]:
        """The steps of some resources, as text such as "vip4 stop lb1"."""
        return [str(step) for step in self if step.resource in resources]

    def assert_order(self, *steps: str) -> None:
        """Fails unless all of `steps` happened, in this order (others may come between)."""
        done = [str(step) for step in self]
        missing = [step for step in steps if step not in done]
        assert not missing, f"never happened: {', '.join(missing)}\n{self.text}"
        places = [done.index(step) for step in steps]
        assert places == sorted(places), f"expected {' < '.join(steps)}, got {done}"


@dataclass(frozen=True)
class Declared:
    """A resource as the configuration has it."""

    name: str
    agent: str
    options: dict[str, str]


def ocf_root(place: Path) -> Path:
    """A copy of /usr/lib/ocf with the agents of the stage tree added, for Cluster."""
    shutil.copytree("/usr/lib/ocf", place, symlinks=True)
    shutil.copytree(STAGE / "usr/lib/ocf", place, symlinks=True, dirs_exist_ok=True)
    return place


class Cluster:
    """Nodes, all online, and a CIB to begin with that knows nothing but them."""

    def __init__(self, work: Path, ocf: Path, nodes: tuple[str, ...] = ("lb1", "lb2")) -> None:
        self.work = work
        self.ocf = ocf
        self.nodes = nodes
        self.cib = work / "cib.xml"
        self.cib.write_bytes(_empty_cib(nodes))

    def run(self, *command: str, limit_s: float = PROGRAM_LIMIT_S) -> str:
        """Runs a program on the CIB, with the agents in place, and returns all that it said."""
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "HOME": str(self.work),
            "CIB_file": str(self.cib),
            "USER": "root",
        }
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", _INSIDE, str(self.ocf), *command],
            env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=limit_s, cwd=self.work,
        )
        if done.returncode:
            raise SimulationError(f"{' '.join(command)} returned {done.returncode}:\n{done.stdout}")
        return done.stdout

    def load(self, example: Path) -> str:
        """Loads a file of cib-examples/ as a user does; returns what crmsh said, best nothing."""
        return self.run("crm", "configure", "load", "update", str(example))

    def verify(self) -> str:
        """What crm_verify has to say about the CIB, warnings included."""
        return self.run("crm_verify", "-V", "-x", str(self.cib))

    def simulate(self, *arguments: str) -> Transition:
        """Lets the scheduler run one transition, as if every action succeeded, and keeps its result."""
        after = self.work / "after.xml"
        text = self.run("crm_simulate", "-S", "-x", str(self.cib), "-O", str(after), *arguments)
        os.replace(after, self.cib)
        return Transition(text)

    def settle(self) -> Transition:
        """Runs transitions until one has nothing left to do; returns all of them in a row."""
        text = ""
        for _ in range(10):
            step = self.simulate()
            text += step.text
            if not step:
                return Transition(text)
        raise SimulationError(f"still busy after ten transitions:\n{text}")

    def simulate_later(self, seconds: float) -> Transition:
        """One transition as it would be `seconds` from now: what failure-timeout and date rules do."""
        then = datetime.now(timezone.utc) + timedelta(seconds=seconds)
        return self.simulate("-t", then.strftime("%Y-%m-%d %H:%M:%SZ"))

    def alive(self, pool: str, backends: int, *nodes: str) -> None:
        """What ipvs-pool tells attrd on `nodes` (default: all): how many backends of `pool` are alive."""
        for node in nodes or self.nodes:
            name = f"healthy-{pool}"
            self.run("crm_attribute", "-t", "status", "-N", node, "-n", name, "-v", str(backends))

    def declared(self) -> list[Declared]:
        """The resources of our provider, with what they have from a template."""
        cib = etree.parse(str(self.cib)).getroot()
        found = []
        for primitive in cib.iterfind(".//resources//primitive"):
            name = primitive.get("template")
            template = primitive if name is None else cib.find(f".//resources/template[@id='{name}']")
            if template.get("provider") == "anycast":
                pairs = [one.iterfind("instance_attributes/nvpair") for one in (template, primitive)]
                options = {pair.get("name"): pair.get("value") for pair in itertools.chain(*pairs)}
                found.append(Declared(primitive.get("id"), template.get("type"), options))
        return found

    def pools(self) -> list[str]:
        """The names of the ipvs-pool resources."""
        return self.named("ipvs-pool")

    def named(self, agent: str) -> list[str]:
        """The names of the resources of an agent."""
        return [resource.name for resource in self.declared() if resource.agent == agent]

    def standby(self, node: str, on: bool = True) -> None:
        """`crm node standby NODE`, or online."""
        self.run("crm_standby", "-N", node, "-v", "on" if on else "off")

    def move(self, resource: str, node: str) -> None:
        """`crm resource move RESOURCE NODE`."""
        self.run("crm_resource", "--move", "-r", resource, "-N", node)

    def clear(self, resource: str) -> None:
        """`crm resource clear RESOURCE`."""
        self.run("crm_resource", "--clear", "-r", resource)

    def where(self, resource: str) -> list[str]:
        """The nodes that `resource` (for a clone: any instance) runs on."""
        tree = etree.fromstring(self.run("crm_mon", "-1", "--output-as=xml").encode())
        found = tree.iterfind(".//resources//resource")
        return sorted(
            node.get("name")
            for one in found
            if one.get("id").partition(":")[0] == resource and one.get("active") == "true"
            for node in one.iterfind("node")
        )


def _empty_cib(nodes: tuple[str, ...]) -> bytes:
    # Pacemaker's own empty CIB has its own versions: one with other versions cannot be patched by crmsh.
    cib = etree.fromstring(subprocess.check_output(["cibadmin", "--empty"], timeout=PROGRAM_LIMIT_S))
    cib.set("have-quorum", "1")
    cib.set("dc-uuid", "1")
    for number, name in enumerate(nodes, 1):
        etree.SubElement(cib.find("configuration/nodes"), "node", id=str(number), uname=name)
        state = etree.SubElement(
            cib.find("status"), "node_state",
            id=str(number), uname=name, in_ccm="true", crmd="online", join="member", expected="member",
        )
        lrm = etree.SubElement(state, "lrm", id=str(number))
        etree.SubElement(lrm, "lrm_resources")
    return etree.tostring(cib)  # type: ignore[no-any-return]
