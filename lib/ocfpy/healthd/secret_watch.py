"""Reads the secrets and TLS files of checks again and again, for checkers that may not, in threads that may hang."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Callable, NamedTuple

from ocfpy.checks.files import MAX_HANGING
from ocfpy.checks.registry import TLS_FILES
from ocfpy.checks.secretfile import FULL, read_secret, secret_files
from ocfpy.ocf.errors import OcfError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ocfpy.checks.settings import CheckSettings

    FileKey = tuple[str, ...]

MAX_TLS_FILE = 4 << 20
"""Longest file of certificates, in bytes; the CAs that Debian trusts are 220 KiB."""


class Found(NamedTuple):
    """The last content: texts by path (base64 for TLS), or the reason why they cannot be read."""

    contents: dict[str, str]
    error: str


def file_keys(settings: CheckSettings) -> list[FileKey]:
    """What a check needs: ("secret", PATH), and ("tls", CA, CERT, KEY), of which some are empty."""
    keys: list[FileKey] = [("secret", path) for path in secret_files(settings).values()]
    if settings.tls_files():
        keys.append(("tls", *(settings[name] for name in TLS_FILES)))
    return keys


class _Watched:
    def __init__(self) -> None:
        self.intervals: Counter[float] = Counter()
        self.found: Found | None = None
        self.sooner = asyncio.Event()
        self.task: asyncio.Task[None]


class SecretWatch:
    """Reads each file once in the shortest interval of the checks that need it; `on_change` is called with each change."""

    def __init__(self, on_change: Callable[[FileKey], None]) -> None:
        self._on_change = on_change
        self._threads = ThreadPoolExecutor(MAX_HANGING, "secret")
        self._watched: dict[FileKey, _Watched] = {}

    def add(self, keys: Iterable[FileKey], interval: float) -> None:
        """Add a check that needs these files."""
        for key in keys:
            watched = self._watched.get(key)
            if watched is None:
                watched = self._watched[key] = _Watched()
                watched.task = asyncio.ensure_future(self._watch(key, watched))
            watched.intervals[interval] += 1
            watched.sooner.set()

    def remove(self, keys: Iterable[FileKey], interval: float) -> None:
        """Remove a check that needed them."""
        for key in keys:
            if key not in self._watched:
                continue  # it was stopped
            intervals = self._watched[key].intervals
            intervals[interval] -= 1
            intervals += Counter()  # without those that are 0
            if not intervals:
                self._watched.pop(key).task.cancel()

    def found(self, key: FileKey) -> Found | None:
        """The last content; None before the first."""
        watched = self._watched.get(key)
        return watched.found if watched else None

    def stop(self) -> None:
        """Stop reading. A thread that hangs is left behind."""
        for watched in self._watched.values():
            watched.task.cancel()
        self._watched.clear()
        self._threads.shutdown(wait=False)

    async def _watch(self, key: FileKey, watched: _Watched) -> None:
        loop = asyncio.get_running_loop()
        while True:
            watched.sooner.clear()
            found: Found | None
            try:
                found = await loop.run_in_executor(self._threads, read_files, key)
            except (OSError, RuntimeError, MemoryError):  # this node has no descriptor or thread for it now
                found = watched.found
            if found is not None and found != watched.found:
                watched.found = found
                self._on_change(key)
            try:
                await asyncio.wait_for(watched.sooner.wait(), min(watched.intervals))
            except asyncio.TimeoutError:
                pass


def read_files(key: FileKey) -> Found:
    """Read the files. Raises OSError when this node lacks the resources to open any."""
    kind, *paths = key
    try:
        if kind == "secret":
            return Found({path: read_secret(path) for path in paths}, "")
        return Found({path: base64.b64encode(_read(path)).decode() for path in paths if path}, "")
    except OcfError as error:
        return Found({}, error.reason)
    except OSError as error:
        if error.errno in FULL:
            raise
        return Found({}, f"{error.filename}: {error.strerror}")


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        data = file.read(MAX_TLS_FILE + 1)
    if len(data) > MAX_TLS_FILE:
        raise OcfError(f"{path} has more than {MAX_TLS_FILE >> 20} MiB: it cannot be a file of certificates")
    return data
