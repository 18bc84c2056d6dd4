"""Runs an agent like Pacemaker's executor.

Facts about the executor are from Pacemaker's lib/services/services_linux.c and an agent's environment under
2.1.5: a process group of its own, all descriptors above 2 closed, LC_ALL=C, the daemons' PATH, SIGKILL to the
whole group at the timeout, and the last exit reason on stderr counts.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

from ocfpy.testkit.place import pids, stat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO

    from ocfpy.testkit.place import Place

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/ucb"
EXIT_REASON = "ocf-exit-reason:"
NOBODY = 65534
PIPE_GRACE_S = 1.0
PATIENCE_S = 60.0
ATTEMPTS = 3


class Result:
    """The outcome of an action: code is None when it was killed at its timeout, negative when by a signal."""

    def __init__(
        self, code: int | None, out: str, err: str, seconds: float, held: bool, left: list[int]
    ) -> None:
        self.code = code
        self.out = out
        self.err = err
        self.seconds = seconds
        self.pipes_held = held
        self.left_in_group = left

    @property
    def reasons(self) -> list[str]:
        """All exit reasons; an agent has to give exactly one for every failure."""
        return [line[len(EXIT_REASON) :] for line in self.err.splitlines() if line.startswith(EXIT_REASON)]

    def __repr__(self) -> str:
        return f"exit code {self.code} after {self.seconds:.2f} s\nstdout: {self.out}\nstderr: {self.err}"


class Executor:
    """Runs actions of one resource in a place. path is the agent's; its directory is the provider."""

    def __init__(self, place: Place, path: str, params: Mapping[str, str], instance: str = "test") -> None:
        self.place = place
        self.path = path
        self.params = dict(params)
        self.instance = instance
        self.agent = os.path.basename(path)
        self.provider = os.path.basename(os.path.dirname(path))

    def environment(
        self, params: Mapping[str, str], timeout_s: float | None, interval_s: float
    ) -> dict[str, str]:
        """The environment that Pacemaker 2.1 passes; times in seconds, a probe has no interval."""
        meta = {"OCF_RESKEY_CRM_meta_on_node": "lb1", "OCF_RESKEY_crm_feature_set": "3.16.2"}
        if timeout_s is not None:
            meta["OCF_RESKEY_CRM_meta_timeout"] = str(int(timeout_s * 1000))
        if interval_s:
            meta["OCF_RESKEY_CRM_meta_interval"] = str(int(interval_s * 1000))
        return {
            "PATH": PATH,
            "LC_ALL": "C",
            "OCF_ROOT": "/usr/lib/ocf",
            "OCF_RA_VERSION_MAJOR": "1",
            "OCF_RA_VERSION_MINOR": "1",
            "OCF_RESOURCE_INSTANCE": self.instance,
            "OCF_RESOURCE_TYPE": self.agent,
            "OCF_RESOURCE_PROVIDER": self.provider,
            "OCF_EXIT_REASON_PREFIX": EXIT_REASON,
            "OCF_OUTPUT_FORMAT": "text",
            "HA_LOGFACILITY": "none",
            "PCMK_service": "pacemaker-execd",
            **meta,
            **{f"OCF_RESKEY_{name}": value for name, value in params.items()},
        }

    def run(
        self,
        action: str,
        *more: str,
        timeout_s: float = 20.0,
        interval_s: float = 0,
        params: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        replace_env: bool = False,
        as_nobody: bool = False,
        kill_after_s: float | None = None,
        under: Sequence[str] = (),
    ) -> Result:
        """Run an action; params replace the resource's, env adds to or replaces the variables that Pacemaker passes.

        kill_after_s kills it at another time than the timeout; under is a command that runs the agent.
        """
        environ = self.environment(self.params if params is None else params, timeout_s, interval_s)
        environ = dict(env or {}) if replace_env else {**environ, **(env or {})}
        user = (
            ["/usr/bin/setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
            if as_nobody
            else []
        )
        argv = [*self.place.enter, *user, *under, self.path, *([action] if action else []), *more]
        return execute(argv, environ, timeout_s if kill_after_s is None else kill_after_s)

    def run_in_time(self, action: str, timeout_s: float, limit_s: float = 0.0, **options: object) -> Result:
        """Run an action that must answer by itself before its timeout, without killing it; AssertionError when it is too late.

        limit_s is the permitted time, by default the timeout. The action runs ATTEMPTS times at most: the machine may have
        stood still meanwhile.
        """
        limit_s = limit_s or timeout_s
        for _ in range(ATTEMPTS):
            result = self.run(action, timeout_s=timeout_s, kill_after_s=PATIENCE_S, **options)  # type: ignore[arg-type]
            if result.seconds < limit_s:
                return result
        raise AssertionError(f"{action} answers too late for {limit_s:.2f} s: {result}")

    def probe(self, **options: object) -> Result:
        """Run a monitor with no interval."""
        return self.run("monitor", **options)  # type: ignore[arg-type]

    def monitor(self, **options: object) -> Result:
        """Run a recurring monitor."""
        return self.run("monitor", interval_s=10, **options)  # type: ignore[arg-type]


def execute(argv: Sequence[str], environ: Mapping[str, str], timeout_s: float) -> Result:
    """Run a program like the executor, killing its process group after timeout_s."""
    began = time.monotonic()
    process = subprocess.Popen(
        argv,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        preexec_fn=os.setpgrp,
    )
    readers = [_Reader(process.stdout), _Reader(process.stderr)]
    code: int | None = None
    try:
        code = process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    seconds = time.monotonic() - began
    left = [pid for pid in pids() if stat(pid, "pgrp") == process.pid]
    if code is not None and code < 0 and left:
        os.killpg(process.pid, signal.SIGKILL)  # it was killed alone; Pacemaker kills the group
    for reader in readers:
        reader.join(PIPE_GRACE_S)
    held = any(reader.is_alive() for reader in readers)
    return Result(code, readers[0].text, readers[1].text, seconds, held, left)


class _Reader(threading.Thread):
    """Collects a pipe, which a started daemon may hold open for ever."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        super().__init__(daemon=True)
        assert pipe is not None
        self._pipe = pipe
        self._parts: list[bytes] = []
        self.start()

    def run(self) -> None:
        with self._pipe:
            while part := os.read(self._pipe.fileno(), 65536):
                self._parts.append(part)

    @property
    def text(self) -> str:
        return b"".join(self._parts).decode("utf-8", "replace")
