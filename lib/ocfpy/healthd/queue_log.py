"""The daemon's log: a bounded queue and a thread that empties it, so that checks and table never wait for a log."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from ocfpy.ocf.log import Log

if TYPE_CHECKING:
    from collections.abc import Mapping

QUEUE_LINES = 1000
PATIENCE_S = 1.0
"""How long the thread offers a line to a busy sink; a sink that timed out gets one attempt a line until it accepts one."""
RETRY_S = 0.02


class QueueLog(Log):
    """A Log whose lines a thread writes; a line that finds the queue full is dropped and counted.

    The count is logged as soon as every sink accepts lines again. A process that forks creates its own in the child.
    """

    def __init__(self, agent_name: str, instance: str, environ: Mapping[str, str], queue_lines: int = QUEUE_LINES) -> None:
        super().__init__(agent_name, instance, environ)
        self._limit = queue_lines
        self._changed = threading.Condition()
        self._queue: deque[tuple[str, str, float]] = deque()
        self._writing = False
        self._dropped = 0
        self._hung: set[str] = set()
        self._thread: threading.Thread | None = None

    @property
    def dropped(self) -> int:
        """The number of lines that were dropped and not yet reported."""
        return self._dropped

    def flush(self, within_s: float) -> bool:
        """Wait until the queue is empty, at most this long; return whether it is. For the end of a process."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queue and not self._writing, within_s)

    def _write(self, level: str, text: str) -> None:
        with self._changed:
            if len(self._queue) >= self._limit or not self._has_thread():
                self._dropped += 1
                return
            self._queue.append((level, text, time.time()))
            self._changed.notify_all()

    def _has_thread(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._write_queue, name="log", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # this node has no thread left
                return False
            self._thread = thread
        return True

    def _write_queue(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._queue)
                self._writing = True
                level, text, at = self._queue.popleft()
            if os.isatty(2):  # a daemon that an operator runs by hand
                self._to_stderr(level, text)
            if self._offer(level, text, at):
                self._report_dropped()
            else:
                self._drop(1)

    def _report_dropped(self) -> None:
        with self._changed:
            count, self._dropped = self._dropped, 0
        if count and not self._offer("WARNING", f"{count} log lines were dropped: the log did not take them", time.time()):
            self._drop(count)

    def _drop(self, count: int) -> None:
        with self._changed:
            self._dropped += count

    def _offer(self, level: str, text: str, at: float) -> bool:
        """Write one line and return whether every sink accepted it or never will, such as a directory."""
        busy = self._deliver(level, text, at, self._places)
        self._hung.intersection_update(busy)
        end = time.monotonic() + PATIENCE_S
        while set(busy) - self._hung and time.monotonic() < end:
            time.sleep(RETRY_S)
            busy = self._deliver(level, text, at, busy)
        self._hung.update(busy)
        return not busy
