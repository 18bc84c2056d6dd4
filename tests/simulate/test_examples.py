"""What holds for every example: crmsh and Pacemaker find nothing wrong, and it says when to choose it."""

from __future__ import annotations

import re

import pytest

from tests.simulate.cluster import EXAMPLES
from tests.simulate.conftest import Loaded, Loader

NAMES = sorted(path.stem for path in EXAMPLES.glob("*.crm"))
EXPECTED = {"recommended", "per-family", "failure-timeout", "active-active", "single-node", "unicast", "many-services"}
SERVICES = {f"service-{name}" for name in ("dns", "http-proxy", "sso", "ntp", "ldap")}

# What Pacemaker says of every cluster without fencing.
NO_FENCING = "Blind faith: not fencing unseen nodes"


def test_all_are_there() -> None:
    assert set(NAMES) >= EXPECTED | SERVICES


@pytest.mark.parametrize("name", NAMES)
def test_loads_without_complaint(name: str, loaded: Loaded) -> None:
    _, said = loaded(name, ("lb1", "lb2"))
    assert [line for line in said.splitlines() if line.strip() and NO_FENCING not in line] == []


@pytest.mark.parametrize("name", NAMES)
def test_pacemaker_finds_nothing_wrong(name: str, configured: Loader) -> None:
    said = configured(name).verify()
    assert [line for line in said.splitlines() if line.strip() and NO_FENCING not in line] == []


@pytest.mark.parametrize("name", NAMES)
def test_opens_with_when_to_choose_it(name: str) -> None:
    text = (EXAMPLES / f"{name}.crm").read_text()
    heading = re.match(r"(?:#.*\n)+", text)
    assert heading is not None
    assert re.search(r"^# Choose this ", heading.group(), re.MULTILINE)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"failure-timeout"}))
def test_nothing_serves_before_a_backend_is_alive(name: str, configured: Loader) -> None:
    """In failure-timeout.crm it is anycast-vip's start that refuses, which the scheduler knows nothing of."""
    cluster = configured(name)
    assert {step.resource for step in cluster.settle()} == set(cluster.pools() + cluster.named("ipvs-sync"))


@pytest.mark.parametrize("name", NAMES)
def test_agents_find_nothing_wrong(name: str, configured: Loader) -> None:
    """Each resource as it stands passes its agent's validate-all, which says nothing then."""
    cluster = configured(name)
    resources = cluster.declared()
    assert resources
    for resource in resources:
        where = ("--class=ocf", "--provider=anycast", f"--agent={resource.agent}")
        options = [f"--option={name}={value}" for name, value in resource.options.items()]
        said = cluster.run("crm_resource", "--validate", *where, *options)
        assert said == f"Operation validate (ocf:anycast:{resource.agent}) returned 0 (ok)\n", resource.name


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"failure-timeout", "unicast"}))
def test_route_goes_with_the_pool_that_moves_its_address(name: str, configured: Loader) -> None:
    """In failure-timeout.crm something else may fill the IPVS table, and in unicast.crm nothing is announced."""
    declared = configured(name).declared()
    rules = {one.options["ip"]: one.options["attribute"] for one in declared if one.agent == "anycast-vip"}
    gates = {one.options["prefix"].partition("/")[0]: one.options["attribute"] for one in declared if one.agent == "bgp-announce"}
    assert gates
    assert gates == rules
