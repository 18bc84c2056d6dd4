"""What a check of a database can be told."""

from __future__ import annotations

from dataclasses import dataclass

from ocfpy.checks.expect import unescape
from ocfpy.checks.options import LoginOptions, Source, option, source

QUERY = b"SELECT 1"
"""What is asked where nothing else is said."""


@dataclass(frozen=True)
class SqlOptions(LoginOptions):
    """The database that is opened, the query, and the text that a row has to have."""

    database: str = option()
    request: Source[bytes] = source(unescape)
    expect: str = option()
