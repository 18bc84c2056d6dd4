"""The command line of anycastctl."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from ocfpy.cli.collect import RUNDIR, collect, look_now
from ocfpy.cli.drain import DrainError, await_drained, drain, has, still_out, undrain
from ocfpy.cli.metrics import as_metrics
from ocfpy.cli.services_arguments import add_commands
from ocfpy.cli.show import as_text
from ocfpy.ocf.errors import OcfError, one_line

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code 0, 1 when something is not as it should be, or 2 for wrong usage."""
    options = _parser().parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8
    try:
        if options.command == "services":
            return _services(options)
        found = collect(options.rundir)
        if options.command == "status":
            return _status(found, options.json)
        if options.command == "metrics":
            sys.stdout.write(as_metrics(found))
            return 0
        return _take(found["pools"], options)
    except PermissionError as error:
        print(f"anycastctl: {error.filename}: permission denied: run it as root", file=sys.stderr)
    except (DrainError, OcfError, OSError) as error:
        said = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        print(f"anycastctl: {one_line(said)}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="anycastctl",
        description="Shows the anycast agents of this node, drains real servers, and processes catalogues of services.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    status = commands.add_parser("status", help="pools with their real servers, addresses, announcements")
    status.add_argument("--json", action="store_true", help="one JSON document")
    metrics = commands.add_parser("metrics", help="the same for Prometheus, in its text format")
    out = commands.add_parser("drain", help="send no new clients to a real server, until undrain")
    back = commands.add_parser("undrain", help="put a drained real server back")
    for command in (out, back):
        command.add_argument("server", help="10.0.0.11, or 10.0.0.11:53 for one port of it")
        command.add_argument("--pool", default="", help="only in this pool; default: all pools that have the server")
    add_commands(commands.add_parser("services", help="a catalogue of services: check it, write it for other tools"))
    out.add_argument("--force", action="store_true", help="even the last live backend")
    for command in (status, metrics, out, back):
        command.add_argument("--rundir", default=RUNDIR, help=argparse.SUPPRESS)
    return parser


def _status(found: dict[str, Any], as_json: bool) -> int:
    try:
        if as_json:
            print(json.dumps(found, indent=2))
        else:
            as_text(found, sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
    return 0 if all(pool["state"] == "running" for pool in found["pools"]) and _is_reachable(found) else 1


def _services(options: argparse.Namespace) -> int:
    from ocfpy.cli import services  # PyYAML and all agents, which no other command needs

    try:
        code = services.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return 1
    return code


def _drop_output() -> None:
    """After `anycastctl status | head`: the interpreter would complain when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _is_reachable(found: dict[str, Any]) -> bool:
    """Return whether every started address is present, and every route advertised that no gate has withdrawn."""
    return all(address["present"] is not False for address in found["addresses"]) and all(
        route["neighbors"] != [] or route.get("gate", {}).get("state") == "withdrawn" for route in found["announcements"]
    )


def _take(pools: list[dict[str, Any]], options: argparse.Namespace) -> int:
    if options.command == "drain":
        drain(pools, options.server, options.pool, options.force)
        look_now(options.rundir)
        left = await_drained(options.server, options.pool, lambda: collect(options.rundir)["pools"])
        print(f"{options.server} has weight 0 on this node, and {left} connections; `anycastctl status` shows them")
        return 0
    undrain(pools, options.server, options.pool)
    look_now(options.rundir)
    others = still_out(pools, options.server, options.pool)
    if others:
        print(f"{options.server} is still drained by {', '.join(others)}")
    elif has(pools, options.server, options.pool):
        print(f"{options.server} gets traffic again as soon as its checks succeed")
    else:
        print(f"{options.server} is no longer drained; no pool here has it")
    return 0
