"""anycastctl: what the agents do on this node, for people and for programs."""

from __future__ import annotations

from ocfpy.cli.main import main

__all__ = ["main"]
