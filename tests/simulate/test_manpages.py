"""The examples of the manual pages are configurations that crm shell takes and the scheduler starts."""

from __future__ import annotations

from pathlib import Path

from ocfpy.agents.anycast_vip import AnycastVip
from ocfpy.agents.bgp_announce import BgpAnnounce
from ocfpy.agents.ipvs_pool import IpvsPool
from ocfpy.agents.ipvs_sync import IpvsSync
from ocfpy.ocf import manpage
from ocfpy.ocf.agent import Agent

from tests.simulate.cluster import Cluster

AGENTS: list[type[Agent]] = [IpvsPool, IpvsSync, AnycastVip, BgpAnnounce]


def example(agent: type[Agent], section: str) -> str:
    """The commands below a heading of the page, as a reader copies them."""
    _, _, rest = manpage.render(agent).partition(f".SH EXAMPLE {section}\n")
    lines = rest.partition(".SH ")[0].replace("\\-", "-").replace("\\e", "\\").splitlines()
    return "".join(f"{line}\n" for line in lines if line not in (".nf", ".fi"))


def test_crm_shell_takes_them(tmp_path: Path, agents: Path) -> None:
    cluster = Cluster(tmp_path, agents)
    text = tmp_path / "examples.crm"
    text.write_text("property stonith-enabled=false\n" + "".join(example(agent, "CRM SHELL") for agent in AGENTS))
    assert "p_" not in cluster.load(text) + cluster.verify()  # what they say about fencing is not the agents' business
    started = {(step.resource, step.kind) for step in cluster.settle()}
    assert {(f"p_{agent.name}", "start") for agent in AGENTS} <= started
