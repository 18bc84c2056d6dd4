"""The table in docs/checks.md: what each check says of a server in every mode. `python3 -m tests.checks.table` writes it."""

from __future__ import annotations

import re
from pathlib import Path

from ocfpy.checks.base import Result

from tests.checks.cases import CASES, SERVERS
from tests.checks.observe import MODES, Observations
from tests.checks.world import World

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "checks.md"
BEGIN, END = "<!-- seen: make checks-table -->\n", "<!-- /seen -->\n"
REFRESH = "make checks-table"


def table(seen: Observations) -> str:
    """A row for each case: "up", or the reason for "down"."""
    head = f"| check | {' | '.join(MODES)} |\n|---{'|---' * len(MODES)}|\n"
    rows = (f"| {case} | {' | '.join(_cell(seen(case, mode)) for mode in MODES)} |\n" for case in CASES)
    return head + "".join(rows)


def _cell(result: Result) -> str:
    return "up" if result.ok else f"down: {result.reason}".replace("|", "\\|")


def committed() -> str:
    """The table as it is in the document."""
    return _split(DOCUMENT.read_text())[1]


def documented() -> dict[tuple[str, str], str]:
    """The table's cells, by check and mode: "up", or "down: " and the reason."""
    lines = (re.split(r"(?<!\\)\|", line)[1:-1] for line in committed().splitlines()[2:])
    rows = ([cell.strip().replace("\\|", "|") for cell in line] for line in lines)
    return {(name, mode): cell for name, *cells in rows for mode, cell in zip(MODES, cells)}


def _split(text: str) -> tuple[str, str, str]:
    match = re.fullmatch(f"(.*{BEGIN})(.*)({END}.*)", text, re.DOTALL)
    assert match is not None, f"{DOCUMENT} has no place for the table"
    return match[1], match[2], match[3]


if __name__ == "__main__":
    before, _, after = _split(DOCUMENT.read_text())
    with World(SERVERS) as world:
        DOCUMENT.write_text(before + table(Observations(world, CASES)) + after)
