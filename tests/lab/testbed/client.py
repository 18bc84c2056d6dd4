"""The client behind the core router, and its steady stream of requests."""
from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from . import stream_worker
from .base import LabError, favour, wait_for
from .network import Namespace
from .report import Report, Request, account

KINDS = ("dns4", "dns6", "http4", "http6")


class Stream:
    """A process that asks both VIPs; see stream_worker for how."""

    def __init__(self, namespace: Namespace, log: Path, interval: float, timeout: float, kinds: Sequence[str]) -> None:
        self.log = log
        self.timeout = timeout
        self._requests: list[Request] = []
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        self._file = log.open()
        self._rest = ""
        self._reading = threading.Lock()
        self._errors = log.with_suffix(".err")
        words = [sys.executable, "-I", stream_worker.__file__, str(log), str(interval), str(timeout), *kinds]
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                namespace.enter(*words), stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, start_new_session=True
            )
        favour(self._process.pid)

    @property
    def requests(self) -> list[Request]:
        """Every request whose fate is known; one sent less than `timeout` ago may be missing. In the order of their ends."""
        with self._reading:
            pieces = (self._rest + self._file.read()).split("\n")
            self._rest = pieces.pop()
            self._requests += [Request(**json.loads(piece)) for piece in pieces]
        if self._process.poll() not in (None, 0):
            raise LabError(f"the client's stream died: {self._errors.read_text()[-800:]}")
        return self._requests

    def report(self, since: float | None = None, until: float | None = None) -> Report:
        """Account of the requests sent in [since, until), time.time() seconds; live at any moment."""
        return account(self.requests, since, until)

    def settle(self, until: float, limit: float = 30) -> None:
        """Return when the fate of every request sent before `until` is known."""
        wait_for(
            lambda: any(request.sent > until + self.timeout for request in self.requests[-400:]), limit,
            "the stream's answers", every=0.05,
        )

    def stop(self) -> None:
        """End the stream, once the last answers are in (or their timeout is over)."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(self.timeout + 10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Client:
    """A host that wants the service."""

    def __init__(self, namespace: Namespace, logs: Path) -> None:
        self.namespace = namespace
        self._logs = logs
        self._streams: list[Stream] = []

    def stream(self, interval: float = 0.02, timeout: float = 1.0, kinds: Sequence[str] = KINDS) -> Stream:
        """Start asking: every kind of request each `interval` seconds, lost when not answered within `timeout` seconds."""
        log = self._logs / f"stream-{len(self._streams) + 1}.jsonl"
        stream = Stream(self.namespace, log, interval, timeout, kinds)
        self._streams.append(stream)
        return stream

    def close(self) -> None:
        """End every stream."""
        for stream in self._streams:
            stream.stop()
