"""The catalogue's check says of each resource what the agent's own validate-all says."""

from __future__ import annotations

import os
from itertools import chain

import pytest
from ocfpy.ocf.dispatch import main
from ocfpy.services.check import check, load
from ocfpy.services.keys import AGENTS
from ocfpy.services.validate import judge

CASES = {
    "ipvs-pool": [
        {"virtual": "tcp/192.0.2.80:80", "real_servers": "10.0.0.1 10.0.0.2"},
        {},
        {"virtual": "tcp/192.0.2.80", "real_servers": "www", "fall": "x", "check": "dns"},
        {"virtual": "udp/192.0.2.53:53", "real_servers": "10.0.0.1"},
        {"virtual": "tcp/[2001:db8::80]:80", "real_servers": "10.0.0.1", "scheduler": "mh", "persistence_timeout": "1500ms"},
        {"virtual": "tcp/192.0.2.80:80", "real_servers": "10.0.0.1", "check_password": "secret\n", "no_such": "1"},
        {"virtual": "tcp/192.0.2.80:80", "real_servers": "10.0.0.1", "check_interval": "500", "no_such": "1"},
        {"config": "/no/such/file", "check": "tcp"},
    ],
    "anycast-vip": [
        {"ip": "192.0.2.80"},
        {},
        {"ip": "127.0.0.1", "gate": "some"},
        {"ip": "2001:db8::80", "services": "tcp/192.0.2.1:80"},
    ],
    "bgp-announce": [
        {"prefix": "192.0.2.80"},
        {"prefix": "192.0.2.0/24", "min_peers": "x"},
        {"prefix": "2001:db8::1", "drain_time": "90"},
    ],
    "ipvs-sync": [{"nic": "eth0", "syncid": "7"}, {"syncid": "0", "mcast_group": "10.0.0.1"}],
}


@pytest.mark.parametrize(
    ("agent", "parameters"), [(agent, case) for agent, cases in CASES.items() for case in cases]
)
def test_same_as_the_agent(agent: str, parameters: dict[str, str], capfd: pytest.CaptureFixture[str]) -> None:
    faults, warnings = judge(agent, "web-pool", parameters)
    environ = {**os.environ, **{f"OCF_RESKEY_{name}": value for name, value in parameters.items()}}
    code = main(AGENTS[agent], [agent, "validate-all"], {**environ, "OCF_RESOURCE_INSTANCE": "web-pool"})
    said = capfd.readouterr().err.splitlines()
    reasons = [line.removeprefix("ocf-exit-reason:") for line in said if line.startswith("ocf-exit-reason:")]
    assert (code == 0) == (not faults)
    assert reasons == (["; ".join(faults)] if faults else [])
    assert [line.removeprefix("WARNING: ") for line in said if line.startswith("WARNING: ")] == warnings


def test_the_cases_have_faults_and_warnings_in_each_agent() -> None:
    for agent, cases in CASES.items():
        judged = [judge(agent, "web-pool", case) for case in cases]
        assert any(faults for faults, _ in judged)
        assert any(not faults for faults, _ in judged)
    assert any(warnings for case in chain(*CASES.values()) for _, warnings in [judge("ipvs-pool", "web-pool", case)])


DERIVED = {"ip", "prefix", "attribute", "virtual", "real_servers", "config"}
"""Parameters that belong to one service, or that the catalogue fills in."""
LEVELS = {
    "defaults": "defaults: {%s}\nservices: {}\n",
    "service": "services: {web: {%s}}\n",
    "family": "services: {web: {ipv6: {%s}}}\n",
    "defaults of a family": "defaults: {ipv4: {%s}}\nservices: {}\n",
}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    ("agent", "line"), [("ipvs-pool", "%s: x"), ("anycast-vip", "%s: x"), ("bgp-announce", "announce: {%s: x}")]
)
def test_every_parameter_can_be_set(level: str, agent: str, line: str) -> None:
    names = [parameter.name for parameter in AGENTS[agent].parameters() if parameter.name not in DERIVED]
    assert len(names) > 5
    for name in names:
        errors = check(LEVELS[level] % (line % name)).errors
        assert not [problem for problem in errors if "unknown key" in problem.message or "is a parameter of" in problem.message]


def test_warnings_of_the_agents() -> None:
    web = "addresses: [192.0.2.80], ports: [tcp/80], real_servers: [10.0.0.1], check_interval: 500"
    (warning,) = load(f"services: {{web: {{{web}}}}}").warnings
    assert "write 500ms for milliseconds" in warning.message
