"""Finds all faults of a catalogue at once: those of its own rules, and those that each agent reports for its resources."""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocfpy.services.compose import compose
from ocfpy.services.problems import CatalogueError, Position, Problem
from ocfpy.services.reader import read
from ocfpy.services.validate import validate

if TYPE_CHECKING:
    from ocfpy.services.composition import Composition
    from ocfpy.services.model import Catalogue


@dataclass(frozen=True)
class Checked:
    """A catalogue that was read; it can be used if there are no errors."""

    catalogue: Catalogue
    composition: Composition
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def check(text: str) -> Checked:
    """Return the catalogue with all of its faults. Raises CatalogueError for text that is not YAML."""
    catalogue, unread = read(text)
    composition, unfit = compose(catalogue)
    errors = unread + unfit
    faults, doubts = validate(composition)
    broken = _broken(catalogue, errors)
    known = {position for resource in composition.resources for position in resource.positions.values()}
    services = {resource.id: resource.service for resource in composition.resources}
    # Where something could not be read, an agent misses it: only what it says of a value in the file is worth repeating.
    errors += [fault for fault in faults if fault.position in known or services.get(fault.resource) not in broken]
    return Checked(catalogue, composition, tuple(sorted(set(errors))), tuple(sorted(set(doubts))))


def load(text: str) -> Checked:
    """Return a catalogue that can be used. Raises CatalogueError with all of its faults."""
    checked = check(text)
    if checked.errors:
        raise CatalogueError(checked.errors)
    return checked


def _broken(catalogue: Catalogue, problems: list[Problem]) -> set[str]:
    """The services in which there are problems; all of them, if one is outside of the services."""
    services = sorted(catalogue.services, key=lambda service: service.position)
    starts = [service.position.line for service in services]
    found = set()
    for problem in problems:
        place = bisect(starts, problem.position.line)
        if not place or problem.position == Position():
            return {"", *(service.name for service in services)}
        found.add(services[place - 1].name)
    return found
