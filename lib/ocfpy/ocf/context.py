"""What Pacemaker tells the agent about this call, from its arguments and environment only."""

from __future__ import annotations

import os

from ocfpy.ocf.deadline import POLL_S, Deadline
from ocfpy.ocf.state import StateFile, names_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from ocfpy.ocf.clone import Clone
    from ocfpy.ocf.log import Log as Log

DEFAULT_TIMEOUT_S = 20.0
MAX_DIGITS = 12  # of milliseconds, 30 years: with three more the clocks of Python overflow
_PARAMETER = "OCF_RESKEY_"
_META = "OCF_RESKEY_CRM_meta_"
_STATE_SUFFIX = ".state"
_TRUE = ("1", "yes", "true", "on", "ja")  # what ocf-shellfuncs accepts as true


class Context:
    """One call of an agent.

    argv is the command line: argv[1] is the action, further words are ignored as OCF 1.1 asks. environ is read once. agent_name
    defaults to the program's name, provider to the cluster's. age_s: seconds since this process started, which the cluster has
    already waited. A value that is not a number counts as unset. meta holds the variables CRM_meta_*, without that prefix.
    shortcut is the path of the note that spares the next monitor its interpreter (shortcut.py).
    """

    def __init__(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str],
        agent_name: str = "",
        provider: str = "",
        age_s: float = 0.0,
    ) -> None:
        self.action = argv[1] if len(argv) > 1 else ""
        self.agent_name = agent_name or (os.path.basename(argv[0]) if argv else "")
        # ocf-shellfuncs falls back to "default" as well, for an agent that is run by hand.
        self.instance = environ.get("OCF_RESOURCE_INSTANCE") or "default"
        self.resource = _without_clone_number(self.instance)
        # Pacemaker passes parameters that are empty or blank; to an operator such a parameter is unset.
        self.params = {
            name[len(_PARAMETER) :]: value
            for name, value in environ.items()
            if value.strip(" \t") and name.startswith(_PARAMETER) and not name.startswith(_META)
        }
        self.meta = {name[len(_META) :]: value for name, value in environ.items() if name.startswith(_META)}
        self.timeout = _number(self.meta.get("timeout")) / 1000 or DEFAULT_TIMEOUT_S
        self.interval = _number(self.meta.get("interval")) / 1000
        # A probe carries no interval at all (seen with Pacemaker 2.1.5); ocf-tester sends 0.
        self.is_probe = self.action == "monitor" and not self.interval
        # Until 2.1.5 Pacemaker lists a degraded result among the failures for good: failure-timeout does not
        # apply to it (lib/pengine/unpack.c, remap_operation; commit 27361e775c, in 2.1.6, whose set is 3.17).
        self.cluster_expires_degraded = not (0, 0) < _feature_set(environ.get(_PARAMETER + "crm_feature_set")) < (3, 17)
        self.check_level = _number(environ.get("OCF_CHECK_LEVEL") or environ.get("OCF_RESKEY_OCF_CHECK_LEVEL"))
        self.traced = (environ.get("OCF_TRACE_RA") or environ.get("OCF_RESKEY_trace_ra", "")).lower() in _TRUE
        self.exit_reason_prefix = environ.get("OCF_EXIT_REASON_PREFIX") or "ocf-exit-reason:"
        self.node = self.meta.get("on_node") or os.uname().nodename
        # Pacemaker has been waiting since it forked this process. An older process was not forked for this action.
        left = self.timeout - (age_s if age_s < self.timeout else 0.0)
        # It sends SIGKILL at the timeout; the margin, in seconds, is for reporting the reason before that.
        self.margin = min(max(0.5, self.timeout * 0.05), left / 2)
        self.deadline = Deadline(left - self.margin)
        provider = provider or environ.get("OCF_RESOURCE_PROVIDER") or "ocfpy"
        self.rundir = f"{environ.get('HA_RSCTMP') or '/run/resource-agents'}/{provider}"
        # The number of an anonymous clone's instance may change from one action to the next.
        unique = self.meta.get("globally_unique") == "true"
        self.key = (self.instance if unique else self.resource).replace("/", "%2F")
        self.state = StateFile(self._state_path(self.key))
        self.shortcut = f"{self.rundir}/{self.agent_name}-{self.key}.shortcut"
        self.environ = environ
        self._log: Log | None = None

    @property
    def log(self) -> Log:
        """The log of this call. A monitor without messages never creates it."""
        if self._log is None:
            from ocfpy.ocf.log import Log

            self._log = Log(self.agent_name, self.instance, self.environ, self.traced)
        return self._log

    @property
    def clone(self) -> Clone:
        """The cluster's information about the clone that this is an instance of."""
        from ocfpy.ocf.clone import Clone

        return Clone(self.meta)

    def _state_path(self, key: str) -> str:
        return f"{self.rundir}/{self.agent_name}-{key}{_STATE_SUFFIX}"

    def other_claims(self, type_name: str) -> list[tuple[str, dict[str, str]]]:
        """Return the claims of the other resources of this agent type, as (resource, claim).

        Raises OSError for a claim file that cannot be read, except in a stop, which must get to its end.
        """
        prefix = f"{type_name}-"
        claims = []
        for file in self._names():
            if file.startswith(prefix) and file.endswith(_STATE_SUFFIX):
                state = StateFile(f"{self.rundir}/{file}")
                try:
                    record = None if state.path == self.state.path else state.read()
                except OSError:
                    if self.action != "stop":
                        raise
                    continue
                if record is not None:
                    claims.append((file[len(prefix) : -len(_STATE_SUFFIX)], record))
        return claims

    def _names(self) -> list[str]:
        try:
            return sorted(names_in(self.rundir))
        except OSError:
            if self.action != "stop":
                raise
            return []

    def lock(self, name: str) -> Lock:
        """Return a context manager that holds the named lock: other resources act at the same time."""
        return Lock(f"{self.rundir}/{name}.lock", self.deadline)


class Lock:
    """An exclusive lock on a file, released by the kernel when its holder dies; waits until the deadline."""

    __slots__ = ("_deadline", "_fd", "_path")

    def __init__(self, path: str, deadline: Deadline) -> None:
        self._path = path
        self._deadline = deadline
        self._fd = -1

    def __enter__(self) -> None:
        os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._deadline.poll(self._take, f"the lock {self._path}", POLL_S)
            self._deadline.step = ""
        except BaseException:
            os.close(self._fd)
            raise

    def _take(self) -> bool:
        import fcntl

        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)


def _without_clone_number(instance: str) -> str:
    name, colon, number = instance.rpartition(":")
    return name if colon and name and number.isdigit() else instance


def _feature_set(text: str | None) -> tuple[int, int]:
    major, _, rest = (text or "").partition(".")
    return _number(major), _number(rest.partition(".")[0])


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else 0
