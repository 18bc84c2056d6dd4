"""The agents' launchers as `make install` writes them, and the table that they come from."""

from __future__ import annotations

from pathlib import Path

from ocfpy.ocf import manpage, shortcut

AGENTS = Path(__file__).resolve().parents[3] / "agents"
CLASSES = dict(line.split() for line in (AGENTS / "table").read_text().splitlines())
"""The name of each agent, with its module and class."""


def launcher(agent: str) -> str:
    """The launcher of an agent."""
    target = CLASSES[agent]
    return shortcut.launcher((AGENTS / "launcher.sh").read_text(), manpage.load(target), target)
