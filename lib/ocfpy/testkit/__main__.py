"""Checks one agent against the rules: python3 -m ocfpy.testkit AGENT -o NAME=VALUE ..."""

from __future__ import annotations

import argparse
import os
import sys

from ocfpy.testkit.rules import RULES
from ocfpy.testkit.trial import Subject

PREFIX = "/usr/lib/ocf/resource.d"


def main(argv: list[str]) -> int:
    """Print the findings of each rule; return 0 if there are none, 1 if there are, 2 when the agent cannot be tested."""
    options = _parser().parse_args(argv)
    if options.rules:
        for rule in RULES:
            print(f"{rule}: {rule.sentence}")
        return 0
    if not options.agent:
        print("no agent given: name one as heartbeat:IPaddr2, or by its path", file=sys.stderr)
        return 2
    path = options.agent if "/" in options.agent else f"{PREFIX}/{options.agent.replace(':', '/')}"
    if not os.path.isfile(path) or not os.access(path, os.X_OK):
        print(f"{path}: not found, or not executable", file=sys.stderr)
        return 2
    if os.geteuid() != 0:
        print(f"{path}: agents are tested as root: run this as root", file=sys.stderr)
        return 2
    params = dict(option.partition("=")[::2] for option in options.option)
    subject = Subject(os.path.realpath(path), params, options.prepare, here=options.here, limit_s=options.timeout)
    broken = 0
    for rule in RULES:
        if options.only and rule.name not in options.only:
            continue
        try:
            findings = rule.findings(subject)
        except RuntimeError as error:
            print(error, file=sys.stderr)
            return 2
        broken += bool(findings)
        print(f"{'FAIL' if findings else 'ok  '} {rule}: {rule.sentence}", flush=True)
        for finding in findings:
            print(f"       {finding}", flush=True)
    print(f"{subject}: {broken} rules broken" if broken else f"{subject}: keeps to every rule")
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m ocfpy.testkit", description=__doc__)
    parser.add_argument("agent", nargs="?", default="", help="its path, or PROVIDER:NAME")
    parser.add_argument("-o", "--option", action="append", default=[], metavar="NAME=VALUE", help="a parameter")
    parser.add_argument("--prepare", default="", metavar="SCRIPT", help="shell commands that prepare a fresh sandbox")
    parser.add_argument("--here", action="store_true", help="no sandbox: this machine is discarded afterwards")
    parser.add_argument("--timeout", type=float, default=20.0, metavar="SECONDS", help="of every action (20)")
    names = [rule.name for rule in RULES]
    parser.add_argument("--only", action="append", default=[], metavar="RULE", choices=names, help="this rule; may be repeated")
    parser.add_argument("--rules", action="store_true", help="list the rules")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
