"""Allocate the firewall marks of checks through the virtual service: which pool of this node has which mark.

All pools of the node share one file, with a line for each mark, so that no mark is used twice and so that the leftovers of
a killed daemon can be told from other programs' services.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time

from ocfpy.ocf.errors import ServiceError
from ocfpy.ocf.state import remove_file, replace_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FIRST_MARK = 0x4F430000
"""The letters OC: far from the small numbers that operators choose."""
MARKS = 0x10000
LOCK_TIMEOUT_S = 2.0


class FwmarkAllocator:
    """The marks of the pool whose files begin with the path `base`. Keys are texts without a line break."""

    def __init__(self, base: str) -> None:
        directory, self.owner = os.path.split(base)
        self.path = f"{directory}/check-marks"

    def held(self) -> dict[str, int]:
        """Return the pool's marks by key. Raises OSError."""
        return {key: mark for mark, owner, key in self._read() if owner == self.owner}

    def set(self, keys: Iterable[str], taken: Iterable[int] = ()) -> dict[str, int]:
        """Allocate a mark for each key and free all others; a key keeps its mark unless that is in `taken`.

        `taken` are marks that other programs use. Raises OSError, ServiceError.
        """
        not_ours = set(taken)
        with self._lock():
            lines = self._read()
            before = {key: mark for mark, owner, key in lines if owner == self.owner and mark not in not_ours}
            others = [line for line in lines if line[1] != self.owner]
            found = {key: before[key] for key in keys if key in before}
            used = {*not_ours, *found.values(), *(mark for mark, _, _ in others)}
            free = (mark for mark in range(FIRST_MARK, FIRST_MARK + MARKS) if mark not in used)
            for key in keys:
                if key not in found:
                    mark = next(free, None)
                    if mark is None:
                        raise ServiceError(f"all {MARKS} firewall marks in {self.path} are in use")
                    found[key] = mark
            self._write([*others, *((mark, self.owner, key) for key, mark in found.items())])
        return found

    def _read(self) -> list[tuple[int, str, str]]:
        try:
            with open(self.path, encoding="utf-8", errors="replace") as file:
                parts = [line.rstrip("\n").split(" ", 2) for line in file]
        except FileNotFoundError:
            return []
        # A broken line must not make a stop fail.
        return [(int(part[0]), part[1], part[2]) for part in parts if len(part) == 3 and part[0].isdigit()]

    def _write(self, lines: list[tuple[int, str, str]]) -> None:
        if not lines:
            remove_file(self.path)
            return
        replace_file(self.path, "".join(f"{mark} {owner} {key}\n" for mark, owner, key in lines).encode())

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        fd = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            end = time.monotonic() + LOCK_TIMEOUT_S
            while True:
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise ServiceError(f"timed out waiting for the lock {self.path}.lock, which another pool holds") from None
                    time.sleep(0.01)
            yield
        finally:
            os.close(fd)
