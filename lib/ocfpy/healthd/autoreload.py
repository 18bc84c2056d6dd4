"""Apply a changed ldirectord.cf to the running pool, if the file says autoreload=yes.

A file that cannot be used changes nothing: the old configuration stays in force, and monitor reports the error until it is fixed.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from ocfpy.healthd import pool_control
from ocfpy.healthd.preflight import require_unclaimed
from ocfpy.healthd.trusted_files import require_trusted
from ocfpy.ldirectord.reader import load
from ocfpy.ocf.context import Context
from ocfpy.ocf.deadline import Deadline
from ocfpy.ocf.errors import OcfError
from ocfpy.ocf.state import StateFile
from ocfpy.pool.spec import with_command_user

if TYPE_CHECKING:
    from ocfpy.healthd.client import Paths
    from ocfpy.ocf.log import Log
    from ocfpy.pool.spec import PoolSpec

AGENT = "ipvs-pool"
TIMEOUT_S = 120.0
"""Time limit of a reload, which resolves names and waits for the first verdict on new servers."""
AGAIN_S = 60.0
"""Interval of retries while the file is not in force: the cause may have been a name server or another pool."""


class Autoreload:
    """Watches the file of one pool. `trouble` says why the current file is not in force; empty when it is."""

    def __init__(self, paths: Paths, log: Log) -> None:
        self.trouble = ""
        self._paths = paths
        self._log = log
        self._mtime = 0
        self._looked_at = 0.0

    def look(self, spec: PoolSpec) -> None:
        """Check the file and reload the pool if it changed; blocks, so call it from its own thread."""
        if not spec.config:
            self.trouble = ""
            return
        try:
            mtime = os.stat(spec.config).st_mtime_ns
            now = time.monotonic()
            if mtime == self._mtime and not (self.trouble and now >= self._looked_at + AGAIN_S):
                return
            self._mtime, self._looked_at = mtime, now
            loaded = load(spec.config)
            if loaded.digest != spec.config_digest:
                self._log.info(f"{spec.config} has changed")
                for warning in loaded.warnings:
                    self._log.warning(warning)
                self._reload(
                    spec.replace(
                        services=with_command_user(loaded.services, spec.command_user),
                        drain_dir=loaded.maintenance_dir or spec.drain_dir,
                        drain_hosts=loaded.host_names,
                        config=spec.config if loaded.autoreload else "",
                        config_digest=loaded.digest,
                    ),
                    spec.config,
                )
            self.trouble = ""
        except OSError as error:
            self._complain(f"{spec.config} cannot be read: {error.strerror}")
        except OcfError as error:
            self._complain(error.reason)
        except Exception as error:  # an error that no code here expects; the pool goes on
            self._complain(f"{type(error).__name__}: {error}")

    def _complain(self, reason: str) -> None:
        trouble = f"the changed configuration is not in force, the previous one stays: {reason}"
        if trouble != self.trouble:
            self._log.error(trouble)
        self.trouble = trouble

    def _reload(self, spec: PoolSpec, config: str) -> None:
        """Reload like the action reload-agent: check, and record the claim of the services that the file `config` has."""
        context = Context([AGENT, "reload-agent"], os.environ, AGENT)
        context.rundir = os.path.dirname(self._paths.base)
        context.state = StateFile(f"{self._paths.base}.state")
        claim = {"virtual": " ".join(map(str, spec.virtual)), "attribute": spec.attribute}

        deadline = Deadline(TIMEOUT_S)

        def check() -> None:
            # A command that runs already is no exception here: those who can write it, or the file, may have changed either.
            require_trusted(spec.services, config, spec.command_user, self._log, deadline)
            with context.lock(AGENT):
                require_unclaimed(context.other_claims(AGENT), claim)

        pool_control.reload(context.state, claim, self._paths, spec, check, deadline, self._log)
