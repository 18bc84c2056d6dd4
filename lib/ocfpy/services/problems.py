"""Problems of a catalogue, each with its place in the file."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

from ocfpy.ocf.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, order=True)
class Position:
    """A place in the file; line and column count from 1, and 0 is the file as a whole."""

    line: int = 0
    column: int = 0


@dataclass(frozen=True, order=True)
class Problem:
    """One sentence about one place, printable although the file may hold anything.

    resource is the id of the resource that the sentence is about, if it is about one.
    """

    position: Position
    message: str
    resource: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", one_line(self.message))

    def text(self, file: str) -> str:
        """The problem as a compiler prints it: FILE:LINE:COLUMN: MESSAGE."""
        place = f":{self.position.line}:{self.position.column}" if self.position.line else ""
        return f"{file}{place}: {self.message}"


class CatalogueError(Exception):
    """A catalogue that cannot be used; problems has all that is wrong with it, in the order of the file."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(set(problems))
        super().__init__("; ".join(problem.message for problem in self.problems))


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ": did you mean KEY?" for the known key that is nearest to `word`, or nothing."""
    near = get_close_matches(word.lower().replace("-", "_"), list(known), 1)
    return f": did you mean {near[0]}?" if near else ""
