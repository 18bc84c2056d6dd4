"""The administrator's list of the networks that anycast addresses may be taken from."""

from __future__ import annotations

from ocfpy.ocf.addresses import Prefix, parse_prefix
from ocfpy.ocf.errors import HostError


def read_prefixes(path: str) -> tuple[Prefix, ...]:
    """The prefixes in the file, one a line, `#` begins a comment; none when there is no such file.

    Raises HostError for a line that is not a prefix: half a list would let in or keep out the wrong ones.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return ()
    found = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                found.append(parse_prefix(text))
            except ValueError as error:
                raise HostError(f"{path}, line {number}: {error}") from None
    return tuple(found)
