"""anycastctl services: checks a catalogue, shows what it changes, and writes it for other tools."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from ocfpy.services.check import Checked, check, load
from ocfpy.services.problems import CatalogueError, Position, Problem

if TYPE_CHECKING:
    import argparse

def run(options: argparse.Namespace) -> int:
    """Run a command; 1 when the catalogue has errors or cannot be read, 2 for a diff with changes."""
    try:
        if options.action == "check":
            return _check(options.file, options.json)
        if options.action == "diff":
            return _diff(options.file, options.cib, options.json)
        return _export(options.file, options.to)
    except CatalogueError as error:
        for problem in error.problems:
            print(problem.text(options.file), file=sys.stderr)
    return 1


def read_text(path: str) -> str:
    """Return the text of a catalogue. Raises CatalogueError when it is not UTF-8, OSError when it cannot be read."""
    with open(path, "rb") as file:
        data = file.read()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        place = Position(data.count(b"\n", 0, error.start) + 1, error.start - data.rfind(b"\n", 0, error.start))
        raise CatalogueError([Problem(place, "the file is not UTF-8")]) from None


def _check(path: str, as_json: bool) -> int:
    try:
        checked = check(read_text(path))
    except CatalogueError as error:
        _show(path, as_json, None, tuple(error.problems), ())
        return 1
    _show(path, as_json, checked, checked.errors, checked.warnings)
    return 1 if checked.errors else 0


def _show(
    path: str, as_json: bool, checked: Checked | None, errors: tuple[Problem, ...], warnings: tuple[Problem, ...]
) -> None:
    services = len(checked.catalogue.services) if checked else 0
    resources = len(checked.composition.resources) if checked else 0
    if as_json:
        document = {
            "file": path,
            "valid": not errors,
            "services": services,
            "resources": resources,
            "errors": list(map(_as_dict, errors)),
            "warnings": list(map(_as_dict, warnings)),
        }
        print(json.dumps(document, indent=2))
        return
    for problem in errors:
        print(problem.text(path))
    for problem in warnings:
        print(Problem(problem.position, f"warning: {problem.message}").text(path))
    if not errors:
        print(f"{path}: no errors; services: {services}, resources: {resources}")


def _as_dict(problem: Problem) -> dict[str, Any]:
    position = {"line": problem.position.line, "column": problem.position.column}
    return {**position, "message": problem.message, **({"resource": problem.resource} if problem.resource else {})}


def _diff(path: str, cib_file: str | None, as_json: bool) -> int:
    from ocfpy.cli.services_diff import as_dict, as_text
    from ocfpy.services.cib import Cib, CibError
    from ocfpy.services.diff import diff
    from ocfpy.services.scheduler import live_cib

    composition = load(read_text(path)).composition
    try:
        if cib_file is None:
            before = live_cib()
        else:
            with open(cib_file, "rb") as file:
                before = Cib.parse(file.read())
        found = diff(before, composition)
    except CibError as error:
        for reason in error.reasons:
            print(f"anycastctl: {reason}", file=sys.stderr)
        return 1
    if as_json:
        print(json.dumps(as_dict(found), indent=2))
    else:
        sys.stdout.write(as_text(found))
    return 2 if found.has_changes else 0


def _export(path: str, kind: str) -> int:
    composition = load(read_text(path)).composition
    if kind == "xml":
        from ocfpy.services.cib_xml import document

        sys.stdout.write(document(composition))
    else:
        from ocfpy.services import export

        written = {"crm": export.as_crm, "pcs": export.as_pcs, "ansible": export.as_ansible}[kind](composition)
        sys.stdout.write(written)
    return 0
