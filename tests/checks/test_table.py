"""The committed table is what has been seen."""

from __future__ import annotations

from tests.checks.observe import Observations
from tests.checks.table import REFRESH, committed, table


def test_the_table_is_what_was_seen(observed: Observations) -> None:
    assert table(observed).splitlines() == committed().splitlines(), f"{REFRESH} writes it anew"
