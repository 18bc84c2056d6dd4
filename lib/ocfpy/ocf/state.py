"""The record of what start put in place, on disk so that stop can undo it after the configuration has changed or gone.

The files are under /run: they vanish with what they describe, at a reboot. They are plain `key=value` lines, because
importing json costs more than the rest of a monitor. replace_file writes every file that the suite replaces.
"""

from __future__ import annotations

import os
from errno import ENAMETOOLONG, ENOENT, ENOTDIR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


# Errors for which no record can exist: then nothing has been started.
CANNOT_BE_THERE = (ENOENT, ENOTDIR, ENAMETOOLONG)


def names_in(directory: str) -> list[str]:
    """Return the names in the directory, none if it is missing. Raises OSError when it cannot be read."""
    try:
        return os.listdir(directory)
    except OSError as error:
        if error.errno in CANNOT_BE_THERE:
            return []
        raise


def replace_file(path: str, data: bytes, sync: bool = False) -> None:
    """Replace the file by one with this content, which only root can read; a kill leaves the old file or the new one.

    With sync the data is on disk before the file gets its name. Raises OSError, which names the file.
    """
    temporary = f"{path}.{os.getpid()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        try:
            fd = os.open(temporary, flags, 0o600)
        except FileExistsError:  # left by a killed process whose pid this one has
            os.unlink(temporary)
            fd = os.open(temporary, flags, 0o600)
        try:
            try:
                left = memoryview(data)
                while left:
                    left = left[os.write(fd, left) :]
                if sync:
                    os.fsync(fd)
            finally:
                os.close(fd)
            os.rename(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def remove_file(path: str) -> None:
    """Remove the file, and the leftover of a killed replace_file; either may be missing. Raises OSError."""
    directory, name = os.path.split(path)
    for found in names_in(directory):
        if found == name or (found.startswith(f"{name}.") and found.endswith(".tmp")):
            try:
                os.unlink(f"{directory}/{found}")
            except FileNotFoundError:
                pass


class StateFile:
    """A flat record of strings that is replaced atomically."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def read(self) -> dict[str, str] | None:
        """Return the record, or None when there is none. Raises OSError when it cannot be read."""
        try:
            with open(self.path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
                lines = file.read().split("\n")
        except OSError as error:
            if error.errno in CANNOT_BE_THERE:
                return None
            raise
        return {key: value for key, sign, value in (line.partition("=") for line in lines) if sign}

    def write(self, record: Mapping[str, str]) -> None:
        """Replace the record. Raises ValueError for text that no line can hold, OSError, which names the file."""
        for key, value in record.items():
            if not key or "=" in key or "\n" in key or "\n" in value:
                raise ValueError(f"{key!r}={value!r} does not fit a line")
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        text = "".join(f"{key}={value}\n" for key, value in record.items())
        replace_file(self.path, text.encode("utf-8", "surrogateescape"), sync=True)

    def update(self, entries: Mapping[str, str]) -> None:
        """Replace these entries of the record, and keep the others; raises what read and write do."""
        self.write({**(self.read() or {}), **entries})

    def delete(self) -> None:
        """Remove the record, and the leftover of a killed write; either may be missing."""
        remove_file(self.path)


class AssumedState(StateFile):
    """The record that stands for a file that cannot be read."""

    __slots__ = ("_record",)

    def __init__(self, path: str, record: Mapping[str, str]) -> None:
        super().__init__(path)
        self._record = dict(record)

    def read(self) -> dict[str, str] | None:
        return dict(self._record)
