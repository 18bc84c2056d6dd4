"""The catalogues in the documentation are valid as they stand, and its tables know every key."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
from ocfpy.services.check import check
from ocfpy.services.keys import FAMILY_KEYS, SERVICE_KEYS, SHARED_KEYS

ROOT = Path(__file__).resolve().parents[3]
PAGES = ("README.md", "docs/catalogue.md")


def catalogues(page: str) -> list[str]:
    """The indented blocks that begin as a catalogue does."""
    blocks = re.findall(r"(?:^ {4}.*\n)+", (ROOT / page).read_text(), re.MULTILINE)
    return [block for block in map(textwrap.dedent, blocks) if re.match(r"(services|defaults):\n", block)]


@pytest.mark.parametrize("page", PAGES)
def test_examples_are_valid(page: str) -> None:
    found = catalogues(page)
    assert found
    for text in found:
        checked = check(text)
        assert checked.errors == checked.warnings == ()
        assert checked.catalogue.services


def test_a_service_in_five_lines() -> None:
    assert len(catalogues("README.md")[0].splitlines()) == len(["services:"]) + 5


@pytest.mark.parametrize("key", [*SERVICE_KEYS, *SHARED_KEYS, *FAMILY_KEYS])
def test_every_key_is_explained(key: str) -> None:
    rows = [line for line in (ROOT / "docs/catalogue.md").read_text().splitlines() if line.startswith("|")]
    assert any(f"`{key}`" in row.split("|")[1] for row in rows)
