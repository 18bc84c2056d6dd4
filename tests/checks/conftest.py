"""The servers, once a session, each started when the first test wants it; and what has been seen, each once."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Callable

import pytest
from ocfpy.health.checks.base import Result

from tests.checks.cases import SERVERS, Case
from tests.checks.observe import observe
from tests.checks.world import World

Observer = Callable[[Case, str], Result]


@pytest.fixture(scope="session")
def world() -> Iterator[World]:
    with World(SERVERS) as world:
        yield world


@pytest.fixture(scope="session")
def observed(world: World) -> Observer:
    """Returns the result of a check in a mode; the table and the tests share what has been seen."""
    return functools.cache(functools.partial(observe, world))
