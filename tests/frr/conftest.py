"""One site for all tests, once with this host's FRR and once with Debian 13's, repaired after each test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Callable

import pytest

from tests.frr.harness import SESSIONS, STAGE, Resource, Site, wait_for
from tests.frr.system import Root, System


@pytest.fixture(scope="package", params=[System, Root], ids=["host", "debian13"])
def system(request: pytest.FixtureRequest) -> Iterator[System]:
    system: System = request.param(STAGE)
    yield system
    system.close()


@pytest.fixture(scope="package")
def shared_site(system: System) -> Iterator[Site]:
    with Site(system) as site:
        yield site


@pytest.fixture
def site(shared_site: Site) -> Site:
    """The site with every session up; a test that configures by hand takes it back, or uses `breakable`."""
    wait_for("all sessions", lambda: shared_site.lb.established() == SESSIONS)
    return shared_site


@pytest.fixture
def breakable(site: Site) -> Iterator[Site]:
    """The site for a test that stops, kills or reconfigures the announcer's bgpd."""
    yield site
    site.lb.fresh_bgpd()


@pytest.fixture
def on_loopback(site: Site) -> Iterator[Callable[[str], None]]:
    """Puts addresses on the announcer's loopback, as anycast-vip does, and takes them off afterwards."""
    held: list[str] = []

    def add(address: str) -> None:
        site.lb.namespace.ip(
            "addr", "add", address, "dev", "lo", *(["scope", "host"] if "." in address else [])
        )
        held.append(address)

    yield add
    for address in held:
        site.lb.namespace.ip("addr", "del", address, "dev", "lo", check=False)
    for address in held:
        # zebra 10.3 forgets what is in its queue when a client of its goes away, and a test may be about to kill bgpd.
        wait_for("zebra to see the address gone", lambda address=address: not site.lb.connected(address))  # type: ignore[misc]


@pytest.fixture
def resource(site: Site, on_loopback: Callable[[str], None]) -> Iterator[Callable[..., Resource]]:
    """Makes bgp-announce resources with their address in place; they are stopped in the end."""
    made: list[Resource] = []

    def make(prefix: str, **parameters: str) -> Resource:
        subnet = "2001:db8:53::/48" if ":" in prefix else "192.0.2.0/24"
        settings = {"prefix": prefix, "allowed_prefixes": subnet, "settle": "100ms", **parameters}
        if parameters.pop("address", "yes") == "yes":
            on_loopback(prefix)
        settings.pop("address", None)
        made.append(Resource(site.lb, f"bgp-{len(made)}", **settings))
        return made[-1]

    yield make
    for item in made:
        item.run("stop")
