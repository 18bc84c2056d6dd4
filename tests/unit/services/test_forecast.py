"""The order of a transition graph's steps, and what clients notice of them."""

from __future__ import annotations

import pytest
from lxml import etree
from ocfpy.services.clients import BACK, GONE, MOVED, NEW, NOTHING, UNICAST_BACK, UNICAST_GONE, notice
from ocfpy.services.composition import role
from ocfpy.services.scheduler import Step, in_order


def graph(*synapses: tuple[int, str, str, tuple[int, ...]]) -> etree._Element:
    """A graph of actions: number, resource ("" for a pseudo action), operation, the numbers that come before."""
    root = etree.Element("transition_graph")
    for number, resource, operation, before in synapses:
        synapse = etree.SubElement(root, "synapse", id=str(number))
        actions = etree.SubElement(synapse, "action_set")
        tag = "rsc_op" if resource else "pseudo_event"
        action = etree.SubElement(actions, tag, id=str(number), operation=operation, on_node="lb1")
        if resource:
            etree.SubElement(action, "primitive", id=resource)
        inputs = etree.SubElement(synapse, "inputs")
        for other in before:
            etree.SubElement(etree.SubElement(inputs, "trigger"), "rsc_op", id=str(other))
    return root


def test_steps_come_after_what_they_wait_for() -> None:
    """Also by way of pseudo actions and monitors, which are no steps; and what is not in the graph is waited for by nothing."""
    found = in_order(
        graph(
            (1, "dns-bgp4", "start", (2,)),
            (2, "dns-vip4", "start", (5, 77)),
            (3, "dns-pool:0", "start", ()),
            (4, "dns-pool:0", "monitor", (3,)),
            (5, "", "running", (4,)),
            (6, "web-vip4", "stop", ()),
        )
    )
    assert list(map(str, found)) == [
        "dns-pool start on lb1",
        "dns-vip4 start on lb1",
        "dns-bgp4 start on lb1",
        "web-vip4 stop on lb1",
    ]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("", NOTHING),
        ("dns-pool reload-agent, dns-bgp4 reload-agent", NOTHING),
        ("dns-vip4 start, dns-bgp4 start", NEW),
        ("dns-bgp4 stop, dns-vip4 stop", GONE),
        ("dns-bgp4 stop, dns-bgp4 start, dns-bgp6 start", BACK),
        ("dns-bgp4 stop, dns-bgp6 stop, dns-bgp6 start", GONE),
        ("dns-bgp4 migrate_to, dns-bgp4 migrate_from, dns-bgp4 stop", MOVED),
        ("dns-vip4 stop, dns-vip4 start", UNICAST_BACK),
        ("dns-vip4 stop", UNICAST_GONE),
    ],
)
def test_what_clients_notice(steps: str, said: str) -> None:
    found = [Step(*f"{step} lb1".split()) for step in steps.split(", ") if step]
    assert notice(found, [role(step.resource) for step in found], ()) == said


def test_an_announcement_that_leaves_the_cib_with_its_constraints() -> None:
    steps = [Step("dns-vip4", "stop", "lb1"), Step("dns-bgp4", "stop", "lb1")]
    assert notice(steps, ["vip4", "bgp4"], {"dns-vip4", "dns-bgp4"}).endswith("until the routers know: stop dns-bgp4 first")
