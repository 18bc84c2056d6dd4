"""The arguments of `anycastctl services`, apart from its code: that loads PyYAML and all agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

FORMATS = ("crm", "pcs", "xml", "ansible")


def add_commands(services: argparse.ArgumentParser) -> None:
    """Declare the commands below `anycastctl services`."""
    commands = services.add_subparsers(dest="action", required=True)
    checks = commands.add_parser("check", help="all that is wrong with a catalogue, each resource's parameters included")
    checks.add_argument("--json", action="store_true", help="one JSON document")
    exports = commands.add_parser("export", help="the resources and constraints for another tool, on standard output")
    exports.add_argument("--to", choices=FORMATS, required=True, help="commands of crm shell or pcs, XML, Ansible variables")
    diffs = commands.add_parser("diff", help="what a catalogue changes in the cluster, and what the cluster does then")
    diffs.add_argument("--cib", metavar="CIB", help="a CIB in a file instead of that of the running cluster")
    diffs.add_argument("--json", action="store_true", help="one JSON document")
    for command in (checks, exports, diffs):
        command.add_argument("file", metavar="FILE", help="the catalogue, such as services.yaml")
