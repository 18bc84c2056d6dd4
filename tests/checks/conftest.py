"""The servers, once a session, each started when the first test wants it; and what has been seen, each once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.checks.cases import CASES, SERVERS
from tests.checks.observe import Observations
from tests.checks.world import World


@pytest.fixture(scope="package")
def world() -> Iterator[World]:
    with World(SERVERS) as world:
        yield world


@pytest.fixture(scope="package")
def observed(world: World) -> Observations:
    """Returns the result of a check in a mode."""
    return Observations(world, CASES)
