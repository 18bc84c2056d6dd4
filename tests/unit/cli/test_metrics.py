"""anycastctl metrics, read by Prometheus' own parser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ocfpy.cli.main import main
from ocfpy.cli.metrics import HELP, as_metrics
from ocfpy.ocf.state import StateFile
from prometheus_client.parser import text_string_to_metric_families

TRAFFIC = {"connections": 7, "in_bytes": 1 << 40, "in_packets": 9, "out_bytes": 0, "out_packets": 0}


def real(server: str, state: str, up: bool | None, **more: Any) -> dict[str, Any]:
    check = {"type": "tcp", "up": up, "seconds": 0.25 if up is not None else None, "next": None}
    return {"server": server, "state": state, "weight": 1, "active": 3, "inactive": 4, "since": 17.5, "check": check, **more}


FOUND: dict[str, Any] = {
    "pools": [
        {
            "resource": 'a "strange\\name',
            "state": "degraded no backend of udp/192.0.2.53:53 is alive",
            "attribute": {"name": "healthy-dns", "value": 1, "in_cluster": True},
            "virtual": [
                {
                    "service": "udp/[2001:db8::1]:53",
                    "alive": 1,
                    "down_but_pooled": 1,
                    "leaving_still_serving": 0,
                    "quorum": False,
                    "traffic": TRAFFIC,
                    "real_servers": [
                        real("[fd00::11]:53", "up", True, traffic=TRAFFIC),
                        real("[fd00::12]:53", "down but pooled", False),
                        real("[fd00::13]:53", "unknown", None, weight=None),
                        {"server": "[::1]:53", "state": "sorry server", "weight": 1, "active": 0, "inactive": 0},
                    ],
                }
            ],
        }
    ],
    "timeouts": {},
    "sync": [{"resource": "sync", "nic": "eth0", "syncid": "7", "group": "224.0.0.81"}],
    "addresses": [{"resource": "vip", "ip": "192.0.2.53/32", "nic": "lo", "present": False}],
    "announcements": [{"resource": "bgp", "prefix": "192.0.2.53/32", "neighbors": ["10.1.0.1", "10.1.0.2"]}],
}


def samples(text: str) -> dict[tuple[str, ...], float]:
    """By the name without the prefix and the values of the labels beyond those of what it belongs to."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert (family.type, family.documentation) == HELP[family.name.removeprefix("anycast_") + counted(family.type)]
        for sample in family.samples:
            more = [value for label, value in sample.labels.items() if label not in ("pool", "service", "resource")]
            key = (sample.name.removeprefix("anycast_"), *more)
            assert key not in found, "two samples of one series"
            found[key] = sample.value
    return found


def counted(kind: str) -> str:
    return "_total" if kind == "counter" else ""


def test_everything_has_its_number() -> None:
    found = samples(as_metrics(FOUND))
    assert found["pool_up",] == 1
    assert found["pool_attribute", "healthy-dns"] == 1
    assert (found["service_backends_alive",], found["service_backends_down_but_pooled",]) == (1, 1)
    assert found["service_quorum",] == 0
    assert found["service_bytes_total", "in"] == 1 << 40
    assert found["real_server_connections_total", "[fd00::11]:53"] == 7
    assert (found["real_server_up", "[fd00::11]:53"], found["real_server_up", "[fd00::12]:53"]) == (1, 0)
    assert found["real_server_check_seconds", "[fd00::11]:53"] == 0.25
    assert found["real_server_state", "[fd00::12]:53", "down but pooled"] == 1
    assert found["real_server_connections", "[fd00::11]:53", "inactive"] == 4
    assert found["address_info", "192.0.2.53/32", "lo"] == 1
    assert (found["address_present", "192.0.2.53/32"], found["announcement_neighbors", "192.0.2.53/32"]) == (0, 2)
    assert {name for name, *_ in found} == set(HELP)


def test_an_unknown_value_has_no_sample() -> None:
    found = samples(as_metrics(FOUND))
    unknown = [name for name, *labels in found if "[fd00::13]:53" in labels]
    assert sorted(set(unknown)) == ["real_server_connections", "real_server_state"]
    assert ("real_server_up", "[::1]:53") not in found


NOT_OF_EVERY_VERSION = (
    "in_cluster", "leaving_still_serving",
    "alive", "down_but_pooled", "quorum", "active", "inactive", "since", "up", "seconds", "check", "attribute",
)  # fmt: skip


def without(key: str, document: Any) -> Any:
    """A document that has such a key nowhere."""
    if isinstance(document, dict):
        return {name: without(key, value) for name, value in document.items() if name != key}
    return [without(key, one) for one in document] if isinstance(document, list) else document


@pytest.mark.parametrize("key", NOT_OF_EVERY_VERSION)
def test_what_the_daemon_of_another_version_does_not_tell_costs_the_node_nothing_else(key: str) -> None:
    known = samples(as_metrics(FOUND))
    found = samples(as_metrics(without(key, FOUND)))
    assert found.items() < known.items()


def test_names_are_escaped() -> None:
    (pool,) = {sample.labels["pool"] for one in text_string_to_metric_families(as_metrics(FOUND)) for sample in one.samples
               if "pool" in sample.labels}  # fmt: skip
    assert pool == 'a "strange\\name'


def test_of_a_daemon_that_is_gone_only_that(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    StateFile(str(tmp_path / "ipvs-pool-dns.state")).write({"virtual": "udp/192.0.2.53:53"})
    (tmp_path / "ipvs-pool-dns.status").write_text(json.dumps({**FOUND["pools"][0], "resource": "dns"}))
    assert main(["metrics", "--rundir", str(tmp_path)]) == 0
    assert samples(capsys.readouterr().out) == {("pool_up",): 0}


def test_nothing_is_started_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "--rundir", str(tmp_path / "none")]) == 0
    assert capsys.readouterr().out == ""
