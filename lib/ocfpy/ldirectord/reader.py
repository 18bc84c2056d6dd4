"""Reads an ldirectord.cf from this host: returns its meaning, or raises an error with all of its faults."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from ocfpy.ldirectord.model import Note
from ocfpy.ldirectord.names import Names, SystemNames, host_names
from ocfpy.ldirectord.parser import parse
from ocfpy.ldirectord.translate import translate
from ocfpy.ocf.errors import HostError, NotInstalledError, ServiceError
from ocfpy.pool.spec import ServiceSpec

MAX_SIZE = 1 << 20
"""Bytes; more than any real file needs."""
MAX_FAULTS = 20
"""Most faults that fit one sentence for the operator."""


@dataclass(frozen=True)
class Loaded:
    """A file that was read. `maintenance_dir` is empty if it has none, `digest` identifies the content.

    `host_names` are the names of the real servers, each with its address, if there is a directory for such names.
    """

    services: tuple[ServiceSpec, ...]
    warnings: tuple[str, ...]
    autoreload: bool
    maintenance_dir: str
    digest: str
    host_names: tuple[tuple[str, str], ...] = ()


def load(path: str, names: Names | None = None) -> Loaded:
    """Return the meaning of the file at `path`.

    Raises NotInstalledError when it cannot be read, HostError when it is wrong (another node's own copy may be
    right), ServiceError when its only fault is that names cannot be resolved now.
    """
    text = read_text(path)
    parsed = parse(text)
    meaning = translate(parsed.config, names or SystemNames())
    faults = parsed.faults + meaning.faults
    if faults:
        raise HostError(_sentence(path, faults + meaning.unresolved))
    if meaning.unresolved:
        raise ServiceError(_sentence(path, meaning.unresolved))
    return Loaded(
        tuple(meaning.services),
        tuple(f"{path}: {note}" for note in sorted(parsed.warnings + meaning.warnings)),
        parsed.config.autoreload,
        parsed.config.maintenancedir,
        hashlib.sha256(text.encode()).hexdigest(),
        host_names(real.address for one in meaning.services for real in one.reals.values())
        if parsed.config.maintenancedir
        else (),
    )


def read_text(path: str) -> str:
    """Return the content of the file; bytes that are not UTF-8 become U+FFFD. Raises NotInstalledError."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_SIZE + 1)
    except OSError as error:
        raise NotInstalledError(f"config={path} cannot be read on this node: {error.strerror}") from None
    if len(data) > MAX_SIZE:
        raise NotInstalledError(f"config={path} is larger than {MAX_SIZE} bytes")
    return data.decode("utf-8", "replace")


def _sentence(path: str, faults: list[Note]) -> str:
    texts = list(map(str, sorted(faults)))
    more = len(texts) - MAX_FAULTS
    return f"{path}: {'; '.join(texts[:MAX_FAULTS])}{f'; and {more} more' if more > 0 else ''}"
