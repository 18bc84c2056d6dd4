"""What follows from verdicts."""

from __future__ import annotations

from typing import Callable

from ocfpy.health.pool import alive, wanted_table
from ocfpy.health.spec import PoolSpec, ServiceSpec
from ocfpy.ipvs.model import RealServer, parse_virtual

from tests.unit.health.samples import DNS, WEB, WEB6, pool


def judged(text: str) -> Callable[[ServiceSpec, RealServer], bool | None]:
    """A verdict by address: judged("10.0.0.11+ 10.0.0.12-"), nobody else has one."""
    verdicts = {word[:-1]: word[-1] == "+" for word in text.split()}
    return lambda _, real: verdicts.get(str(real.address))


def weights(
    spec: PoolSpec, verdicts: str, adopted: dict[str, int] | None = None
) -> dict[str, dict[str, int]]:
    found = {
        (service.virtual, key): weight
        for service in spec.services
        for key, real in service.reals.items()
        for address, weight in (adopted or {}).items()
        if str(real.address) == address
    }
    table = wanted_table(spec, judged(verdicts), found)
    return {
        str(virtual): {str(real.address): real.weight for real in reals.values()}
        for virtual, (_, reals) in table.items()
    }


def test_up_has_its_weight_and_down_has_none() -> None:
    spec = pool(reals="10.0.0.11,weight=3 10.0.0.12")
    assert weights(spec, "10.0.0.11+ 10.0.0.12-") == {DNS: {"10.0.0.11": 3, "10.0.0.12": 0}}


def test_without_quiesce_down_is_gone() -> None:
    assert weights(pool(quiesce=False), "10.0.0.11+ 10.0.0.12-") == {DNS: {"10.0.0.11": 1}}


def test_without_a_verdict_it_stays_as_it_was_found() -> None:
    assert weights(pool(), "", {"10.0.0.11": 1}) == {DNS: {"10.0.0.11": 1}}
    assert weights(pool(), "", {"10.0.0.11": 0, "10.0.0.12": 7}) == {DNS: {"10.0.0.11": 0, "10.0.0.12": 7}}


def test_each_family_has_its_own_servers() -> None:
    spec = pool(f"{WEB} {WEB6}", "10.0.0.11 [fd00::11]")
    assert weights(spec, "10.0.0.11+ fd00::11-") == {WEB: {"10.0.0.11": 1}, WEB6: {"fd00::11": 0}}
    assert alive(spec, judged("10.0.0.11+ fd00::11-")) == {parse_virtual(WEB): 1, parse_virtual(WEB6): 0}


def test_a_family_without_servers_of_its_own_uses_tunnels() -> None:
    spec = pool(f"{WEB} {WEB6}", "10.0.0.11,forward=tunnel")
    assert weights(spec, "10.0.0.11+") == {WEB: {"10.0.0.11": 1}, WEB6: {"10.0.0.11": 1}}


def test_weight_0_by_configuration_is_not_alive() -> None:
    spec = pool(reals="10.0.0.11,weight=0 10.0.0.12")
    assert list(alive(spec, judged("10.0.0.11+ 10.0.0.12+")).values()) == [1]
