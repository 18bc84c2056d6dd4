"""The configuration of a pool is judged without an agent: functions over its typed values."""

from __future__ import annotations

from ocfpy.agents.ipvs_pool_build import PoolBuild
from ocfpy.agents.ipvs_pool_config import PoolConfig, PoolParameters
from ocfpy.agents.ipvs_pool_validation import faults_of, warnings_of
from ocfpy.ocf.parameters import declared_parameters


def config(**given: str) -> PoolConfig:
    declared = declared_parameters(PoolParameters)
    return PoolConfig({one.name: one.read(given[one.name]) if one.name in given else one.default for one in declared}, given)


def test_a_good_configuration_has_no_fault_and_becomes_services() -> None:
    pool = config(virtual="tcp/192.0.2.53:80", real_servers="10.0.0.11 10.0.0.12,weight=3", min_up="50%", check="http")
    build = PoolBuild(pool)
    assert (faults_of(pool, build), warnings_of(pool, build)) == ([], [])
    (service,) = build.services()
    assert [real.weight for real in service.reals.values()] == [1, 3]
    assert (service.min_up, service.check.type) == (1, "http")


def test_all_faults_at_once() -> None:
    pool = config(virtual="tcp/192.0.2.53:80", real_servers="10.0.0.11", quorum="2", check_timeout="5s", slow_start="10s")
    assert faults_of(pool, PoolBuild(pool)) == [
        "slow_start: weight 1 of 10.0.0.11 has no room for steps: set weight=10 or more",
        "tcp/192.0.2.53:80: its quorum is 2, but it has only 1 real servers",
        "check_timeout (5 s) is longer than check_interval (2 s)",
    ]


def test_a_file_excludes_what_it_sets() -> None:
    pool = config(config="/etc/ha.d/ldirectord.cf", scheduler="rr", attribute="web")
    assert faults_of(pool, PoolBuild(pool)) == ["config and scheduler exclude each other: remove scheduler, the file sets it"]


def test_options_that_are_spelled_out_as_the_default_are_no_options() -> None:
    assert config(check="http", check_path="/", check_method="HEAD").options() == {"method": "HEAD"}
