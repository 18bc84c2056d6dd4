"""The command line of anycastctl."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING

from ocfpy.cli.collect import RUNDIR, collect
from ocfpy.cli.show import as_text

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; the exit code is 0, 1 when something is not as it should be, or 2 for a bad call."""
    parser = argparse.ArgumentParser(
        prog="anycastctl", description="Shows what the anycast agents do on this node."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    status = commands.add_parser("status", help="pools with their real servers, addresses, announcements")
    status.add_argument("--json", action="store_true", help="one JSON document")
    status.add_argument("--rundir", default=RUNDIR, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    try:
        found = collect(options.rundir)
    except PermissionError as error:
        print(f"anycastctl: {error.filename}: only root may look there", file=sys.stderr)
        return 1
    try:
        if options.json:
            print(json.dumps(found, indent=2))
        else:
            as_text(found, sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:  # `anycastctl status | head`; the interpreter would complain when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 0 if all(pool["state"] == "running" for pool in found["pools"]) else 1
