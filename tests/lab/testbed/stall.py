"""Notices when the host itself stands still: no measurement made in that moment says anything about the lab."""
from __future__ import annotations

import threading
import time

from .base import favour

TICK = 0.02
WORTH_A_WORD = 0.15
"""Seconds: half of a BFD interval."""


class StallWatch:
    """A favoured thread that sleeps and looks how late it wakes. `stalls`: (when, seconds late), when in time.time() seconds."""

    def __init__(self) -> None:
        self.stalls: list[tuple[float, float]] = []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        favour(threading.get_native_id())
        while not self._end.is_set():
            before = time.monotonic()
            time.sleep(TICK)
            late = time.monotonic() - before - TICK
            if late > WORTH_A_WORD:
                self.stalls.append((time.time(), late))

    def since(self, at: float) -> str:
        """Sentence about the stalls since then; empty when there were none."""
        late = [seconds for when, seconds in self.stalls if when > at]
        return f"the host stood still {len(late)} times, at most {max(late):.2f} s" if late else ""

    def close(self) -> None:
        """End the thread."""
        self._end.set()
        self._thread.join(5)
