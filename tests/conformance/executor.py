"""Runs an agent the way Pacemaker's executor does, and a place to do it in where nothing reaches the host.

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
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import IO

PROVIDER = "anycast"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/ucb"
NOBODY = 65534
PIPE_GRACE_S = 1.0


class Result:
    """How an action ended: code is None when it was killed at its timeout."""

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
        """All exit reasons; an agent has to give one for every failure, and only one."""
        prefix = "ocf-exit-reason:"
        return [line[len(prefix) :] for line in self.err.splitlines() if line.startswith(prefix)]

    def __repr__(self) -> str:
        return f"exit code {self.code} after {self.seconds:.2f} s\nstdout: {self.out}\nstderr: {self.err}"


class Sandbox:
    """Fresh network and mount namespaces: empty /run, own loopback, no FRR, and `tree` as /usr/lib/ocf."""

    def __init__(self, tree: Path) -> None:
        hide = [path for path in ("/usr/lib/frr", "/etc/anycast", "/etc/frr") if os.path.isdir(path)]
        script = [
            "mount -t tmpfs -o mode=755 tmpfs /run",
            "mkdir -m 1755 /run/resource-agents",
            f"mount --bind {tree} /usr/lib/ocf",
            *(f"mount -t tmpfs tmpfs {path}" for path in hide),
            *(["mount --bind /dev/null /usr/bin/vtysh"] if os.path.exists("/usr/bin/vtysh") else []),
            "ip link set lo up",
            "echo ready",
            "exec sleep infinity",
        ]
        self._process = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-ec", "\n".join(script)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", "root, unshare(1) and ip(8) are needed"

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *failure: object) -> None:
        # A daemon that a test has left behind lives in these namespaces and nowhere else.
        ours = _namespace(self._process.pid)
        for pid in _pids():
            if _namespace(pid) == ours:
                _kill(pid)
        self._process.wait()

    @property
    def enter(self) -> list[str]:
        """The command prefix that runs something in here."""
        return ["/usr/bin/nsenter", "-t", str(self._process.pid), "--net", "--mount", "--"]

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a program in here, to look around or to prepare something."""
        return subprocess.run([*self.enter, *argv], capture_output=True, text=True, timeout=60, check=False)

    def files(self) -> list[str]:
        """What is in /run, but for locks, which may stay."""
        found = self.run("find", "/run", "-type", "f", "-not", "-name", "*.lock").stdout
        return sorted(found.splitlines())


class Executor:
    """Runs actions of one resource in a sandbox."""

    def __init__(
        self, sandbox: Sandbox, agent: str, params: Mapping[str, str], instance: str = "test"
    ) -> None:
        self.sandbox = sandbox
        self.agent = agent
        self.params = dict(params)
        self.instance = instance

    @property
    def path(self) -> str:
        return f"/usr/lib/ocf/resource.d/{PROVIDER}/{self.agent}"

    def environment(
        self, params: Mapping[str, str], timeout_s: float | None, interval_s: float
    ) -> dict[str, str]:
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
            "OCF_RESOURCE_PROVIDER": PROVIDER,
            "OCF_EXIT_REASON_PREFIX": "ocf-exit-reason:",
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
    ) -> Result:
        """Run an action; params replace the resource's, env adds to what Pacemaker passes, or replaces it."""
        environ = self.environment(self.params if params is None else params, timeout_s, interval_s)
        environ = dict(env or {}) if replace_env else {**environ, **(env or {})}
        user = (
            ["/usr/bin/setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
            if as_nobody
            else []
        )
        argv = [*self.sandbox.enter, *user, self.path, *([action] if action else []), *more]
        return execute(argv, environ, timeout_s if kill_after_s is None else kill_after_s)

    def probe(self, **options: object) -> Result:
        return self.run("monitor", **options)  # type: ignore[arg-type]

    def monitor(self, **options: object) -> Result:
        return self.run("monitor", interval_s=10, **options)  # type: ignore[arg-type]


def execute(argv: Sequence[str], environ: Mapping[str, str], timeout_s: float) -> Result:
    """Run a program as the executor would, killing its process group after timeout_s."""
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
    left = [pid for pid in _pids() if _stat(pid, "pgrp") == process.pid]
    for reader in readers:
        reader.join(PIPE_GRACE_S)
    held = any(reader.is_alive() for reader in readers)
    return Result(code, readers[0].text, readers[1].text, seconds, held, left)


class _Reader(threading.Thread):
    """Collects a pipe, which a daemon that was started may hold open for ever."""

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


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _stat(pid: int, field: str) -> int:
    """A field of /proc/PID/stat, 0 when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(text.rpartition(")")[2].split()[{"ppid": 1, "pgrp": 2}[field]])


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/net")
    except OSError:
        return f"gone {pid}"


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
