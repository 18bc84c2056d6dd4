"""The examples of five services, loaded beside what a site serves already, with real daemons behind them that break."""
from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import pytest

from tests.lab.services import FIRST_NUMBER, KINDS, HttpProxy, Ldap, Origin, Service, Services, Sso, at_once
from tests.lab.testbed import Lab, LabError, Site, UmlNode, wait_for

NAMES = [kind.name for kind in KINDS]
LIMIT = 300.0
"""Seconds for anything to happen: the slowest check takes three times 5 s to give a server up, and twenty resources start and
stop, on a machine that may be busy."""
LOOK = 1.0
"""Seconds between two looks, each of which costs both nodes an interpreter."""
SESSIONS = 12
"""So many that each of two directories has some of them, but for once in two thousand times."""
SECRET = "/etc/anycast/ldap-probe"
AUTHORITY = "/etc/ssl/certs/lab.pem"
BEFORE = "/run/before-the-five.xml"
RUNDIR = "/run/resource-agents/anycast"
_OWN = re.compile(r"(?<![\w:.-])(healthy-)?((?:pool|vip|bgp|sync-then)\b(?!=)[\w-]*)")
"""The names that an example gives to what is its own."""


def statements(text: str) -> list[str]:
    """The statements of a crm file, each on one line with single blanks."""
    lines = [line for line in text.replace("\\\n", " ").splitlines() if not line.lstrip().startswith("#")]
    return [" ".join(line.split()) for line in lines if line.strip()]


@dataclass(frozen=True)
class Example:
    """An example for a site that has others, too: its statements, its address, and how many servers it has."""

    statements: list[str]
    vip: str
    count: int


def example(site: Site, name: str) -> Example:
    """service-NAME.crm with the site's addresses and `NAME-` before its names; without what recommended.crm says, too.

    The DNS servers' address is that of recommended.crm, and becomes another one.
    """
    there = set(statements(site.example()))
    text = re.sub(r"\b192\.0\.2\.53\b", "192.0.2.54", site.example(f"service-{name}.crm"))
    text = re.sub(r"\b10\.\d+\.0\.\d(\d)\b", lambda match: site.plan.lan4(FIRST_NUMBER - 1 + int(match[1])), text)
    own = [_OWN.sub(rf"\g<1>{name}-\g<2>", statement) for statement in statements(text)]
    vip = re.search(r"ip=(\S+)", "\n".join(own))
    servers = re.search(r'real_servers="([^"]*)"', "\n".join(own))
    assert vip is not None
    assert servers is not None
    return Example([statement for statement in own if statement not in there], vip[1], len(servers[1].split()))


@dataclass(frozen=True)
class Five:
    """The examples, running at a site, and what is behind them."""

    site: Site
    services: Services

    def ask_all(self) -> dict[str, str]:
        """What a client is told by each service."""
        return {service.name: self.services.ask(service) for service in self.services.all}

    def connected(self) -> list[socket.socket]:
        """Connections from the client to the directory."""
        (ldap,) = (service for service in self.services.all if isinstance(service, Ldap))
        return [self.services.told(ldap.connected, "a connection to the directory") for _ in range(SESSIONS)]

    def said_as(self, broken: Mapping[str, int]) -> bool:
        """Whether `anycastctl status` of both nodes has all servers up but those, for their reasons; LabError with its words.

        And the cluster has been told how many are alive.
        """
        wrong = [fault for node in self.site.nodes for fault in self._faults(node, broken)]
        if wrong:
            raise LabError("\n".join(wrong))
        return True

    def _faults(self, node: UmlNode, broken: Mapping[str, int]) -> Iterator[str]:
        said = node.run("anycastctl status --json")
        try:
            pools = {pool["resource"]: pool for pool in json.loads(said.out)["pools"]}
            for service in self.services.all:
                pool, alive = pools[f"{service.name}-pool"], len(service.servers) - (service.name in broken)
                if pool["attribute"]["value"] != alive or not pool["attribute"]["in_cluster"]:
                    yield f"{node.name}: {pool['attribute']}, not {alive}"
                for virtual in pool["virtual"]:
                    for index, real in enumerate(virtual["real_servers"]):
                        out = broken.get(service.name) == index
                        wanted = ("down", service.left, service.reason) if out else ("up", 1, "")
                        if (real["state"], real["weight"], real["reason"]) != wanted:
                            yield f"{node.name}: {virtual['service']}: {real}"
        except (KeyError, ValueError):  # a daemon that does not answer, or starts
            yield f"{node.name}: {said.out}{said.err}"

    def shown_as(self, broken: Mapping[str, int]) -> bool:
        """Whether people are shown the same; LabError with what they are shown."""
        for node in self.site.nodes:
            text = node.run("anycastctl status").out
            if not all(re.search(line_of(service, broken[service.name]), text, re.MULTILINE) for service in self.services.all):
                raise LabError(text)
            print(text)
        return True

    def where(self) -> dict[str, list[str]]:
        """Who announces the address of each service."""
        return {service.name: self.site.router.route_to(service.vip) for service in self.services.all}


@pytest.fixture(scope="module")
def five(served: Lab) -> Iterator[Five]:
    """Site B with the five beside recommended.crm; afterwards without them, as it was."""
    site = served.site_b
    examples = {name: example(site, name) for name in NAMES}
    with ExitStack() as stack:
        services = Services(
            served, site, {name: one.vip for name, one in examples.items()}, {name: one.count for name, one in examples.items()}
        )
        stack.callback(services.close)
        services.start()
        for node in site.nodes:
            stack.callback(node.run, f"rm -f {SECRET} $(find /etc/ssl/certs -lname {AUTHORITY}) {AUTHORITY}")
            trust(node, services)
        site.cluster.run("crm_resource --cleanup", timeout=60).check()
        site.cluster.run(f"cibadmin --query --scope configuration > {BEFORE}").check()
        stack.callback(restore, site, [*NAMES, *(one.vip for one in examples.values())])
        site.cluster.load("\n".join(line for one in examples.values() for line in one.statements))
        for one in examples.values():
            served.core.wait_route(one.vip, "router-b", limit=LIMIT)
        try:
            yield Five(site, services)
        finally:
            print(services.said())


def trust(node: UmlNode, services: Services) -> None:
    """Have a node know what the examples take for granted: the probe's password, and the authority of the certificates."""
    node.put(SECRET, "secret\n", mode=0o600)
    node.put(AUTHORITY, services.pki.ca.read_text())
    node.run(f"ln -s {AUTHORITY} /etc/ssl/certs/$(openssl x509 -hash -noout -in {AUTHORITY}).0").check()


def restore(site: Site, words: Sequence[str]) -> None:
    """Stop the five, which `words` name, in order, and give the cluster the configuration that BEFORE holds."""
    stop = "crm_resource --meta --set-parameter target-role --parameter-value Stopped --resource"
    site.cluster.run("; ".join(f"{stop} {name}-pool-clone" for name in NAMES)).check()
    for node in site.nodes:
        wait_for(partial(has_none, node, words), LIMIT, f"{node.name} has nothing of the five left", every=LOOK)
    site.cluster.run(f"cibadmin --replace --scope configuration --xml-file {BEFORE}").check()
    site.cluster.wait_idle(LIMIT)


def has_none(node: UmlNode, words: Sequence[str]) -> bool:
    """Whether neither the agents nor the kernel of a node know any of these words; LabError with what they know."""
    left = node.run(f"ls {RUNDIR}/*.state; ipvsadm -Sn; ip -4 address show dev lo").check().out
    if any(word in left for word in words):
        raise LabError(left)
    return True


def test_all_five_serve(five: Five) -> None:
    """Each as its example stands: every server is up on both nodes, and a client has its answer through the address."""
    wait_for(partial(five.said_as, {}), LIMIT, "every server is up", every=LOOK)
    answers = five.ask_all()
    print(answers)
    assert answers.pop("sso") in [host.name for host in five.services.hosts]
    assert answers.pop("http-proxy").startswith(Origin.page)
    assert answers == {"dns": "2001:db8::80", "ntp": "stratum 3", "ldap": "all is well"}
    (proxies,) = (service for service in five.services.all if isinstance(service, HttpProxy))
    wait_for(lambda: five.services.ask(proxies).endswith("from the cache"), LIMIT, "proxies that have the page")


def test_a_browser_keeps_its_server_when_the_address_moves(five: Five) -> None:
    site = five.site
    (sso,) = (service for service in five.services.all if isinstance(service, Sso))
    used = five.services.ask(sso)
    (there,) = site.router.route_to(sso.vip)
    other = next(node.name for node in site.nodes if node.name != there)
    site.cluster.run(f"crm_resource --resource sso-vip --move --node {other}").check()
    try:
        site.router.wait_route(sso.vip, other, limit=LIMIT)
        assert five.services.ask(sso) == used
    finally:
        site.cluster.run("crm_resource --resource sso-vip --clear").check()


def test_what_breaks_is_out_and_named_and_comes_back(five: Five) -> None:
    """One server of each service in its usual way, all at once: it is out, its reason is shown, and clients have the others."""
    site, all_five = five.site, five.services.all
    wait_for(partial(five.said_as, {}), LIMIT, "every server is up", every=LOOK)
    hosts = [host.name for host in five.services.hosts]
    used = five.ask_all()["sso"]
    broken = dict.fromkeys(NAMES, 0) | {"sso": hosts.index(used)}  # a browser is sent on that has been there
    where, downs = five.where(), site.router.bfd_downs()
    begin = time.monotonic()
    sessions = five.connected()
    try:
        at_once([partial(service.spoil, broken[service.name]) for service in all_five])
        wait_for(partial(five.said_as, broken), LIMIT, "those and no others are out", every=LOOK)
        print(f"all out after {time.monotonic() - begin:.1f} s")
        wait_for(partial(five.shown_as, broken), LIMIT, "people are shown why", every=LOOK)
        answers = five.ask_all()
        assert answers["sso"] in set(hosts) - {used}, "who was there goes on with another server"
        assert answers["ntp"] == "stratum 3"
        after = [Ldap.asked_over(session) for session in sessions]
        assert set(after) == {"answered", "ended"}, f"no client hangs on the directory that is out: {after}"
        begin = time.monotonic()
    finally:
        at_once([partial(service.mend, broken[service.name]) for service in all_five])
    wait_for(partial(five.said_as, {}), LIMIT, "every server is back", every=LOOK)
    print(f"all back after {time.monotonic() - begin:.1f} s")
    five.ask_all()
    if site.router.bfd_downs() == downs:
        assert five.where() == where, "one server is no reason to move an address"
        assert site.cluster.failed_actions() == []


def line_of(service: Service, index: int) -> str:
    """The pattern of what `anycastctl status` has of a server that is out."""
    address = service.servers[index].address4
    weight = "0" if service.left == 0 else "-"
    return rf"{re.escape(address)}:\d+ +{weight} +\S+ +down +.*  {re.escape(service.reason)}$"
