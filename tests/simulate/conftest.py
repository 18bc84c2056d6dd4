"""Clusters with an example configuration loaded, once a session each: crmsh takes a second."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.simulate.catalogue import OTHERS, SERVICES, load_xml, serve, unfenced
from tests.simulate.cluster import EXAMPLES, Cluster, ocf_root
from tests.simulate.pair import the_node, the_other

Loader = Callable[..., Cluster]
Loaded = Callable[[str, tuple[str, ...]], tuple[bytes, str]]


@pytest.fixture(scope="session")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """/usr/lib/ocf as it is once the suite is installed."""
    return ocf_root(tmp_path_factory.mktemp("simulate") / "ocf")


@pytest.fixture(scope="session")
def loaded(tmp_path_factory: pytest.TempPathFactory, agents: Path) -> Loaded:
    """Returns, for the name of an example and nodes, the CIB with it and what crmsh said while loading it."""

    @functools.cache
    def load(example: str, nodes: tuple[str, ...]) -> tuple[bytes, str]:
        cluster = Cluster(tmp_path_factory.mktemp(example), agents, nodes)
        said = cluster.load(EXAMPLES / f"{example}.crm")
        return cluster.cib.read_bytes(), said

    return load


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, agents: Path, loaded: Loaded) -> Loaded:
    """Returns the same once the pools are alive and everything has been started, with the start's log."""

    @functools.cache
    def start(example: str, nodes: tuple[str, ...]) -> tuple[bytes, str]:
        cluster = Cluster(tmp_path_factory.mktemp(example), agents, nodes)
        cluster.cib.write_bytes(loaded(example, nodes)[0])
        log = cluster.settle().text
        for pool in cluster.pools():
            cluster.alive(pool, 2)
        log += cluster.settle().text
        return cluster.cib.read_bytes(), log

    return start


@pytest.fixture(scope="session")
def catalogued(tmp_path_factory: pytest.TempPathFactory, agents: Path) -> bytes:
    """The CIB of a pair that serves the services of a catalogue."""
    cluster = unfenced(tmp_path_factory.mktemp("catalogue"), agents)
    load_xml(cluster, SERVICES + OTHERS)
    return serve(cluster).cib.read_bytes()


@pytest.fixture
def configured(tmp_path: Path, agents: Path, loaded: Loaded) -> Loader:
    """Returns, for the name of an example, a cluster with it in which nothing has been started yet."""
    return functools.partial(_cluster, tmp_path, agents, loaded)


@pytest.fixture
def serving(tmp_path: Path, agents: Path, served: Loaded) -> Loader:
    """Returns, for the name of an example, a cluster with it where the pools are alive and all is started."""
    return functools.partial(_cluster, tmp_path, agents, served)


@pytest.fixture
def cluster(serving: Loader, example: str) -> Cluster:
    """A pair that serves as the fixture `example` of a module has it."""
    return serving(example)


@pytest.fixture
def active(cluster: Cluster) -> str:
    """The node that has the addresses."""
    return the_node(cluster, "vip4")


@pytest.fixture
def peer(cluster: Cluster, active: str) -> str:
    """The other one."""
    return the_other(cluster, active)


def _cluster(work: Path, agents: Path, made: Loaded, example: str, *nodes: str) -> Cluster:
    names = nodes or ("lb1", "lb2")
    cluster = Cluster(work, agents, names)
    cluster.cib.write_bytes(made(example, names)[0])
    return cluster
