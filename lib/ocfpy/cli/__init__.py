"""anycastctl: the state of this node's agents, for people and for programs."""

from __future__ import annotations

from ocfpy.cli.main import main

__all__ = ["main"]
